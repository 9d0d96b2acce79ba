"""Make a batch of the shapes that heads learn from, without a dataset."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.vocabularies.tasks import map_kind


def example_batch(
    heads: Iterable[Head], batch_size: int, image_size: tuple[int, int], device: torch.device | str = "cpu"
) -> Batch:
    """Return images (B, 3, H, W) and every label that heads name in `targets`; values are valid, but meaningless.

    Args:
        heads: The heads.
        batch_size: B.
        image_size: (H, W).
        device: Device of the tensors.

    Raises:
        SettingError: A head learns from a label of unknown shape.
    """
    height, width = image_size
    batch: Batch = {
        "image": torch.zeros(batch_size, 3, height, width, dtype=torch.uint8, device=device),
        "valid": torch.ones(batch_size, 1, height, width, dtype=torch.bool, device=device),
    }
    for head in heads:
        for key in head.targets:
            if key not in batch:
                batch[key] = _label(key, head, batch_size, image_size, device)
    return batch


def _label(
    key: str, head: Head, batch_size: int, image_size: tuple[int, int], device: torch.device | str
) -> Tensor:
    if key == "keypoints":
        count = head.skeleton.num_keypoints if head.skeleton is not None else 17
        points = torch.ones(batch_size, count, 3, device=device)
        points[..., :2] *= min(image_size) / 2
        return points
    if key == "intrinsics":
        return torch.eye(3, device=device).repeat(batch_size, 1, 1)
    kind = map_kind(key)
    if kind is None:
        raise SettingError(
            f"{type(head).__name__} learns from {key!r}, a label whose shape is not known here: the memory of its "
            "training cannot be estimated."
        )
    if kind.values == "classes":
        return torch.zeros(batch_size, *image_size, dtype=torch.int64, device=device)
    return torch.ones(batch_size, kind.channels, *image_size, device=device)
