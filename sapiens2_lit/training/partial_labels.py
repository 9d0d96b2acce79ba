"""Batches with labels for only some of the heads, and several batches in one step."""

from collections.abc import Callable, Collection
from typing import Protocol

import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Head

BATCHES = "batches"  # key of a step's batches by dataset, instead of one batch
Features = list[Tensor]
Compute = Callable[[Tensor], Features]  # images to feature maps


class StoredFeatures(Protocol):
    """Feature maps that need not be computed; see `callbacks.FeatureCache`."""

    def features(self, batch: Batch, compute: Compute) -> Features:
        """Return the feature maps of a batch, stored if possible, else computed."""


def parts_of(batch: Batch) -> list[Batch]:
    """Return the batches of one step: one, or one of each dataset."""
    return list(batch[BATCHES].values()) if BATCHES in batch else [batch]


def has_labels(head: Head, batch: Batch) -> bool:
    """Return whether a batch has the labels that a head learns from."""
    return all(key in batch for key in head.targets)


def learning_heads(
    heads: list[tuple[str, Head]], batch: Batch, taught: Collection[str] = (), others: bool = False
) -> list[tuple[str, Head]]:
    """Return the heads whose labels a batch has, and the heads that a teacher teaches in any batch.

    Args:
        heads: All heads by name.
        batch: The batch.
        taught: Names of the heads that a teacher teaches.
        others: Whether something other than a head learns from every batch.

    Raises:
        SettingError: No head can learn from the batch.
    """
    found = [(name, head) for name, head in heads if name in taught or has_labels(head, batch)]
    if not found and not others:
        needs = {name: head.targets for name, head in heads}
        raise SettingError(f"no head can learn from a batch with {sorted(batch)}; the heads need {needs}")
    return found


def with_features(
    batch: Batch, compute: Compute, cache: StoredFeatures | None
) -> list[tuple[Batch, Features]]:
    """Return the batches of one step, each with its feature maps.

    Args:
        batch: One batch, or the batches of several datasets.
        compute: Computes feature maps of images.
        cache: Stored feature maps, if any.
    """
    parts = parts_of(batch)
    return list(zip(parts, features_of(parts, compute, cache), strict=True))


def features_of(parts: list[Batch], compute: Compute, cache: StoredFeatures | None) -> list[Features]:
    """Return feature maps for each batch: from the batch itself, or computed, in one pass if sizes allow.

    Args:
        parts: The batches.
        compute: Computes feature maps of images.
        cache: Stored feature maps, if any.
    """
    if cache is not None and all("cache_row" in part for part in parts):
        return [cache.features(part, compute) for part in parts]
    if len(parts) > 1 and not any("features" in part for part in parts):
        images = joined_images(parts)
        if images is not None:
            maps = [map_.split([len(part["image"]) for part in parts]) for map_ in compute(images)]
            return [list(own) for own in zip(*maps, strict=True)]
    return [part["features"] if "features" in part else compute(part["image"]) for part in parts]


def joined_images(parts: list[Batch]) -> Tensor | None:
    """Return all images of a step as one batch (N, 3, H, W), so that the backbone runs once; None if sizes differ."""
    images = [part["image"] for part in parts]
    return torch.cat(images) if len({image.shape[1:] for image in images}) == 1 else None
