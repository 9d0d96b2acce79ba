"""Smooth keypoints in videos with the One-Euro filter (Casiez et al., CHI 2012, doi:10.1145/2207676.2208639)."""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OneEuro:
    """Strength of the smoothing: strong for slow points, weak for fast ones, at any frame rate.

    Speeds are measured in sizes of the person, so that the settings hold at any resolution. A point that moves steadily
    lags behind by less than 1 / (2 pi beta) of the person's size: by 1.6 percent by default.

    Attributes:
        min_cutoff: Hz, for points at rest: lower is steadier.
        beta: Hz to add for each size of the person per second: higher lags less.
        speed_cutoff: Hz, for the speeds themselves.

    Raises:
        SettingError: A value is out of its range.
    """

    min_cutoff: float = 1.0
    beta: float = 10.0
    speed_cutoff: float = 1.0

    def __post_init__(self) -> None:
        for name, low in (("min_cutoff", 0), ("speed_cutoff", 0)):
            if not getattr(self, name) > low:
                raise SettingError(f"smoothing: {name} is {getattr(self, name)}, expected above 0 Hz")
        if not self.beta >= 0:
            raise SettingError(f"smoothing: beta is {self.beta}, expected 0 or more")


@dataclass
class SmoothPoints:
    """The filter's state for the points of one person.

    Unlike in the paper, a point's speed is computed from its measurements, not from its distance to the last filtered
    value, and x and y share one speed, so that the result is the same in a rotated picture.

    Legend: K points.
    """

    settings: OneEuro
    time: float = math.nan
    measured: Points = field(default_factory=lambda: np.full((0, 2), np.nan))
    filtered: Points = field(default_factory=lambda: np.full((0, 2), np.nan))
    velocity: Points = field(default_factory=lambda: np.zeros((0, 2)))

    def update(self, points: npt.NDArray[np.floating], time: float, size: float) -> Points:
        """Return the filtered x, y (K, 2) of the points.

        Points that are not finite are returned unchanged, and smoothing restarts when they reappear.

        Args:
            points: (K, 2) x, y in pixels.
            time: In seconds, later than the last one; at the same time nothing moves.
            size: Of the person in pixels.
        """
        now: Points = np.asarray(points, dtype=np.float64)
        if len(self.filtered) != len(now):
            self.measured = self.filtered = np.full_like(now, np.nan)
            self.velocity = np.zeros_like(now)
        steady = np.isfinite(self.filtered) & np.isfinite(now)
        fresh = ~steady.all(axis=1, keepdims=True)
        elapsed = time - self.time
        if elapsed <= 0:
            self.filtered = np.where(fresh, now, self.filtered)
            return self.filtered.copy()
        # before the first frame `elapsed` is NaN, and every point is fresh
        rate = weight(self.settings.speed_cutoff, elapsed)
        velocity = self.velocity + rate * ((now - self.measured) / elapsed - self.velocity)
        speed = np.hypot(velocity[:, 0], velocity[:, 1]) / max(size, 1e-6)
        share = weight(self.settings.min_cutoff + self.settings.beta * speed, elapsed)[:, None]
        self.filtered = np.where(fresh, now, self.filtered + share * (now - self.filtered))
        self.velocity = np.where(fresh, 0, velocity)
        self.measured, self.time = now, time
        return self.filtered.copy()


def weight(cutoff: npt.ArrayLike, elapsed: float) -> Points:
    """Return the weight of a new value in a first-order low-pass filter.

    Args:
        cutoff: Hz, a scalar or (K,).
        elapsed: Seconds since the last value.
    """
    return np.asarray(1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * elapsed)))
