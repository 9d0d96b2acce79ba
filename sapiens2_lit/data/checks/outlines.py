"""Find the axes of normals by the outline of people: there normals lean outward.

At the outline of a closed surface the normal is at a right angle to the ray and points away from the surface. So x of
the normals correlates with x of the direction out of the labeled region, y with y, and z points to the camera
everywhere. This tells which of the 48 ways to permute and negate three axes is the right one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations, product

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

_LONGEST = 256  # largest side in pixels; larger pictures are thinned out
_BLUR = 1.5  # pixels: blur of the region, to find the direction out of it
_EDGE = 0.9  # of the blurred region: a lower value is near the border
_LEAST_SLOPE = 0.05  # of the blurred region: a border with less slope has no direction
_ENOUGH = 200  # border pixels of all pictures together that allow a judgment


Signs = tuple[int, int, int]
CAMERA_FRAMES: dict[str, Signs] = {  # for `data.frame`: signs of x, y and z, seen from OpenCV's frame
    "opencv": (1, 1, 1),
    "opengl": (1, -1, -1),
    "directx": (1, -1, 1),
    "directx_normals": (1, 1, -1),
    "pytorch3d": (-1, -1, 1),
}


@dataclass(frozen=True)
class Outline:
    """Sums over the pixels at the border of labeled regions; sums of several pictures can be added.

    Attributes:
        count: border pixels.
        products: (2, 3) of the outward direction (x, y) with each channel of the normals.
        squares: (3,) of the channels there.
        outward: (2,) squares of the direction.
        facing: (3,) sums of the channels over all labeled pixels.
        pixels: labeled pixels.
    """

    count: int
    products: Floats
    squares: Floats
    outward: Floats
    facing: Floats
    pixels: int

    @property
    def lean(self) -> Floats:
        """Return (2, 3) in -1..1: how each channel correlates with x and y of the outward direction; 0 if unknown."""
        scale = np.sqrt(self.outward[:, None] * self.squares[None])
        return np.divide(self.products, scale, out=np.zeros((2, 3)), where=scale > 0)

    @property
    def mean(self) -> Floats:
        """Return the mean normal (3,)."""
        return self.facing / max(self.pixels, 1)

    @property
    def enough(self) -> bool:
        """Whether there are enough border pixels for a judgment."""
        return self.count >= _ENOUGH


@dataclass(frozen=True)
class Axes:
    """A camera's axes in terms of a file's: new[i] = signs[i] * old[order[i]].

    Attributes:
        order: of the channels.
        signs: 1 or -1 of each.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    signs: tuple[int, int, int] = (1, 1, 1)

    @property
    def proper(self) -> bool:
        """Whether these axes change nothing."""
        return self == Axes()

    def after_frame(self, frame: str) -> "Axes":
        """Return the same axes in terms of files whose frame the reader converted; world frames change nothing."""
        convert = CAMERA_FRAMES.get(frame, (1, 1, 1))
        signs = [convert[i] * self.signs[i] * convert[self.order[i]] for i in range(3)]
        return Axes(self.order, (signs[0], signs[1], signs[2]))


