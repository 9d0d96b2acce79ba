"""The features of a face as curves in its frontal chart, used by paint and labels.

Lengths are in head heights (chin to crown). The chart is the head frame seen from the front: x to the person's left, y
up, 0 at the head's pivot. A paired feature is given once, in X = x for the left and X = -x for the right, so that X
increases away from the nose. The curves of a feature are functions of s in -1..1 from its inner (or, for the mouth, its
right) to its outer end.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array

LASH_WIDTH = 1.1  # the lash lines are wider than the opening, and outside it


@dataclass(frozen=True)
class Eye:
    """The opening between the lids, an almond, and the iris behind it.

    Attributes:
        x, y: middle of the opening when open.
        half_width: of the opening.
        upper, lower: distance of the lids from the line between the corners at s = 0, when open.
        cant: height of the outer corner above the middle.
        openness: 0 closed to 1 open.
        lash: width of the upper lid's margin, which carries the lashes.
        crease: distance of the upper lid's crease from the lid's edge, when open.
        gaze: (2,) offset of the iris's center from the middle.
        iris, pupil: radii.
    """

    x: float
    y: float
    half_width: float
    upper: float
    lower: float
    cant: float
    openness: float
    lash: float
    crease: float
    gaze: tuple[float, float]
    iris: float
    pupil: float

    def across(self, s: Array) -> Array:
        """Return X at s."""
        return self.x + self.half_width * s

    def _corners(self, s: Array) -> Array:
        return self.y + self.cant * s

    def _lid(self, s: Array, height: float) -> Array:
        round_ = np.maximum(1 - s**2, 0)
        closed = -0.7 * self.lower
        return self._corners(s) + round_ * (closed + self.openness * (height - closed))

    def upper_lid(self, s: Array) -> Array:
        """Return y of the upper lid's edge, where the eyeball begins."""
        return self._lid(s, self.upper)

    def lower_lid(self, s: Array) -> Array:
        """Return y of the lower lid's edge."""
        return self._lid(s, -self.lower)

    def lash_across(self, s: Array) -> Array:
        """Return X of the lash lines at their s."""
        return self.x + LASH_WIDTH * self.half_width * s

    def upper_lash(self, s: Array) -> Array:
        """Return y of the upper lash line: the outer side of the lid's margin."""
        return self._lid(s, self.upper) + self.lash * (1 - 0.7 * s**2)

    def lower_lash(self, s: Array) -> Array:
        """Return y of the lower lash line."""
        return self._lid(s, -self.lower) - 0.6 * self.lash * (1 - 0.7 * s**2)

    def upper_crease(self, s: Array) -> Array:
        """Return y of the upper lid's crease, which does not move when the eye closes."""
        return self._corners(s) + (self.upper + self.crease) * (1 - s**2) + 0.7 * self.crease * s**2

    @property
    def iris_center(self) -> tuple[float, float]:
        """(X, y) of the iris and the pupil."""
        return self.x + self.gaze[0], self.y + 0.25 * (self.upper - self.lower) + self.gaze[1]

    def shows(self, x: Array, y: Array) -> npt.NDArray[np.bool_]:
        """Whether (X, y), arrays of the same shape, lies between the lids."""
        s = (x - self.x) / self.half_width
        return (np.abs(s) < 1) & (y < self.upper_lid(s)) & (y > self.lower_lid(s))


@dataclass(frozen=True)
class Brow:
    """An eyebrow from `inner` to `outer`, (X, y) each, `arch` above the line between them, `thickness` at full."""

    inner: tuple[float, float]
    outer: tuple[float, float]
    arch: float
    thickness: float

    def across(self, s: Array) -> Array:
        """Return X at s."""
        return self.inner[0] + 0.5 * (s + 1) * (self.outer[0] - self.inner[0])

    def _middle(self, s: Array) -> Array:
        t = np.clip(0.5 * (s + 1), 0, 1)
        return self.inner[1] + t * (self.outer[1] - self.inner[1]) + self.arch * np.sin(np.pi * t**1.3)

    def _half(self, s: Array) -> Array:
        t = np.clip(0.5 * (s + 1), 0, 1)
        return 0.5 * self.thickness * (1 - t**2.5) * np.minimum(0.7 + 1.5 * t, 1)

    def upper(self, s: Array) -> Array:
        """Return y of the upper border."""
        return self._middle(s) + self._half(s)

    def lower(self, s: Array) -> Array:
        """Return y of the lower border; it meets the upper one at s = 1."""
        return self._middle(s) - self._half(s)


@dataclass(frozen=True)
class Mouth:
    """Lips, and what is visible between them.

    Attributes:
        y: of the middle of the line between the lips.
        half_width: from corner to corner, outside.
        smile: height of the corners above the middle.
        upper, lower: thickness of the lips.
        bow: depth of the cupid's bow, as a share of the upper lip.
        raised, dropped: distance of the lips' inner borders from the line; 0 for a closed mouth.
        teeth: visible heights of the upper and the lower teeth.
        tongue: height of the tongue above the lower lip.
    """

    y: float
    half_width: float
    smile: float
    upper: float
    lower: float
    bow: float
    raised: float
    dropped: float
    teeth: tuple[float, float]
    tongue: float

    @property
    def inner_half_width(self) -> float:
        """Half the width between the inner corners."""
        return 0.9 * self.half_width

    def across(self, s: Array) -> Array:
        """Return X of the outer borders at s; -1 is the person's right corner."""
        return self.half_width * s

    def inner_across(self, s: Array) -> Array:
        """Return X of the inner borders at their s."""
        return self.inner_half_width * s

    def line(self, x: Array) -> Array:
        """Return y of the line between the lips at x."""
        return self.y + self.smile * (x / self.half_width) ** 2

    def upper_outer(self, s: Array) -> Array:
        """Return y of the upper lip's outer border at s."""
        bow = 1 - self.bow * np.exp(-((s / 0.16) ** 2))
        return self.line(self.across(s)) + (self.upper + self.raised) * np.maximum(1 - s**2, 0) ** 0.8 * bow

    def lower_outer(self, s: Array) -> Array:
        """Return y of the lower lip's outer border at s."""
        return self.line(self.across(s)) - (self.lower + self.dropped) * np.maximum(1 - s**2, 0) ** 0.8

    def upper_inner(self, s: Array) -> Array:
        """Return y of the upper lip's inner border at its s."""
        return self.line(self.inner_across(s)) + self.raised * np.maximum(1 - s**2, 0)

    def lower_inner(self, s: Array) -> Array:
        """Return y of the lower lip's inner border at its s."""
        return self.line(self.inner_across(s)) - self.dropped * np.maximum(1 - s**2, 0)


@dataclass(frozen=True)
class Nose:
    """Heights along the middle, and the nostrils, ellipses in the chart.

    Attributes:
        root, tip, base: y of the root between the eyes, of the tip, and of where it meets the upper lip.
        half_width: of the wings.
        nostril: (X, y, half width, half height).
    """

    root: float
    tip: float
    base: float
    half_width: float
    nostril: tuple[float, float, float, float]


@dataclass(frozen=True)
class Face:
    """All features: eyes and brows of the person's right, then left."""

    eyes: tuple[Eye, Eye]
    brows: tuple[Brow, Brow]
    nose: Nose
    mouth: Mouth
