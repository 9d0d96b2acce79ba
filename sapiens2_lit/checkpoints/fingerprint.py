"""Which backbone a checkpoint belongs to that holds only what was trained, and whether one at hand is the same."""

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

SAMPLED = 64  # values of each tensor: enough to tell any two trainings apart, and milliseconds for the largest models

Identity = dict[str, Any]


def fingerprint(tensors: Mapping[str, Tensor], rounded: bool = False) -> str:
    """Return a hash of names, shapes, and up to 64 evenly spaced values of each tensor as float32.

    It does not depend on the order of the tensors, on whether float32 values were stored as such, nor on ranks: of
    sharded tensors all ranks must ask for it.

    Args:
        rounded: of the values as bfloat16 has them, so that tensors held in it are recognized.
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
    """Evenly spaced positions in a tensor of `count` values."""
    most = min(SAMPLED, count)
    return torch.arange(most) * (count - 1) // max(1, most - 1)


def identify(tensors: Mapping[str, Tensor], weights: str, rounded: bool = False) -> Identity:
    """Return what a checkpoint says of the backbone's tensors (names without `backbone.`) that it leaves out.

    Args:
        weights: where they came from: a file, a folder or a hub id.
        rounded: some of them are held in bfloat16.
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
        identity: of the checkpoint.
        tensors: of the backbone, names without `backbone.`, before anything is merged into them.
        origin: where they came from, for the message.
        checkpoint: which checkpoint, for the message.

    Raises:
        WeightsError: tensors are missing, or have other values.
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
            f"of {origin} has other values. Set model.backbone.weights to the one that it was trained on."
        )


def candidates(identity: Identity, given: Iterable[str | None] = ()) -> list[str]:
    """Where to look for the backbone: what the user gave, then where it was."""
    return list(
        dict.fromkeys(place for place in (*given, identity["weights"], identity["location"]) if place)
    )
