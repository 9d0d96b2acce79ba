"""Backgrounds: rooms, outdoor scenes, studios and clutter, from a few numbers."""

import cv2
import numpy as np

from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.render.camera import Camera
from sapiens2_lit.synthetic.render.light import Light, to_linear, to_srgb

SHADOW = 0.35  # meters over which the shadow of a foot fades
UPWARDS, FORWARDS = np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])


def sample_background(
    rng: np.random.Generator, camera: Camera, light: Light, feet: Array | None = None
) -> Array:
    """Return an sRGB (H, W, 3) background in 0..1 behind people.

    Args:
        rng: source of all choices.
        camera: the camera that sees it.
        light: the light on it.
        feet: (N, 3) points in the world above which people stand; they darken the floor there.
    """
    kind = rng.choice(["room", "outdoors", "studio", "clutter"], p=[0.4, 0.25, 0.15, 0.2])
    if kind == "studio":
        picture = blend(rng, camera.size, 2)
    elif kind == "clutter":
        picture = add_shapes(rng, blend(rng, camera.size, 4), int(rng.integers(6, 30)))
    else:
        picture = place(rng, camera, light, feet, outdoors=kind == "outdoors")
    blur = rng.exponential(0.004) * max(camera.size)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), blur) if blur > 0.4 else picture, 0, 1)


def color(rng: np.random.Generator, vivid: float = 0.2) -> Array:
    """Return a random sRGB color (3,), most often grayish."""
    return np.clip(rng.uniform(0.15, 0.9) + rng.normal(0, vivid, 3) * rng.uniform(0, 1) ** 2, 0.03, 0.97)


