"""Caps, beanies, hats and headscarves with class Apparel; lengths in head heights."""

from collections.abc import Callable

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Part, ellipsoid, plain, rounded_cone
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.skull import lowered

_COLORS = np.array(
    [
        (0.12, 0.13, 0.16),
        (0.16, 0.22, 0.38),
        (0.62, 0.12, 0.12),
        (0.24, 0.36, 0.25),
        (0.75, 0.70, 0.60),
        (0.45, 0.44, 0.45),
        (0.86, 0.86, 0.84),
        (0.80, 0.58, 0.20),
        (0.42, 0.24, 0.42),
    ]
)


def _cap(rng: np.random.Generator, color: Array, other: Array) -> list[Part]:
    paint = plain(color, BodyClass.APPAREL)
    brim = plain(other, BodyClass.APPAREL)
    back = rng.uniform() < 0.15
    z, tip = (-0.42, -0.2) if back else (0.50, 0.22)
    return [
        ellipsoid((0, 0.345, 0.015), (0.362, 0.32, 0.45), paint),
        ellipsoid((0, 0.30, z), (0.25, 0.02, 0.22), brim, rotation=lowered(tip)),
        ellipsoid((0, 0.66, 0.01), (0.03, 0.015, 0.03), brim),
    ]


def _beanie(rng: np.random.Generator, color: Array, other: Array) -> list[Part]:
    paint = plain(color, BodyClass.APPAREL)
    top = rng.uniform(0.30, 0.40)
    parts = [
        ellipsoid((0, 0.36, -0.01), (0.365, top, 0.445), paint),
        ellipsoid(
            (0, 0.295, 0.005),
            (0.375, 0.095, 0.465),
            plain(0.92 * color, BodyClass.APPAREL),
            rotation=lowered(-0.12),
        ),
    ]
    if rng.uniform() < 0.4:
        parts.append(ellipsoid((0, 0.40 + top, -0.03), (0.09, 0.08, 0.09), plain(other, BodyClass.APPAREL)))
    return parts


def _hat(rng: np.random.Generator, color: Array, other: Array) -> list[Part]:
    paint = plain(color, BodyClass.APPAREL)
    wide = rng.uniform(0.52, 0.72)
    return [
        rounded_cone((0, 0.36, 0.01), (0, 0.50, 0.0), (0.355, 0.28), paint, stretch=(1.0, 1.22)),
        ellipsoid((0, 0.325, 0.02), (0.366, 0.065, 0.446), plain(other, BodyClass.APPAREL)),
        ellipsoid(
            (0, 0.325, 0.02), (wide, 0.028, wide * 1.12), paint, rotation=lowered(rng.uniform(-0.1, 0.08))
        ),
    ]


def _headscarf(rng: np.random.Generator, color: Array, other: Array) -> list[Part]:
    paint = plain(color, BodyClass.APPAREL)
    under = plain(0.5 * (color + other), BodyClass.APPAREL)
    return [
        ellipsoid((0, 0.13, -0.07), (0.405, 0.535, 0.45), paint),
        ellipsoid((0, 0.405, 0.02), (0.36, 0.25, 0.44), under if rng.uniform() < 0.4 else paint),
        rounded_cone((0, -0.22, -0.05), (0, -0.56, -0.06), (0.27, 0.34), paint),
        rounded_cone((-0.16, -0.24, 0.02), (0.14, -0.40, 0.06), (0.17, 0.20), paint),
    ]


Headwear = Callable[[np.random.Generator, Array, Array], list[Part]]
_KINDS: dict[Headwear, tuple[float, float]] = {
    _cap: (0.5, 0.2),
    _beanie: (0.3, 0.25),
    _hat: (0.2, 0.25),
    _headscarf: (0.0, 0.3),
}


def sample_headwear(rng: np.random.Generator, *, feminine: float) -> tuple[list[Part], bool]:
    """Return the parts of something worn on the head, and whether it hides all hair."""
    chances = np.array([(1 - feminine) * men + feminine * women for men, women in _KINDS.values()])
    kind = list(_KINDS)[rng.choice(len(_KINDS), p=chances / chances.sum())]
    color, other = _COLORS[rng.choice(len(_COLORS), 2, replace=False)] * rng.uniform(0.85, 1.1, (2, 1))
    return kind(rng, np.clip(color, 0, 1), np.clip(other, 0, 1)), kind is _headscarf
