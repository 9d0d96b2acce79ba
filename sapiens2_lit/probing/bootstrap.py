"""Compute intervals of metrics by resampling test images, with the same resamplings for every row of the table.

Legend: S seeds, N images, R resamplings, M metrics.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Statistics = Mapping[str, Tensor]  # by name, one row per image: sums from which metrics follow
Metrics = Callable[[Statistics], dict[str, Tensor]]  # sums (..., *) over images to metrics (...)
LEVEL = 0.95
SEED = 2604  # of the resamplings
_TRACE = 1e-9
_DIGITS = 8  # of intervals, so that the additional weight does not show
_CHUNK = 50  # resamplings at a time


@dataclass(frozen=True)
class Score:
    """One metric of one row.

    Attributes:
        mean: Over seeds, on the test images without resampling.
        std: Standard deviation over seeds; 0 for a single one.
        interval: 95 % interval of the mean over seeds, over resamplings of the test images.
        resampled: (R,) mean over seeds in each resampling; paired between rows.
    """

    mean: float
    std: float
    interval: tuple[float, float]
    resampled: npt.NDArray[np.float64]

    def as_dict(self) -> dict[str, object]:
        """Return the score in the form of results.json."""
        return {"mean": self.mean, "std": self.std, "interval": list(self.interval)}


def draw_weights(images: int, resamplings: int) -> Tensor:
    """Return how often each image is in each resampling with replacement, (R, N) float64; always the same.

    Each image has a tiny additional weight: a class that a resampling lacks keeps its value over all images, instead of
    dropping out of the mean, which would rise.

    Efron, "Bootstrap methods: another look at the jackknife", 1979.

    Args:
        images: N.
        resamplings: R.
    """
    generator = np.random.default_rng((SEED, images))
    drawn = generator.multinomial(images, np.full(images, 1 / images), size=resamplings)
    return torch.from_numpy(drawn + _TRACE)


def score_all(statistics: Sequence[Statistics], metrics: Metrics, weights: Tensor) -> dict[str, Score]:
    """Return every metric of one row with its interval.

    Args:
        statistics: For each seed, (N, ...) sums of each test image.
        metrics: From sums over images to metrics.
        weights: (R, N) of `draw_weights`.
    """
    whole = [metrics(summed(one, torch.ones(1, weights.shape[1], dtype=weights.dtype))) for one in statistics]
    again: list[dict[str, Tensor]] = []
    for one in statistics:
        parts = [metrics(summed(one, part)) for part in weights.split(_CHUNK)]
        again.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    found = {}
    for name in whole[0]:
        values = np.array([float(one[name]) for one in whole])
        resampled = torch.stack([one[name] for one in again]).mean(dim=0).numpy()
        low, high = interval_of(resampled)
        deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        found[name] = Score(float(values.mean()), deviation, (low, high), resampled)
    return found


def summed(statistics: Statistics, weights: Tensor) -> dict[str, Tensor]:
    """Return sums over images (R, ...), weighted by (R, N).

    Args:
        statistics: (N, ...) by name.
        weights: (R, N).
    """
    return {
        name: (weights @ value.double().reshape(len(value), -1)).reshape(-1, *(value.shape[1:] or (1,)))
        for name, value in statistics.items()
    }


def interval_of(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % percentiles of values (R,); NaN if a resampling has no value."""
    low, high = np.percentile(resampled, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return round(float(low), _DIGITS), round(float(high), _DIGITS)


def separate(first: Score, second: Score) -> bool:
    """Return whether the intervals of two rows do not overlap."""
    return first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
