"""Colors and simple textures of cloth and skin, as functions of points in meters."""

from collections.abc import Callable
from colorsys import hsv_to_rgb

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array, Paint, Painted

# Points (N, 3) in meters -> sRGB colors (N, 3) in 0..1.
Texture = Callable[[Array], Array]
# Points (N, 3) in meters -> which of them (N,).
Where = Callable[[Array], npt.NDArray[np.bool_]]

# From very light to very dark, as sRGB in 0..1.
_SKIN_TONES = np.array(
    (
        (0.973, 0.859, 0.796),
        (0.949, 0.800, 0.710),
        (0.906, 0.733, 0.616),
        (0.843, 0.655, 0.525),
        (0.757, 0.561, 0.424),
        (0.639, 0.451, 0.325),
        (0.525, 0.357, 0.251),
        (0.416, 0.278, 0.200),
        (0.325, 0.216, 0.161),
        (0.255, 0.173, 0.137),
    )
)


def sample_skin(rng: np.random.Generator) -> Array:
    """Return an sRGB skin tone (3,), uniformly from very light to very dark."""
    place = rng.uniform(0, len(_SKIN_TONES) - 1)
    below = int(place)
    tone = _SKIN_TONES[below] + (place - below) * (_SKIN_TONES[below + 1] - _SKIN_TONES[below])
    return np.clip(tone + rng.normal(0, 0.012, 3), 0.05, 0.99)


def sample_color(rng: np.random.Generator) -> Array:
    """Return an sRGB color (3,) for clothes: dark, light, muted or, less often, saturated."""
    kind, hue = rng.random(), rng.random()
    if kind < 0.28:
        return _from_hsv(hue, rng.uniform(0.0, 0.45), rng.uniform(0.08, 0.28))
    if kind < 0.48:
        return _from_hsv(hue, rng.uniform(0.0, 0.12), rng.uniform(0.75, 0.97))
    if kind < 0.78:
        return _from_hsv(hue, rng.uniform(0.15, 0.45), rng.uniform(0.35, 0.75))
    return _from_hsv(hue, rng.uniform(0.6, 0.92), rng.uniform(0.5, 0.9))


def sample_denim(rng: np.random.Generator) -> Array:
    """Return an sRGB color (3,) for jeans and plain trousers: blues, black, gray, beige."""
    if rng.random() < 0.5:
        return _from_hsv(rng.uniform(0.58, 0.64), rng.uniform(0.35, 0.65), rng.uniform(0.22, 0.62))
    if rng.random() < 0.6:
        return np.full(3, rng.uniform(0.08, 0.5)) + rng.normal(0, 0.01, 3)
    return _from_hsv(rng.uniform(0.07, 0.12), rng.uniform(0.2, 0.45), rng.uniform(0.45, 0.8))


def _from_hsv(hue: float, saturation: float, value: float) -> Array:
    return np.array(hsv_to_rgb(hue, saturation, value))


def mottled(color: Array, amount: float, size: float, phase: Array) -> Texture:
    """Return soft lighter and darker patches: a sum of three waves.

    Args:
        color: sRGB (3,).
        amount: of the lightness, about 0.02 to 0.1.
        size: of a patch in meters.
        phase: (3, 3), direction and offset of the waves, about 1.
    """
    waves = phase[:, :3] * (2 * np.pi / size)
    offsets = phase.sum(axis=1) * 7

    def texture(points: Array) -> Array:
        change = np.sin(points @ waves.T + offsets).sum(axis=1) * (amount / 3)
        return np.clip(color * (1 + change[:, None]), 0.0, 1.0)

    return texture


def pattern(base: Texture, other: Texture, where: Where) -> Texture:
    """Return `other` at some points and `base` at the rest.

    Args:
        base: texture outside.
        other: texture inside.
        where: tells the points of `other`.
    """

    def texture(points: Array) -> Array:
        return np.where(where(points)[:, None], other(points), base(points))

    return texture


