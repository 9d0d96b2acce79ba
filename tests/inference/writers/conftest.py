"""One prediction with everything in it, on a small picture whose first rows nothing is known of."""

import numpy as np
import pytest

from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.vocabularies import load_classes, load_skeleton

SIZE = (24, 31)
UNKNOWN = 3  # rows


def random_normals(rng: np.random.Generator) -> np.ndarray:
    normals = rng.normal(size=(*SIZE, 3))
    normals[..., 2] = -np.abs(normals[..., 2]) - 0.05  # towards the camera
    return (normals / np.linalg.norm(normals, axis=2, keepdims=True)).astype(np.float32)


def plane_points(depth: np.ndarray, focal: float) -> np.ndarray:
    """What a camera with a focal length sees at a depth, (H, W, 3)."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    x = (u - (SIZE[1] - 1) / 2) / focal * depth
    y = (v - (SIZE[0] - 1) / 2) / focal * depth
    return np.stack([x, y, depth], axis=2).astype(np.float32)


@pytest.fixture
def frame() -> Frame:
    rng = np.random.default_rng(5)
    return Frame(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8), "sub/photo", "sub/photo.jpg")


@pytest.fixture
def prediction() -> Prediction:
    rng = np.random.default_rng(6)
    depth = (2 + rng.random(SIZE) / 50).astype(np.float32)
    alpha = rng.random((*SIZE, 1)).astype(np.float32)
    alpha[5, 5], alpha[6, 6] = 0, 1
    maps = {
        "seg": {"segmentation": rng.integers(0, 29, SIZE).astype(np.uint8)},
        "normal": {"normal": random_normals(rng)},
        "depth": {"depth": depth},
        "relative": {"depth": rng.random(SIZE).astype(np.float32)},
        "points": {"pointmap": plane_points(depth, 40.0), "depth": depth.copy()},
        "albedo": {"albedo": rng.random((*SIZE, 3)).astype(np.float32)},
        "matte": {"alpha": alpha, "foreground": alpha * rng.random((*SIZE, 3)).astype(np.float32)},
    }
    maps["albedo"]["albedo"][10, 10] = 0
    for found in maps.values():
        for values in found.values():
            values[:UNKNOWN] = 255 if values.dtype == np.uint8 else np.nan
    skeleton = load_skeleton("coco17")
    people = [
        Instance(
            "pose",
            box=np.array([1.5, 2, 10, 20], np.float32) + person,
            score=0.9 - person / 3,
            keypoints=rng.random((17, 3)).astype(np.float32) * [31, 24, 1],
            id=7 + person,
        )
        for person in range(2)
    ]
    heads = {
        "pose": HeadInfo(skeleton=skeleton),
        "seg": HeadInfo(classes=load_classes("body29")),
        "relative": HeadInfo(relative=True),
    }
    return Prediction(SIZE, people, maps, 40.0, heads=heads)
