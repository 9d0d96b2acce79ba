"""Write weights as safetensors, completely or not at all."""

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
    """Write `tensors` to the safetensors file `path`, replacing it; folders are created as needed.

    The file appears under its name only when it is complete, so that neither a reader nor a crash meets half of it.

    Args:
        tensors: Tensors by name.
        path: The file.
        metadata: Short texts for the file's header, besides the checksums of the tensors.

    Raises:
        SettingError: The folder cannot be written to, or the disk has no room.
    """
    path = Path(path)
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    needed = SMALL + sum(tensor.nbytes for tensor in ready.values())
    with unwritable_is_error(path, needed=needed), own_file(path) as temporary:
        check_room(path.parent, needed)
        save_file(ready, temporary, metadata=with_checksums(ready, {"format": "pt", **(metadata or {})}))
    return path


def with_checksums(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return a file's texts together with the checksums of its tensors, which must be contiguous and on the CPU."""
    shapes = {
        name: {"dtype": DTYPES.get(tensor.dtype), "shape": tensor.shape} for name, tensor in tensors.items()
    }
    checksums = {name: checksum(tensor) for name, tensor in tensors.items()}
    checksums[HEADER] = header_checksum(shapes, metadata)
    return {**metadata, CHECKSUMS: json.dumps(checksums)}
