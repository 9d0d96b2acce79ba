"""Turn a checkpoint of a run, whatever its number of ranks, into one safetensors file of weights."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.checkpoints.format import CHECKPOINT, META
from sapiens2_lit.checkpoints.write_streaming import Shapes, write_stream
from sapiens2_lit.cli.find_run import find_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.parsers import consolidate_parser
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.parallel.checkpoint import (
    MODEL,
    is_sharded_checkpoint,
    read_into,
    read_meta_file,
    stored_tensors,
)


def consolidate_command(args: list[str]) -> int:
    """Run `consolidate MODEL --output OUT.safetensors`.

    Raises:
        ArgumentError: Wrong usage.
        SettingError: No file to write is given, or its name does not end with .safetensors.
    """
    options = consolidate_parser().parse_args(args)
    set_up_messages()
    set_verification(options.verify)
    if (options.out is None) == (options.output is None):
        raise SettingError("consolidate: expected one file to write, as --output OUT.safetensors")
    written = consolidate(Path(find_model(options.model)), options.out or options.output)
    sys.stdout.write(f"Wrote {written} ({written.stat().st_size / 1e6:.1f} MB)\n")
    return 0


def consolidate(checkpoint: Path, out: Path) -> Path:
    """Write the weights of a checkpoint, a folder or a file, to one safetensors file, without optimizer states.

    Only one tensor is in memory at a time, so that a machine without a GPU and with little memory suffices.

    Raises:
        WeightsError: This is not a checkpoint, or it was not completely written.
        SettingError: The file's name does not end with .safetensors.
    """
    if out.suffix != ".safetensors":
        raise SettingError(f"consolidate: found {out}, expected a name that ends with .safetensors")
    if checkpoint.is_file():
        return consolidate_file(checkpoint, out)
    if not checkpoint.is_dir():
        raise WeightsError(f"{checkpoint}: no such checkpoint")
    meta = read_meta_file(checkpoint).get(META)
    assert is_sharded_checkpoint(checkpoint)
    shapes = stored_tensors(checkpoint, MODEL)

    def read(name: str) -> Tensor:
        shape, dtype = shapes[name]
        tensor = torch.empty(shape, dtype=dtype)
        read_into({f"{MODEL}{name}": tensor}, checkpoint)
        return tensor

    return write_stream(out, shapes, read, metadata=header_of(meta))


def consolidate_file(checkpoint: Path, out: Path) -> Path:
    """Write the weights of a checkpoint that is one file, as `consolidate` does.

    Raises:
        WeightsError: The file has no `state_dict`.
    """
    content = read_pickle(checkpoint)
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        raise WeightsError(f"{checkpoint}: expected a checkpoint of a run, with a state_dict.")
    tensors: dict[str, Tensor] = content["state_dict"]
    shapes: Shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    return write_stream(out, shapes, tensors.__getitem__, metadata=header_of(content.get(META)))


def header_of(meta: Any) -> dict[str, str]:
    """Return the checkpoint's metadata as a header, which makes the file usable by `predict` like the checkpoint."""
    return {CHECKPOINT: json.dumps(meta)} if meta else {}