def measure_outline(normals: Floats, valid: npt.NDArray[np.bool_]) -> Outline:
    """Measure the sums of one picture.

    Args:
        normals: 3-D (h, w, 3), unit vectors.
        valid: 2-D (h, w) bool; where it touches the picture's border there is no outline.
    """
    step = -(-max(valid.shape) // _LONGEST)
    normals, valid = normals[::step, ::step], valid[::step, ::step]
    soft = cv2.GaussianBlur(valid.astype(np.float32), (0, 0), _BLUR, borderType=cv2.BORDER_REPLICATE)
    inwards = np.stack([np.gradient(soft, axis=1), np.gradient(soft, axis=0)], axis=-1)
    slope = np.linalg.norm(inwards, axis=-1)
    edge = valid & (soft < _EDGE) & (slope > _LEAST_SLOPE)
    outward = -inwards[edge] / slope[edge][:, None]
    there = normals[edge].astype(np.float64)
    return Outline(
        count=int(edge.sum()),
        products=outward.T @ there,
        squares=(there**2).sum(axis=0),
        outward=(outward**2).sum(axis=0),
        facing=normals[valid].sum(axis=0, dtype=np.float64),
        pixels=int(valid.sum()),
    )


def add_outlines(outlines: Iterable[Outline]) -> Outline:
    """Return the sums over several pictures."""
    total = Outline(0, np.zeros((2, 3)), np.zeros(3), np.zeros(2), np.zeros(3), 0)
    for one in outlines:
        total = Outline(
            total.count + one.count,
            total.products + one.products,
            total.squares + one.squares,
            total.outward + one.outward,
            total.facing + one.facing,
            total.pixels + one.pixels,
        )
    return total


def fit_of(outline: Outline, axes: Axes) -> float:
    """Return how well axes fit an outline, -1..1: the mean lean of x and y outward and of z toward the camera."""
    (x, y, z), (sx, sy, sz) = axes.order, axes.signs
    lean, mean = outline.lean, outline.mean
    return float((sx * lean[0, x] + sy * lean[1, y] - sz * mean[z]) / 3)


def best_axes(outline: Outline) -> Axes:
    """Return the axes that fit best of all 48."""
    return max(_all_axes(), key=lambda axes: fit_of(outline, axes))


def describe_axes(axes: Axes) -> str:
    """Return the numpy expression that converts files to these axes."""
    order = "" if axes.order == (0, 1, 2) else f"[..., {list(axes.order)}]"
    signs = "" if axes.signs == (1, 1, 1) else f" * {axes.signs}"
    return f"n = n{order}{signs}"


@dataclass(frozen=True)
class Agreement:
    """Sums over pixels that have two kinds of normals; sums of several pictures can be added.

    Attributes:
        count: pixels.
        products: (3, 3) of each channel of the true normals with each channel of the others.
    """

    count: int
    products: Floats

    @property
    def enough(self) -> bool:
        """Whether there are enough pixels for a judgment."""
        return self.count >= _ENOUGH

    def fit(self, axes: Axes) -> float:
        """Return the mean cosine between true normals and the others in other axes, -1..1."""
        terms = [axes.signs[i] * self.products[i, axes.order[i]] for i in range(3)]
        return float(sum(terms) / max(self.count, 1))

    def best(self) -> Axes:
        """Return the axes that fit best of all 48."""
        return max(_all_axes(), key=self.fit)


def measure_agreement(true: Floats, others: Floats, valid: npt.NDArray[np.bool_]) -> Agreement:
    """Measure the sums of one picture that has two kinds of normals.

    Args:
        true: 3-D (h, w, 3), unit vectors.
        others: 3-D (h, w, 3), unit vectors.
        valid: 2-D (h, w), where both are valid.
    """
    products = true[valid].astype(np.float64).T @ others[valid].astype(np.float64)
    return Agreement(int(valid.sum()), products)


def add_agreements(agreements: Iterable[Agreement]) -> Agreement:
    """Return the sums over several pictures."""
    total = Agreement(0, np.zeros((3, 3)))
    for one in agreements:
        total = Agreement(total.count + one.count, total.products + one.products)
    return total


def advise_on_axes(outline: Outline, frame: str) -> str:
    """Return what seems wrong with normals read in `frame`, and the remedy, as a sentence for messages."""
    if frame not in CAMERA_FRAMES:
        return (
            f"they are in another frame than data.frame says, '{frame}', or the extrinsics belong to another "
            "camera, or have the other direction (camera_to_world, world_to_camera)."
        )
    axes = best_axes(outline)
    if not outline.enough:
        axes = Axes((0, 1, 2), (1, -1, -1))
    other = _frame_by(axes.signs, frame) if axes.order == (0, 1, 2) else ""
    if other:
        return f"they are in another frame than data.frame says, '{frame}'; set it to '{other}'."
    in_file = axes.after_frame(frame)
    if axes.order == (2, 1, 0):
        channels = "the channels are in the order z, y, x, as cv2.imwrite saves an RGB picture"
        if in_file.signs == (1, 1, 1):
            return f"{channels}. Reverse them: {describe_axes(in_file)}."
        other = _frame_by(in_file.signs, frame)
        if other:
            return (
                f"{channels}, and the frame is '{other}'. Reverse them, n = n[..., ::-1], and set data.frame."
            )
    return (
        f"their axes are not those of '{frame}'. At the outline of people normals point outward if the files are "
        f"converted by {describe_axes(in_file)}."
    )


def _frame_by(signs: Signs, frame: str) -> str:
    """Return the frame whose files differ by these signs from files in `frame`; empty if there is none."""
    own = CAMERA_FRAMES[frame]
    found = (name for name, one in CAMERA_FRAMES.items() if name != frame and _product(one, own) == signs)
    return next(found, "")


def _product(one: Signs, other: Signs) -> Signs:
    return one[0] * other[0], one[1] * other[1], one[2] * other[2]


def _all_axes() -> Iterator[Axes]:
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            yield Axes((order[0], order[1], order[2]), (signs[0], signs[1], signs[2]))