def blend(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Array:
    """Return a picture (H, W, 3) of `cells` x `cells` colors that blend into each other.

    Args:
        rng: source of the colors.
        size: (height, width).
        cells: number of colors along each side.
    """
    base = color(rng)
    light = rng.normal(0, rng.uniform(0.03, 0.2), (cells, cells, 1))
    grid = np.clip(base + light + rng.normal(0, 0.04, (cells, cells, 3)), 0, 1)
    return np.asarray(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.float64)


def noise(rng: np.random.Generator, size: tuple[int, int], octaves: int = 4) -> Array:
    """Return noise (H, W) of about unit strength, with detail at several scales.

    Args:
        rng: source of the noise.
        size: (height, width).
        octaves: number of scales.
    """
    total = np.zeros(size)
    for octave in range(octaves):
        cells = 3 * 2**octave
        grid = rng.normal(0, 0.6**octave, (cells, cells))
        total += cv2.resize(grid, size[::-1], interpolation=cv2.INTER_LINEAR)
    return total


def add_shapes(rng: np.random.Generator, picture: Array, count: int) -> Array:
    """Draw rectangles, discs and bars of random colors over a picture.

    Args:
        rng: source of the shapes.
        picture: (H, W, 3).
        count: number of shapes.
    """
    height, width = picture.shape[:2]
    picture = np.ascontiguousarray(picture, dtype=np.float32)
    for _ in range(count):
        centre = rng.uniform(0, 1, 2) * (width, height)
        extent = rng.lognormal(-2.0, 0.7, 2) * max(height, width)
        fill = color(rng, 0.35).tolist()
        box = cv2.boxPoints(
            (centre.tolist(), extent.tolist(), float(rng.uniform(0, 180) * rng.integers(0, 2)))
        )
        if rng.uniform() < 0.7:
            cv2.fillConvexPoly(picture, np.rint(box * 16).astype(np.int32), fill, cv2.LINE_AA, 4)
        else:
            cv2.circle(
                picture,
                np.rint(centre * 16).astype(int).tolist(),
                int(extent[0] * 8),
                fill,
                -1,
                cv2.LINE_AA,
                4,
            )
    return picture.astype(np.float64)


def place(
    rng: np.random.Generator, camera: Camera, light: Light, feet: Array | None, *, outdoors: bool
) -> Array:
    """Return a floor at y = 0 with a pattern and shadows, and behind it a wall or the sky.

    Args:
        rng: source of the choices.
        camera: the camera.
        light: the light.
        feet: (N, 3) points above which people stand, or None.
        outdoors: whether there is a sky instead of a wall.
    """
    turn = camera.pose[:3, :3].astype(np.float32)
    columns, rows = camera.columns.astype(np.float32), camera.rows.astype(np.float32)[:, None]
    x, y, z = (
        turn[0, i] * columns + turn[1, i] * rows + turn[2, i] for i in range(3)
    )  # (H, W) rays in the world
    eye = -camera.pose[:3, 3] @ camera.pose[:3, :3]
    wall = -rng.uniform(8.0, 60.0) if outdoors else -rng.uniform(0.6, 5.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        down = np.where(y < 0, -np.float32(eye[1]) / y, np.inf)
        back = np.where(z < 0, np.float32(wall - eye[2]) / z, np.inf)
    floor, far = down <= back, np.minimum(down, back)
    far = np.where(np.isfinite(far), far, 0)
    # Distance in meters between the surface points of neighboring pixels: patterns finer than that fade.
    slant = np.abs(np.where(floor, y, z)) / np.sqrt(x * x + y * y + z * z)
    apart = far / np.float32(camera.intrinsics[0, 0]) / np.maximum(slant, 1e-6)
    across, along = eye[0] + far * x, np.where(floor, eye[2] + far * z, eye[1] + far * y)

    result = np.empty((*camera.size, 3))
    ground = to_linear(pattern(rng, across[floor], along[floor], apart[floor])) * light.shading(UPWARDS)
    if feet is not None:
        away = np.min([np.hypot(across[floor] - foot[0], along[floor] - foot[2]) for foot in feet], axis=0)
        ground *= 1 - 0.6 * np.exp(-((away / SHADOW) ** 2))[:, None]
    result[floor] = ground
    if outdoors:
        result[~floor] = sky(rng, camera.size)[~floor]
    else:
        behind = pattern(rng, across[~floor], along[~floor], apart[~floor])
        result[~floor] = to_linear(behind) * light.shading(FORWARDS)
    return to_srgb(result * np.exp(0.05 * noise(rng, camera.size))[..., None])


def sky(rng: np.random.Generator, size: tuple[int, int]) -> Array:
    """Return linear RGB (H, W, 3): a bright gradient with clouds, and sometimes trees or houses."""
    top, bottom = color(rng, 0.1) * (0.7, 0.85, 1.0), color(rng, 0.1) * 0.4 + 0.55
    share = np.linspace(0, 1, size[0])[:, None, None]
    picture = np.broadcast_to(top * (1 - share) + bottom * share, (*size, 3)).copy()
    picture += 0.06 * np.maximum(noise(rng, size), 0)[..., None]
    if rng.uniform() < 0.6:
        picture = add_shapes(rng, picture, int(rng.integers(2, 14)))
    return to_linear(np.clip(picture, 0, 1))


def pattern(rng: np.random.Generator, across: Array, along: Array, apart: Array) -> Array:
    """Return sRGB (N, 3) of a surface with a random pattern.

    Args:
        rng: source of the pattern.
        across: (N,) first coordinate, in meters.
        along: (N,) second coordinate, in meters.
        apart: (N,) distance to the neighboring points, in meters.
    """
    first, second = color(rng), color(rng)
    second = first + (second - first) * rng.uniform(0.1, 0.8)
    scale = rng.uniform(0.15, 1.0)
    turn = rng.uniform(0, np.pi / 2) * rng.integers(0, 2)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    u, v = across * cos - along * sin, across * sin + along * cos
    kind = rng.choice(["plain", "tiles", "planks", "stripes"])
    if kind == "plain":
        share = 0.5 + 0.2 * np.sin(1.7 * u + np.sin(2.3 * v)) * np.sin(1.3 * v + 1.0)
    elif kind == "tiles":
        share = (np.floor(u) + np.floor(v)) % 2
    elif kind == "planks":
        row = np.floor(4 * v)
        share = np.sin(12.9898 * row + 78.233 * np.floor(0.5 * u + 0.37 * row)) * 0.5 + 0.5
    else:
        share = (np.sin(2 * np.pi * u) > 0.3).astype(np.float64)
    contrast = np.clip(2 - 4 * apart / scale, 0, 1)
    return np.clip(first + (second - first) * (0.5 + (share - 0.5) * contrast)[:, None], 0, 1)
