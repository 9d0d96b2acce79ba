"""Batches that have labels for some of the heads only, and several batches in one step.

Where processes train together, all must run the same heads and give gradients to the same parameters, whatever labels
their own batches have.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.parallel import max_over_ranks

BATCHES = "batches"  # key of a step's batches by dataset, in place of one batch


def batches_of(batch: Batch) -> list[Batch]:
    """The batches of one step: itself, or those of several datasets."""
    return list(batch[BATCHES].values()) if BATCHES in batch else [batch]


def samples_of(parts: list[Batch]) -> list[str]:
    return [sample for part in parts for sample in part.get("sample", [])]


def joined_images(parts: list[Batch]) -> Tensor | None:
    """All images of a step as one batch, where they are of one size; the backbone then runs once."""
    images = [part["image"] for part in parts]
    return torch.cat(images) if len({image.shape[1:] for image in images}) == 1 else None


def on_any_rank(active: Iterable[str], names: list[str], device: torch.device) -> set[str]:
    """Which of the heads learn from this step on any of the ranks. Every rank must ask."""
    here = torch.tensor([name in active for name in names], dtype=torch.int32, device=device)
    return {name for name, found in zip(names, max_over_ranks(here).tolist(), strict=True) if found}


def zero_loss(outputs: Outputs) -> Tensor:
    """Zero, with zero gradients for everything that the outputs depend on."""
    values = [outputs] if isinstance(outputs, Tensor) else list(outputs.values())
    return torch.stack([value.float().sum() * 0.0 for value in values]).sum()


def zero_loss_of_parameters(head: Head) -> Tensor:
    """Zero, with zero gradients for the head's parameters, without running it."""
    return torch.stack([p.flatten()[0].float() * 0.0 for p in head.parameters() if p.requires_grad]).sum()