def unrolled(texture: Texture, axis: float, radius: float) -> Texture:
    """Return a texture wound around trunk or limbs, with a seam at the back.

    Args:
        texture: of the flat cloth, x sideways and y up.
        axis: distance of the limb's axis from the middle in the rest pose, in meters; 0 for the trunk.
        radius: of the limb in meters, approximately.
    """

    def wound(points: Array) -> Array:
        side = np.sign(points[:, 0]) * axis
        flat = points.copy()
        flat[:, 0] = side + radius * np.arctan2(points[:, 0] - side, points[:, 2])
        return texture(flat)

    return wound


def stripes(period: float, width: float, upright: bool) -> Where:
    """Return level or upright stripes.

    Args:
        period: in meters.
        width: of a stripe, as a share of the period.
        upright: whether the stripes run up and down.
    """
    return lambda p: np.mod((p[:, 0] if upright else p[:, 1]) / period, 1.0) < width


def checks(period: float, width: float) -> Where:
    """Return a grid of lines."""
    level, upright = stripes(period, width, False), stripes(period, width, True)
    return lambda p: level(p) | upright(p)


def dots(period: float, width: float) -> Where:
    """Return dots in shifted rows; `width` is their diameter relative to the `period`."""

    def where(p: Array) -> npt.NDArray[np.bool_]:
        v = p[:, 1] / period
        u = p[:, 0] / period + 0.5 * np.mod(np.floor(v), 2)
        return (np.mod(u, 1) - 0.5) ** 2 + (np.mod(v, 1) - 0.5) ** 2 < (width / 2) ** 2

    return where


def sample_cloth(rng: np.random.Generator, color: Array, patterned: float = 0.45) -> Texture:
    """Return a cloth of a color: plain and mottled, or with a pattern.

    Args:
        rng: source of the choices.
        color: sRGB (3,).
        patterned: probability of a pattern.
    """
    phase = rng.normal(0, 1, (3, 3))
    base = mottled(color, rng.uniform(0.02, 0.10), rng.uniform(0.10, 0.4), phase)
    if rng.random() >= patterned:
        return base
    second = sample_color(rng) if rng.random() < 0.7 else np.clip(color * rng.uniform(0.5, 0.8), 0, 1)
    other = mottled(second, 0.04, 0.2, phase)
    period = float(rng.uniform(0.025, 0.09))
    kind = rng.choice(5, p=(0.35, 0.15, 0.2, 0.15, 0.15))
    if kind == 4:
        height = float(rng.uniform(0.2, 0.4))
        return pattern(base, other, lambda p: p[:, 1] > height)
    wheres = (
        stripes(period, float(rng.uniform(0.25, 0.6)), False),
        stripes(period * 0.8, float(rng.uniform(0.15, 0.5)), True),
        checks(period * 1.2, float(rng.uniform(0.15, 0.45))),
        dots(period, float(rng.uniform(0.35, 0.6))),
    )
    return pattern(base, other, wheres[kind])


def sample_skin_texture(rng: np.random.Generator, tone: Array) -> Texture:
    """Return slightly uneven skin of one tone (3,)."""
    return mottled(tone, 0.035, float(rng.uniform(0.08, 0.15)), rng.normal(0, 1, (3, 3)))


def painted(texture: Texture, label: int) -> Paint:
    """Return a texture of one class."""

    def paint(points: Array) -> Painted:
        return texture(points), np.full(len(points), label, dtype=np.uint8)

    return paint


def layered(base: Paint, *layers: tuple[Where, Paint]) -> Paint:
    """Return paints on top of each other; later ones cover earlier ones."""

    def paint(points: Array) -> Painted:
        color, label = base(points)
        for where, over in layers:
            chosen = where(points)
            if chosen.any():
                color[chosen], label[chosen] = over(points[chosen])
        return color, label

    return paint


def above(height: float) -> Where:
    """Return the points higher than `height` meters above the hips."""
    return lambda p: p[:, 1] > height


def between(low: float, high: float) -> Where:
    """Return the points between two heights in meters above the hips."""
    return lambda p: (p[:, 1] > low) & (p[:, 1] < high)
