"""Read the index of a checkpoint folder without running code that it may contain.

PyTorch saves the index as a pickle and unpickles it. Here it is unpickled first, with only the few classes that it
needs.
"""

import io
import pickle
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import Metadata

from sapiens2_lit.errors import WeightsError

INDEX_FILE = ".metadata"
CLASSES = {
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("pathlib._local", "PosixPath"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    *(
        ("torch.distributed.checkpoint.metadata", name)
        for name in (
            "BytesStorageMetadata", "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta",
            "TensorProperties", "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
        )
    ),
}  # fmt: skip


class IndexReader(pickle.Unpickler):
    """Reads the pickled index of a sharded checkpoint without running code: names of dtypes and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class, function or dtype that an index may name.

        Raises:
            UnpicklingError: The index names something else.
        """
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if dtype or (module, name) in CLASSES:
            return super().find_class(module, name)
        if (module, name) == (
            "builtins",
            "getattr",
        ):  # Python 3.11.0 to 3.11.3 pickle members of enumerations like this
            return member
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def member(kind: Any, name: Any) -> Enum:
    """Return a member of an enumeration, and nothing else that `getattr` would give.

    Raises:
        UnpicklingError: It is not a member of an enumeration.
    """
    if not (isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__):
        raise pickle.UnpicklingError(f"it names {name} of {kind}")
    return kind[name]


def read_index(folder: Path) -> Metadata:
    """Return the index of a folder: its tensors, and where they lie.

    Raises:
        WeightsError: The file is broken, or would run code.
    """
    file = folder / INDEX_FILE
    try:
        found = IndexReader(io.BytesIO(file.read_bytes())).load()
    except Exception as error:  # unpickling a broken file can raise anything
        raise WeightsError(f"{file}: expected the index of a sharded checkpoint ({error}).") from error
    if not isinstance(found, Metadata):
        raise WeightsError(
            f"{file}: found {type(found).__name__}, expected the index of a sharded checkpoint."
        )
    return found
