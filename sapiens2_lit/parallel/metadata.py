"""The index of a checkpoint folder, read without running anything that a stranger may have put into it.

PyTorch keeps it as a pickle and reads it as one. Here it is read first, with the few classes that it is made of alone.
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
    """Read the pickled index of a sharded checkpoint without running code: names of dtypes and plain containers."""

    def find_class(self, module: str, name: str) -> Any:
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if dtype or (module, name) in CLASSES:
            return super().find_class(module, name)
        if (module, name) == (
            "builtins",
            "getattr",
        ):  # how Python 3.11.0 to 3.11.3 write members of enumerations
            return member
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def member(kind: Any, name: Any) -> Enum:
    """Return a member of an enumeration, and nothing else that `getattr` would give.

    Raises:
        UnpicklingError: it is no member of an enumeration.
    """
    if not (isinstance(kind, type) and issubclass(kind, Enum) and name in kind.__members__):
        raise pickle.UnpicklingError(f"it names {name} of {kind}")
    return kind[name]


def read_index(folder: Path) -> Metadata:
    """Return what the folder's tensors are and where they lie.

    Raises:
        WeightsError: the file is broken, or would run code.
    """
    file = folder / INDEX_FILE
    try:
        found = IndexReader(io.BytesIO(file.read_bytes())).load()
    except Exception as error:  # a broken file makes unpickling raise whatever its bytes say
        raise WeightsError(f"{file}: expected the index of a sharded checkpoint ({error}).") from error
    if not isinstance(found, Metadata):
        raise WeightsError(
            f"{file}: found {type(found).__name__}, expected the index of a sharded checkpoint."
        )
    return found
