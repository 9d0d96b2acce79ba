"""Test-time augmentation: input sizes to average over, and warnings for heads that do not take part."""

import logging
from collections.abc import Sequence

from sapiens2_lit.errors import SettingError
from sapiens2_lit.models.multi_scale import Size
from sapiens2_lit.models.network import Network

log = logging.getLogger(__name__)


def scaled_sizes(image_size: Size, scales: Sequence[float], patch: int) -> list[Size]:
    """Return the input's size times each scale, rounded to multiples of the patch, without duplicates.

    Args:
        image_size: (height, width) of the input.
        scales: Factors.
        patch: Side of a patch in pixels.

    Raises:
        SettingError: There is no scale, or one is out of range or leaves less than a patch.
    """
    if not scales or not all(0 < scale <= 8 for scale in scales):
        raise SettingError(f"scales: found {list(scales)}, expected one or more factors above 0, at most 8.")
    sizes = [
        (round(image_size[0] * scale / patch) * patch, round(image_size[1] * scale / patch) * patch)
        for scale in scales
    ]
    for scale, size in zip(scales, sizes, strict=True):
        if min(size) < patch:
            raise SettingError(
                f"scales: {scale} of {image_size[0]} x {image_size[1]} is less than a patch of {patch} pixels."
            )
    return list(dict.fromkeys(sizes))


def warn_of_heads_left_out(model: Network, image_size: Size, sizes: Sequence[Size], flip: bool) -> None:
    """Warn of heads that the chosen averages leave out.

    Args:
        model: The networks.
        image_size: (height, width) of the input.
        sizes: Input sizes to average over.
        flip: Whether mirrored images are averaged.
    """
    if len(sizes) > 1 or sizes[0] != image_size:
        for name, head in model.named_heads():
            if not head.multi_scale:
                log.warning("scales: the head %s predicts only at the size of the input.", name)
    if flip:
        for name, head in model.named_heads():
            if not head.has_flip_test:
                log.warning("flip: the head %s has no flip test; it predicts from the image alone.", name)
