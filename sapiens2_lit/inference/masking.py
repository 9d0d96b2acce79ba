"""Find the pixels of people by a segmentation or matting head, and mask dense maps outside of them."""

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.heads.matting import MattingHead
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.vocabularies import IGNORED
from sapiens2_lit.vocabularies.tasks import map_kind

_LEAST_ALPHA = 0.5


def tells_people(head: Head) -> bool:
    """Return whether a head tells people from background: classes with a background, or a matte."""
    return isinstance(head, MattingHead) or (
        isinstance(head, SegmentationHeadBase) and head.classes.background is not None
    )


def check_mask_head(model: InferenceModel, name: str) -> None:
    """Check that a head tells people from background.

    Raises:
        SettingError: It does not, or there is no such head.
    """
    able = [head_name for head_name, head in model.named_heads() if tells_people(head)]
    if name not in able:
        raise SettingError(
            f"mask_with: {name!r} is not a head of {model.origin} that tells people from background (classes with a "
            f"background, or a matte); heads that do: {', '.join(able) or 'none'}."
        )


def people_of(prediction: Prediction, head: str) -> npt.NDArray[np.bool_]:
    """Return the pixels of people (H, W), by the maps of a segmentation or matting head."""
    maps = prediction.maps.get(head, {})
    if "alpha" in maps:
        with np.errstate(invalid="ignore"):
            return np.asarray(maps["alpha"][..., 0] >= _LEAST_ALPHA)
    if "segmentation" not in maps:  # no crop was predicted on
        return np.zeros(prediction.image_size, dtype=np.bool_)
    classes = prediction.heads[head].classes
    assert classes is not None
    labels = maps["segmentation"]
    return np.asarray((labels != classes.background) & (labels != IGNORED))


def mask_maps(prediction: Prediction, people: npt.NDArray[np.bool_]) -> None:
    """Set float maps outside of people to NaN, in place; class maps and mattes stay unchanged.

    Args:
        prediction: Of one image.
        people: (H, W).
    """
    for maps in prediction.maps.values():
        for key, values in maps.items():
            kind = map_kind(key)
            masks = kind is not None and kind.tells_people
            if not masks and np.issubdtype(values.dtype, np.floating):
                values[~people] = np.nan
