"""The crop around a person, and its random variation in training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.geometric import Affine, compose, mirror, rotation, scaling, translation
from sapiens2_lit.vocabularies import Skeleton

Half = Literal["upper", "lower"]

# A person's box leaves out hair and fingertips. The keypoints of half a body leave out more.
BOX_PADDING = 1.25
HALF_BODY_PADDING = 1.5

_LOWER_BODY = re.compile(r"hip|knee|ankle|heel|toe|foot", re.IGNORECASE)
_FEWEST_BODY_POINTS = 9
_FEWEST_HALF_BODY_POINTS = 3


@dataclass(frozen=True)
class CropVariation:
    """How one crop differs from the plain crop. The defaults change nothing.

    Attributes:
        flip: left to right.
        half_body: which half of the body to crop around, if enough of it is labeled.
        shift: of the crop's center, in widths and heights of the padded box.
        scale: factor on the crop's sides: above 1 the person becomes smaller.
        rotation: degrees.
    """

    flip: bool = False
    half_body: Half | None = None
    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    rotation: float = 0.0


PLAIN = CropVariation()


def crop_affine(
    box: npt.ArrayLike,
    size: tuple[int, int],
    variation: CropVariation = PLAIN,
    *,
    padding: float = BOX_PADDING,
) -> Affine:
    """Return the affine from original pixels to an input image that shows a box.

    The box is padded, grown to the input's aspect, varied, and mapped so that its edges land on the centers
    of the input's outermost pixels, scale (W - 1) / w (UDP, https://arxiv.org/abs/1911.07524).

    Args:
        box: x, y, w, h in original pixels; w, h > 0.
        size: (height, width) of the input image.
        variation: shift, scale, rotation and flip to apply; `half_body` is not used here.
        padding: factor on the box's sides.

    Returns:
        float64 (2, 3).
    """
    height, width = size
    x, y, w, h = np.asarray(box, dtype=np.float64)
    center_x, center_y = x + w / 2, y + h / 2
    w, h = w * padding, h * padding
    center_x, center_y = center_x + variation.shift[0] * w, center_y + variation.shift[1] * h
    w = max(w, h * width / height) * variation.scale
    h = w * height / width
    affine = compose(
        translation((width - 1) / 2, (height - 1) / 2),
        scaling((width - 1) / w, (height - 1) / h),
        rotation(variation.rotation),
        translation(-center_x, -center_y),
    )
    return compose(mirror(width), affine) if variation.flip else affine


def box_of_points(points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the tight box x, y, w, h of the labeled keypoints among (K, 3); at least one must be labeled."""
    labelled = points[points[:, 2] > 0, :2].astype(np.float64)
    low, high = labelled.min(axis=0), labelled.max(axis=0)
    return np.concatenate([low, high - low])


def body_halves(skeleton: Skeleton) -> dict[Half, npt.NDArray[np.int64]]:
    """Return the keypoint indices of the upper and the lower body; empty where the skeleton has no such keypoints.

    Hips and all below them are lower. If the skeleton has the groups body and feet, only these are used: faces and
    hands have too many points.
    """
    body = sorted({*skeleton.groups.get("body", ()), *skeleton.groups.get("feet", ())})
    body = body or list(range(skeleton.num_keypoints))
    lower = [index for index in body if _LOWER_BODY.search(skeleton.keypoints[index])]
    upper = [index for index in body if index not in set(lower)]
    if not lower or not upper:
        return {}
    return {"upper": np.array(upper, dtype=np.int64), "lower": np.array(lower, dtype=np.int64)}


def half_body_box(
    points: npt.NDArray[np.floating], halves: Mapping[Half, npt.NDArray[np.int64]], half: Half
) -> npt.NDArray[np.float64] | None:
    """Return the tight box of one half of a body, or None if too few of its keypoints are labeled.

    Args:
        points: (K, 3) in original pixels.
        halves: as `body_halves` returns them.
        half: which one.
    """
    if half not in halves:
        return None
    labelled = {name: int((points[indices, 2] > 0).sum()) for name, indices in halves.items()}
    if sum(labelled.values()) < _FEWEST_BODY_POINTS or labelled[half] < _FEWEST_HALF_BODY_POINTS:
        return None
    box = box_of_points(points[halves[half]])
    return box if min(box[2:]) > 0 else None


@dataclass(frozen=True)
class CropAugmentation:
    """Settings of random crops; the defaults are the settings of the released pose models.

    Attributes:
        flip: probability of a mirror image, left and right keypoints swapped.
        half_body: probability of a crop around the upper or lower half of the body.
        shift: largest shift of the crop, as a fraction of the box, in x and in y.
        shift_probability: probability of a shift.
        scale: smallest and largest factor on the crop's sides, drawn uniformly; above 1 the person becomes smaller.
        rotation: largest rotation in degrees, either way, drawn uniformly.
        rotation_probability: probability of a rotation.
    """

    flip: float = 0.5
    half_body: float = 0.3
    shift: float = 0.16
    shift_probability: float = 0.3
    scale: tuple[float, float] = (0.5, 1.5)
    rotation: float = 80.0
    rotation_probability: float = 0.6

    def __post_init__(self) -> None:
        for name in ("flip", "half_body", "shift_probability", "rotation_probability"):
            check_probability(self, name)
        low, high = self.scale
        if not 0 < low <= high:
            raise SettingError(f"augment.scale is {self.scale}, expected 0 < smallest <= largest.")
        if not 0 <= self.shift <= 1:
            raise SettingError(f"augment.shift is {self.shift}, expected a fraction of the box, 0 to 1.")
        if not 0 <= self.rotation <= 180:
            raise SettingError(f"augment.rotation is {self.rotation}, expected degrees, 0 to 180.")

    def sample_crop(self, rng: np.random.Generator) -> CropVariation:
        """Draw one variation.

        It draws the same number of values from `rng` for all settings. So a change of one setting leaves the draws for
        the others as they were.
        """
        flip, half_body, half, shift_chance, rotation_chance = rng.random(5)
        shift_x, shift_y, rotation_part = rng.uniform(-1, 1, 3)
        scale = rng.uniform(*self.scale)
        shifted = shift_chance < self.shift_probability
        return CropVariation(
            flip=bool(flip < self.flip),
            half_body=None if half_body >= self.half_body else "upper" if half < 0.5 else "lower",
            shift=(float(shift_x * self.shift), float(shift_y * self.shift)) if shifted else (0.0, 0.0),
            scale=float(scale),
            rotation=float(rotation_part * self.rotation)
            if rotation_chance < self.rotation_probability
            else 0.0,
        )


def check_probability(settings: object, name: str) -> None:
    """Check that the field `name` of `settings` is a probability.

    Raises:
        SettingError: it is not in 0..1.
    """
    value = getattr(settings, name)
    if not 0 <= value <= 1:
        raise SettingError(f"augment.{name} is {value}, expected a probability, 0 to 1.")
