"""Hair: the scalp, its color, and styles made of a few smooth locks; lengths in head heights."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Part, ellipsoid, plain, rounded_cone
from sapiens2_lit.synthetic.dataset.classes import BodyClass

Labels = npt.NDArray[np.uint8]
# Azimuths from the front in radians at which the hairline's height is given: forehead, temple, sideburn, ear, nape
_AZIMUTH = np.array([0.0, 0.45, 0.85, 1.12, 1.27, 1.42, 1.75, 2.3, np.pi])
_HEIGHT = np.array([0.0, 0.01, -0.05, -0.16, -0.33, -0.40, -0.42, -0.54, -0.59])

# sRGB of natural hair, from black to gray
NATURAL = np.array(
    [
        (0.07, 0.06, 0.06),
        (0.13, 0.09, 0.07),
        (0.22, 0.14, 0.10),
        (0.33, 0.22, 0.14),
        (0.46, 0.32, 0.20),
        (0.66, 0.51, 0.32),
        (0.80, 0.68, 0.47),
        (0.47, 0.20, 0.10),
        (0.52, 0.51, 0.50),
        (0.80, 0.79, 0.77),
    ]
)
DYED = np.array([(0.55, 0.15, 0.30), (0.20, 0.30, 0.60), (0.85, 0.50, 0.62), (0.20, 0.45, 0.38)])


@dataclass(frozen=True)
class Scalp:
    """The area of the skull with hair, and its color.

    Attributes:
        front: y of the hairline in the middle of the forehead.
        recess: additional height of the hairline at the temples.
        bald: radians from the front up to which the crown is bald; 0 for none.
        color: sRGB (3,).
    """

    front: float
    recess: float
    bald: float
    color: Array

    def covers(self, head: Array) -> npt.NDArray[np.bool_]:
        """Whether hair grows at points (N, 3) on the skull, in the head frame."""
        azimuth = np.abs(np.arctan2(head[:, 0], head[:, 2] - 0.03))
        line = self.front + np.interp(azimuth, _AZIMUTH, _HEIGHT)
        line = line + self.recess * np.exp(-(((azimuth - 0.5) / 0.25) ** 2))
        grows = head[:, 1] > line
        if self.bald:
            edge = 0.36 - 0.3 * np.exp(-(((azimuth - self.bald) / 0.3) ** 2))
            grows &= (azimuth > self.bald) & (head[:, 1] < edge)
        return np.asarray(grows)


def hair_tone(color: Array, head: Array) -> Array:
    """Return a color with strands that run down from the crown, at points (N, 3) in the head frame."""
    # Without the 0.25, strands would crowd around the vertical axis where hair hangs below the head.
    around = np.arctan2(head[:, 0], 0.25 + np.abs(head[:, 2] + 0.1))
    bend = 1.5 * np.sin(5 * head[:, 1] + 3 * around)
    strands = 0.07 * np.sin(43 * around + bend) * np.sin(9 * around + 1) + 0.05 * np.sin(
        81 * around + 2 * bend + 1
    )
    return np.clip(color * (1 + strands)[:, None] + 0.02 * strands[:, None], 0, 1)


@dataclass(frozen=True)
class HairPaint:
    """Strands of hair, in the head's frame."""

    color: Array

    def __call__(self, head: Array) -> tuple[Array, Labels]:
        return hair_tone(self.color, head), np.full(len(head), BodyClass.HAIR, dtype=np.uint8)


def sample_hair_color(rng: np.random.Generator, *, darkness: float, child: bool) -> Array:
    """Return a random hair color, sRGB (3,).

    Args:
        rng: source of the choice.
        darkness: of the skin, 0..1; it makes fair hair rarer.
        child: no gray or dyed hair.
    """
    if not child and rng.uniform() < 0.04:
        return np.asarray(DYED[rng.integers(len(DYED))])
    fair = (1 - 0.95 * darkness) ** 2
    grey = 0.0 if child else 0.06
    chances = np.array(
        [0.22, 0.24, 0.2, 0.14 * fair, 0.1 * fair, 0.08 * fair, 0.05 * fair, 0.05 * fair, grey, grey]
    )
    color = NATURAL[rng.choice(len(NATURAL), p=chances / chances.sum())]
    return np.clip(color * rng.uniform(0.85, 1.15) + rng.normal(0, 0.008, 3), 0.02, 1)


def _paint(parts: list[Part], color: Array) -> list[Part]:
    paint = HairPaint(color)
    return [replace(part, paint=paint, chart=part.frame) for part in parts]


_bare = plain((0, 0, 0), BodyClass.HAIR)  # replaced as soon as a part's frame is known


def _ball(x: float, y: float, z: float, a: float, b: float, c: float) -> Part:
    return ellipsoid((x, y, z), (a, b, c), _bare)


def _lock(
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    radii: tuple[float, float],
    flat: float = 1.0,
) -> Part:
    """Return a lock from start to end, flattened along z."""
    return rounded_cone(start, end, radii, _bare, stretch=(1.0, flat))


def _cap(volume: float) -> Part:
    """Return hair over the skull that leaves face and ears free; `volume` is its distance from the skull."""
    return _ball(0, 0.235, -0.008, 0.335 + volume, 0.385 + volume, 0.405 + volume)


def _cropped(rng: np.random.Generator) -> list[Part]:
    return []


def _short(rng: np.random.Generator) -> list[Part]:
    return [_cap(rng.uniform(0.008, 0.03))]


def _quiff(rng: np.random.Generator) -> list[Part]:
    side = rng.uniform(-0.06, 0.06)
    return [_cap(0.012), _ball(side, 0.50, 0.12, 0.23, 0.15 * rng.uniform(0.9, 1.2), 0.27)]


