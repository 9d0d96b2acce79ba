"""Write weights as safetensors, whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from safetensors.torch import save_file
from torch import Tensor


def write_weights(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write `tensors` to the safetensors file `path`, replacing it; folders are made as needed.

    The file appears under its name only when it is complete: a reader, or a crash, never meets half of it.

    Args:
        metadata: short texts kept in the file's header.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        save_file(ready, temporary, metadata={"format": "pt", **(metadata or {})})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
