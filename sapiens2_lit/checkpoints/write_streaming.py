"""Write a safetensors file tensor by tensor, so that a model larger than memory fits.

The format is eight bytes with the length of the header, the header in JSON, and the values one after the other
(https://huggingface.co/docs/safetensors). The library's writer needs all tensors in memory.
"""

import io
import json
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sapiens2_lit.archives.verify import CHECKSUMS, HEADER, checksum, header_checksum, values_of
from sapiens2_lit.atomic_write import check_room, own_file, unwritable_is_error
from sapiens2_lit.errors import WeightsError

Shapes = Mapping[str, tuple[torch.Size, torch.dtype]]
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_stream(
    path: str | os.PathLike[str],
    shapes: Shapes,
    read: Callable[[str], Tensor],
    *,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write tensors to a safetensors file, replacing it, with one tensor at a time in memory.

    The file appears under its name only when it is complete.

    Args:
        path: The file.
        shapes: Shape and dtype of each tensor, by name.
        read: Returns a tensor, by name.
        metadata: Texts for the header.

    Raises:
        WeightsError: A dtype is unknown to the format.
        SettingError: The folder cannot be written to, or the disk has no room.
    """
    path = Path(path)
    texts = {"format": "pt", **(metadata or {})}
    checksums = dict.fromkeys((HEADER, *shapes), "0" * 8)
    start = header(shapes, texts, checksums)
    needed = len(start) + sum(prod(shape) * dtype.itemsize for shape, dtype in shapes.values())
    with (
        unwritable_is_error(path, needed=needed),
        own_file(path) as temporary,
        temporary.open("r+b", buffering=0) as file,
    ):
        check_room(path.parent, needed)
        write_all(file, start)
        for name, (shape, dtype) in shapes.items():
            tensor = read(name).detach().cpu().contiguous()
            assert (tensor.shape, tensor.dtype) == (shape, dtype), f"{name}: not what the header says"
            checksums[name] = checksum(tensor)
            write_all(file, values_of(tensor))
        file.seek(0)
        write_all(file, header(shapes, texts, checksums))  # of the same length, now with the checksums
    return path


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all data to an unbuffered file, which may accept only a part at a time."""
    left = memoryview(data)
    while left.nbytes:
        left = left[file.write(left) :]


def header(shapes: Shapes, metadata: Mapping[str, str], checksums: dict[str, str]) -> bytes:
    """Return the first bytes of the file.

    Args:
        shapes: Shape and dtype of each tensor, by name.
        metadata: Texts for the header.
        checksums: Checksums of the tensors by name; the header's checksum is set here.

    Raises:
        WeightsError: A dtype is unknown to the format.
    """
    entries: dict[str, Any] = {}
    start = 0
    for name, (shape, dtype) in shapes.items():
        if dtype not in DTYPES:
            raise WeightsError(f"{name}: found {dtype}, expected one of {', '.join(DTYPES.values())}.")
        stop = start + prod(shape) * dtype.itemsize
        entries[name] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    checksums[HEADER] = header_checksum(entries, metadata)
    texts = {**metadata, CHECKSUMS: json.dumps(checksums)}
    text = json.dumps({"__metadata__": texts, **entries}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
