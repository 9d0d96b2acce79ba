"""The command that turns a checkpoint of a run, however many ranks wrote it, into one safetensors file of weights."""

import sys
from pathlib import Path

import torch
from torch import Tensor

from sapiens2_lit.checkpoints.stream import Shapes, write_stream
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.parallel.checkpoint import (
    MODEL,
    is_sharded_checkpoint,
    read_into,
    read_meta_file,
    stored_tensors,
)
from sapiens2_lit.safe_pickle import read_pickle

USAGE = "usage: sapiens2-lit consolidate CKPT OUT.safetensors"


def consolidate_command(rest: list[str]) -> int:
    """Run `consolidate CKPT OUT`.

    Raises:
        SettingError: not two arguments, or OUT is no name of a safetensors file.
    """
    if rest in (["--help"], ["-h"]):
        sys.stdout.write(f"{USAGE}\n\nThe weights of a checkpoint, sharded or not, in one file.\n")
        return 0
    if len(rest) != 2 or any(arg.startswith("-") for arg in rest):
        raise SettingError(f"consolidate: found {' '.join(rest) or 'nothing'}, expected two paths\n{USAGE}")
    written = consolidate(Path(rest[0]), Path(rest[1]))
    sys.stdout.write(f"Wrote {written} ({written.stat().st_size / 1e6:.1f} MB)\n")
    return 0


def consolidate(checkpoint: Path, out: Path) -> Path:
    """Write the weights of a checkpoint, a folder or a file, to one safetensors file; optimizer states are left out.

    One tensor at a time is in memory, so that a machine without a GPU and with little memory can do it.

    Raises:
        WeightsError: the checkpoint is none, or was not written to its end.
        SettingError: the file's name does not end with .safetensors.
    """
    if out.suffix != ".safetensors":
        raise SettingError(f"consolidate: found {out}, expected a name that ends with .safetensors")
    if checkpoint.is_file():
        return consolidate_file(checkpoint, out)
    if not checkpoint.is_dir():
        raise WeightsError(f"{checkpoint}: no such checkpoint")
    read_meta_file(checkpoint)
    assert is_sharded_checkpoint(checkpoint)
    shapes = stored_tensors(checkpoint, MODEL)

    def read(name: str) -> Tensor:
        shape, dtype = shapes[name]
        tensor = torch.empty(shape, dtype=dtype)
        read_into({f"{MODEL}{name}": tensor}, checkpoint)
        return tensor

    return write_stream(out, shapes, read)


def consolidate_file(checkpoint: Path, out: Path) -> Path:
    content = read_pickle(checkpoint)
    if not (isinstance(content, dict) and isinstance(content.get("state_dict"), dict)):
        raise WeightsError(f"{checkpoint}: expected a checkpoint of a run, with a state_dict.")
    tensors: dict[str, Tensor] = content["state_dict"]
    shapes: Shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    return write_stream(out, shapes, tensors.__getitem__)
