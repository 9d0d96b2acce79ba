"""Write weights as safetensors, whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from sapiens2_lit.archives.verify import CHECKSUMS, HEADER, checksum, header_checksum
from sapiens2_lit.archives.write_archive import SMALL
from sapiens2_lit.atomic_write import check_room, own_file, unwritable_is_error
from sapiens2_lit.checkpoints.write_streaming import DTYPES


def write_weights(
    tensors: Mapping[str, Tensor], path: str | os.PathLike[str], *, metadata: Mapping[str, str] | None = None
) -> Path:
    """Write `tensors` to the safetensors file `path`, replacing it; folders are made as needed.

    The file appears under its name only when it is complete: a reader, or a crash, never meets half of it.

    Args:
        metadata: short texts kept in the file's header, beside the checksums of the tensors.

    Raises:
        SettingError: the folder cannot be written to, or has no room.
    """
    path = Path(path)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    needed = SMALL + sum(tensor.nbytes for tensor in ready.values())
    with unwritable_is_error(path, needed=needed), own_file(path) as temporary:
        check_room(path.parent, needed)
        save_file(ready, temporary, metadata=with_checksums(ready, {"format": "pt", **(metadata or {})}))
    return path


def with_checksums(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return a file's texts, and the checksums of its tensors, contiguous and on the CPU, by which it is verified."""
    shapes = {
        name: {"dtype": DTYPES.get(tensor.dtype), "shape": tensor.shape} for name, tensor in tensors.items()
    }
    checksums = {name: checksum(tensor) for name, tensor in tensors.items()}
    checksums[HEADER] = header_checksum(shapes, metadata)
    return {**metadata, CHECKSUMS: json.dumps(checksums)}
