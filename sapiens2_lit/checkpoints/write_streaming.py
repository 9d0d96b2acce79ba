"""Write a safetensors file tensor by tensor, so that a model larger than memory fits.

The format: eight bytes with the length of the header, the header in JSON, and the values one after the other
(https://huggingface.co/docs/safetensors). The library's own writer wants all tensors in memory.
"""

import json
import os
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from uuid import uuid4

import torch
from torch import Tensor

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
    """Write the tensors that `shapes` names, each as `read` gives it, to the safetensors file `path`, replacing it.

    The file appears under its name only when it is complete. One tensor at a time is in memory.

    Raises:
        WeightsError: a dtype that the format does not know.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(header(shapes, {"format": "pt", **(metadata or {})}))
            for name, (shape, dtype) in shapes.items():
                tensor = read(name).detach().cpu().contiguous()
                assert (tensor.shape, tensor.dtype) == (shape, dtype), f"{name}: not what the header says"
                file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def header(shapes: Shapes, metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name, (shape, dtype) in shapes.items():
        if dtype not in DTYPES:
            raise WeightsError(f"{name}: found {dtype}, expected one of {', '.join(DTYPES.values())}.")
        stop = start + prod(shape) * dtype.itemsize
        entries[name] = {"dtype": DTYPES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
