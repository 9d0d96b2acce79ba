"""Our metrics that are named after MoGe against its published formulas, on random points with outliers.

    python benchmarks/moge_metrics.py [--points 2000] [--outliers 0.05]

Points lie in a frustum 1 to 5 m away; predictions are these, scaled and moved, with noise of 3 %, and a share of them
six times as far. The formulas (arXiv:2410.19115) are written out in NumPy, and their alignments solved as linear
programs by SciPy's HiGHS, which knows nothing of our solver. Least squares are shown beside.
"""

from argparse import ArgumentParser

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import linprog
from scipy.sparse import csr_array, eye_array, hstack, vstack

from sapiens2_lit.metrics import DepthErrors, PointErrors

Array = npt.NDArray[np.float64]


def make_points(count: int, outliers: float, seed: int = 0) -> tuple[Array, Array]:
    """Predicted and true points, (N, 3)."""
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 5, count)
    target = np.stack([*(rng.uniform(-0.6, 0.6, (2, count)) * depth), depth], axis=1)
    prediction = 0.7 * target + [0.05, -0.03, 0.2] + 0.03 * depth[:, None] * rng.standard_normal(target.shape)
    prediction[rng.random(count) < outliers] *= 6
    return prediction, target


def least_absolute(prediction: Array, target: Array, shift: bool) -> Array:
    """Predictions (N, C) after the scale, and shift of each channel, of least sum of |error| / z: a linear program."""
    count, channels = target.shape
    weight = np.repeat(1 / target[:, -1], channels)
    moved = np.tile(np.eye(channels), (count, 1)) * (1.0 if shift else 0.0)
    system = csr_array(np.concatenate([prediction.reshape(-1, 1), moved], axis=1))
    slack = eye_array(count * channels, format="csr")
    bounds = [(0, None), *[(None, None)] * channels, *[(0, None)] * (count * channels)]
    found = linprog(
        np.concatenate([np.zeros(1 + channels), weight]),
        A_ub=vstack([hstack([system, -slack]), hstack([-system, -slack])]),
        b_ub=np.concatenate([target.reshape(-1), -target.reshape(-1)]),
        bounds=bounds,
        method="highs",
    )
    scale, moves = found.x[0], found.x[1 : 1 + channels] * (1.0 if shift else 0.0)
    return scale * prediction + moves


def point_formulas(prediction: Array, target: Array) -> dict[str, float]:
    """MoGe's relative error and share of inliers of points."""
    distance = np.linalg.norm(prediction - target, axis=1)
    true, found = np.linalg.norm(target, axis=1), np.linalg.norm(prediction, axis=1)
    inliers = distance < 0.25 * np.minimum(true, found)
    return {"point_rel": float((distance / true).mean()), "point_delta1": float(inliers.mean())}


def depth_formulas(prediction: Array, target: Array) -> dict[str, float]:
    """Relative error and share of inliers of depth (N, 1)."""
    ratio = np.maximum(prediction / target, target / np.maximum(prediction, 1e-3))
    return {
        "abs_rel": float((np.abs(prediction - target) / target).mean()),
        "delta1": float((ratio < 1.25).mean()),
    }


def measured(metric: PointErrors | DepthErrors, prediction: Array, target: Array) -> dict[str, float]:
    maps = [torch.tensor(side.T[None, :, None], dtype=torch.float32) for side in (prediction, target)]
    metric.update(*maps, torch.ones(1, 1, 1, len(target), dtype=torch.bool))
    return {name: float(value) for name, value in metric.compute().items()}


def compare(count: int, outliers: float) -> list[tuple[str, float, float, float | None]]:
    """Rows of a metric's name, our value, that of the formula, and by least squares."""
    points, true_points = make_points(count, outliers)
    rows: list[tuple[str, float, float, float | None]] = []
    cases = (
        ("points", points, true_points, PointErrors, point_formulas),
        ("depth", points[:, 2:], true_points[:, 2:], DepthErrors, depth_formulas),
    )
    for what, prediction, target, metric, formulas in cases:
        own = measured(metric(), prediction, target)
        rows += [
            (f"{what}: {name}", own[name], value, None)
            for name, value in formulas(prediction, target).items()
        ]
        for kind in ("scale", "affine"):
            expected = formulas(least_absolute(prediction, target, kind == "affine"), target)
            own = measured(metric(f"moge_{kind}"), prediction, target)  # type: ignore[arg-type]  # one of Alignment
            squares = measured(metric(kind), prediction, target)  # type: ignore[arg-type]  # as above
            for name, value in expected.items():
                row = (
                    f"{what}: moge_{kind}_{name}",
                    own[f"moge_{kind}_{name}"],
                    value,
                    squares[f"{kind}_{name}"],
                )
                rows.append(row)
    return rows


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--outliers", type=float, default=0.05)
    options = parser.parse_args()
    print("| metric | ours | formula | difference | by least squares |\n|---|---|---|---|---|")
    for name, own, formula, squares in compare(options.points, options.outliers):
        beside = "" if squares is None else f"{squares:.5f}"
        print(f"| {name} | {own:.5f} | {formula:.5f} | {abs(own - formula):.1e} | {beside} |")


if __name__ == "__main__":
    main()