def _parted(rng: np.random.Generator) -> list[Part]:
    side = rng.choice([-1.0, 1.0])
    return [
        _cap(0.015),
        _ball(side * 0.10, 0.46, 0.10, 0.23, 0.17, 0.30),
        _ball(-side * 0.17, 0.42, 0.02, 0.17, 0.17, 0.32),
    ]


def _curly(rng: np.random.Generator) -> list[Part]:
    parts = [_cap(0.02)]
    for index in range(9):
        azimuth = index * 2.4 + rng.uniform(-0.2, 0.2)
        height = max(0.30 + 0.26 * index / 8, 0.47 if np.cos(azimuth) > 0.2 else 0.0)
        round_ = np.sqrt(max(1 - ((height - 0.21) / 0.40) ** 2, 0.05))
        size = rng.uniform(0.13, 0.17)
        parts.append(
            _ball(
                0.29 * round_ * np.sin(azimuth),
                height,
                -0.03 + 0.34 * round_ * np.cos(azimuth),
                size,
                size,
                size,
            )
        )
    return parts


def _afro(rng: np.random.Generator) -> list[Part]:
    size = rng.uniform(0.02, 0.14)
    return [_ball(0, 0.30 + 0.4 * size, -0.09, 0.39 + size, 0.385 + size, 0.42 + 0.8 * size)]


def _fringe(rng: np.random.Generator) -> list[Part]:
    return [_ball(0, 0.37, 0.14, 0.305, 0.19, 0.325)]


def _bob(rng: np.random.Generator) -> list[Part]:
    end = rng.uniform(-0.30, -0.10)
    sides = [_lock((s * 0.27, 0.22, -0.02), (s * 0.285, end, -0.01), (0.13, 0.10), 1.25) for s in (-1, 1)]
    return [_cap(0.028), *sides, _ball(0, 0.5 * (0.3 + end), -0.20, 0.33, 0.5 * (0.3 - end) + 0.16, 0.25)]


def _long(rng: np.random.Generator) -> list[Part]:
    end = rng.uniform(-0.85, -0.45)
    parts = [_cap(0.028), _lock((0, 0.12, -0.20), (0, end, -0.30), (0.31, 0.20), 0.62)]
    front = rng.uniform(0.0, 0.16) if rng.uniform() < 0.6 else -0.12
    for s in (-1, 1):
        parts.append(_lock((s * 0.27, 0.24, 0.0), (s * 0.30, -0.22, -0.03), (0.12, 0.10), 1.1))
        parts.append(_lock((s * 0.30, -0.20, -0.03), (s * 0.28, end + 0.1, front), (0.10, 0.055)))
    return parts


def _bun(rng: np.random.Generator) -> list[Part]:
    size, up = rng.uniform(0.10, 0.16), rng.uniform(-0.2, 1.2)
    return [_cap(0.012), _ball(0, 0.23 + 0.43 * np.sin(up), -0.02 - 0.46 * np.cos(up), size, size, size)]


def _ponytail(rng: np.random.Generator) -> list[Part]:
    up, end = rng.uniform(0.05, 0.5), rng.uniform(-0.7, -0.25)
    knot = (0.0, up, -0.41 + 0.15 * max(up - 0.25, 0))
    bend = (rng.uniform(-0.04, 0.04), up - 0.16, knot[2] - 0.08)
    tip = (bend[0] * 2, end, bend[2] + 0.10)
    return [_cap(0.012), _lock(knot, bend, (0.06, 0.12)), _lock(bend, tip, (0.12, 0.05))]


def _pigtails(rng: np.random.Generator) -> list[Part]:
    end = rng.uniform(-0.55, -0.2)
    tails = [_lock((s * 0.36, 0.05, -0.16), (s * 0.40, end, -0.02), (0.09, 0.045)) for s in (-1, 1)]
    return [_cap(0.015), *tails]


def hanging_beard(length: float, color: Array) -> list[Part]:
    """Return a beard that hangs about `length` below the chin."""
    return _paint([_ball(0, -0.335 - 0.3 * length, 0.245, 0.15, 0.07 + length, 0.155)], color)


# Styles, and how often men and women have them
Style = Callable[[np.random.Generator], list[Part]]
STYLES: dict[Style, tuple[float, float]] = {
    _cropped: (2.0, 0.15),
    _short: (3.0, 0.4),
    _quiff: (2.0, 0.1),
    _parted: (2.5, 0.5),
    _curly: (1.2, 1.0),
    _afro: (0.7, 0.9),
    _bob: (0.2, 2.0),
    _long: (0.4, 3.0),
    _bun: (0.15, 1.3),
    _ponytail: (0.15, 1.8),
    _pigtails: (0.0, 0.8),
}
UNDER_A_HAT: dict[Style, tuple[float, float]] = {_cropped: (3.0, 0.6), _bob: (0.2, 1.5), _long: (0.3, 2.5)}


def sample_locks(rng: np.random.Generator, color: Array, *, feminine: float, hat: bool) -> list[Part]:
    """Return the parts of a hairstyle that stand off the painted skull.

    Args:
        rng: source of the style.
        color: sRGB (3,).
        feminine: 0..1, changes the probability of styles.
        hat: whether only hair that hangs out below a hat is wanted.
    """
    choices = UNDER_A_HAT if hat else STYLES
    chances = np.array([(1 - feminine) * men + feminine * women for men, women in choices.values()])
    style = list(choices)[rng.choice(len(choices), p=chances / chances.sum())]
    parts = style(rng)
    if not hat and style not in (_cropped, _quiff, _afro) and rng.uniform() < 0.1 + 0.25 * feminine:
        parts += _fringe(rng)
    return _paint(parts[1:] if hat else parts, color)
