"""Write weights as safetensors, whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from safetensors.torch import save_file
from torch import Tensor

from sapiens2_lit.atomic_write import whole_file


def write_weights(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write `tensors` to the safetensors file `path`, replacing it; folders are made as needed.

    The file appears under its name only when it is complete: a reader, or a crash, never meets half of it.

    Args:
        metadata: short texts kept in the file's header.
    """
    path = Path(path)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path, mark=uuid4().hex) as temporary:
        save_file(ready, temporary, metadata={"format": "pt", **(metadata or {})})
    return path
