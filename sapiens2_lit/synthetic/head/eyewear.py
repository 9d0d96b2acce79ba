"""Glasses: two rims of thin rods, a bridge and temples; lengths in head heights."""

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Part, plain, rounded_cone
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.ears import Ear
from sapiens2_lit.synthetic.head.face import Face

RODS = 10  # rods per rim
_COLORS = np.array(
    [
        (0.08, 0.08, 0.09),
        (0.25, 0.14, 0.08),
        (0.55, 0.50, 0.42),
        (0.70, 0.58, 0.30),
        (0.50, 0.10, 0.12),
        (0.12, 0.2, 0.4),
    ]
)


def sample_glasses(rng: np.random.Generator, face: Face, ear: Ear) -> list[Part]:
    """Return glasses before a face, hung on both ears: round, or more rectangular.

    Args:
        rng: source of the choices.
        face: gives the place of the eyes.
        ear: the left ear.
    """
    paint = plain(_COLORS[rng.integers(len(_COLORS))], BodyClass.EYEGLASS)
    rod = rng.uniform(0.007, 0.014)
    wide, high = rng.uniform(0.100, 0.115), rng.uniform(0.070, 0.098)
    power = rng.uniform(0.55, 1.0)  # exponent of the superellipse: 1 is an ellipse
    eye = 0.5 * (face.eyes[0].x + face.eyes[1].x)
    level = 0.5 * (face.eyes[0].y + face.eyes[1].y) - 0.012
    angle = 2 * np.pi * (np.arange(RODS) + 0.5) / RODS
    x = eye + wide * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = level + high * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    rim = np.stack([x, y, _distance(x)], axis=1)
    inner, outer = eye - wide, eye + wide
    hinge = np.array([outer + 0.004, level + 0.35 * high, _distance(np.array(outer)) - 0.005])
    hook = np.array([ear.center[0] + 0.006, ear.center[1] + 0.55 * ear.size, ear.center[2] - 0.01])
    parts = []
    for sign in (-1.0, 1.0):
        mirror = np.array([sign, 1.0, 1.0])
        ends = rim * mirror
        for start, end in zip(ends, np.roll(ends, -1, axis=0), strict=True):
            parts.append(rounded_cone(start, end, (rod, rod), paint))
        parts.append(rounded_cone(hinge * mirror, hook * mirror, (rod, rod), paint, front=(0, 1, 0)))
    nose = np.array([inner, level + 0.3 * high, _distance(np.array(inner)) + 0.002])
    parts.append(rounded_cone(nose * (-1.0, 1.0, 1.0), nose, (rod, rod), paint))
    return parts


def _distance(x: Array) -> Array:
    """Return z of the frame's plane, which bends around the face."""
    return np.asarray(0.485 - 0.9 * np.maximum(x - 0.05, 0) ** 2)
