"""Identify the backbone of a checkpoint that holds only what was trained, and verify the one at hand."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.errors import WeightsError
from sapiens2_lit.lora import plain_name
from sapiens2_lit.parallel.collectives import sum_over_ranks
from sapiens2_lit.parallel.dtensor import is_sharded, local_values, pick

SAMPLED = 64  # values of each tensor: enough to distinguish any two trainings, in milliseconds for the largest models

Identity = dict[str, Any]


def fingerprint(tensors: Mapping[str, Tensor], rounded: bool = False) -> str:
    """Return a hash of names, shapes, and up to 64 evenly spaced values of each tensor as float32.

    It does not depend on the order of the tensors, on whether float32 values were stored as such, nor on the number of
    ranks. If tensors are sharded, all ranks must call it.

    Args:
        tensors: Tensors by name.
        rounded: Round values to bfloat16 first, so that tensors held in it are recognized.
    """
    names = sorted(tensors)
    samples = [pick(tensors[name], sampled(tensors[name].numel())) for name in names]
    sharded = [tensors[name] for name in names if is_sharded(tensors[name])]
    if sharded:
        device = local_values(sharded[0]).device
        together = sum_over_ranks(torch.cat(samples).to(device)).cpu()
        samples = list(together.split([len(values) for values in samples]))
    digest = hashlib.sha256()
    for name, values in zip(names, samples, strict=True):
        digest.update(f"{name} {tuple(tensors[name].shape)}".encode())
        values = values.to(torch.bfloat16).float() if rounded else values
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def sampled(count: int) -> Tensor:
    """Return evenly spaced positions in a tensor of `count` values, (min(64, N),) for a count of N."""
    most = min(SAMPLED, count)
    return torch.arange(most) * (count - 1) // max(1, most - 1)


def identify(tensors: Mapping[str, Tensor], weights: str, rounded: bool = False) -> Identity:
    """Describe the backbone that a checkpoint leaves out.

    Args:
        tensors: Its tensors, by names without `backbone.`.
        weights: Where they came from: a file, a folder or a hub id.
        rounded: Some of them are held in bfloat16.
    """
    plain = {plain_name(name): tensor for name, tensor in tensors.items()}
    path = Path(weights).expanduser()
    return {
        "weights": weights,
        "location": str(path.resolve()) if path.exists() else weights,
        "names": sorted(plain),
        "fingerprint": fingerprint(plain, rounded),
        "rounded": rounded,
    }


def check_identity(identity: Identity, tensors: Mapping[str, Tensor], origin: str, checkpoint: str) -> None:
    """Check that the backbone at hand is the one that a checkpoint was trained on.

    Args:
        identity: What the checkpoint says about its backbone.
        tensors: Tensors of the backbone, by names without `backbone.`, before adapters are merged.
        origin: Where they came from, for the message.
        checkpoint: Name of the checkpoint, for the message.

    Raises:
        WeightsError: Tensors are missing, or have other values.
    """
    plain = {plain_name(name): tensor for name, tensor in tensors.items()}
    missing = [name for name in identity["names"] if name not in plain]
    if missing:
        raise WeightsError(
            f"{checkpoint}: it was trained on the backbone of {identity['weights']}; {origin} lacks {len(missing)} "
            f"tensors of it, such as {missing[0]}: is model.backbone.size the same?"
        )
    own = fingerprint({name: plain[name] for name in identity["names"]}, identity.get("rounded", False))
    if own != identity["fingerprint"]:
        raise WeightsError(
            f"{checkpoint}: it holds only what was trained on the backbone of {identity['weights']}, but the backbone "
            f"of {origin} has other values. Set model.backbone.weights to the backbone that it was trained on."
        )


def candidates(identity: Identity, given: Iterable[str | None] = ()) -> list[str]:
    """Return where to look for the backbone: what the user gave, then where it was."""
    return list(
        dict.fromkeys(place for place in (*given, identity["weights"], identity["location"]) if place)
    )
