"""PyTorch's files, read without running anything that a stranger may have put into them."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from sapiens2_lit.archives.verify import tell_unverified, verify_file
from sapiens2_lit.errors import DamagedError, WeightsError

_UNKNOWN_CLASS = re.compile(r"GLOBAL:? `?([\w.]+)")  # in PyTorch's message


def read_pickle(file: Path, mmap: bool = True) -> Any:
    """Read a PyTorch file that holds tensors, numbers, text and containers of these, verified, onto the CPU.

    Args:
        file: a checkpoint, or weights.
        mmap: map it into memory, where its format allows, instead of copying it.

    Raises:
        DamagedError: a checksum in it does not match.
        WeightsError: the file is broken, or would run code when loaded. The message is one line.
    """
    try:
        known = verify_file(file)
        # Only the newer zip format can be memory-mapped.
        mapped = mmap and zipfile.is_zipfile(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except (MemoryError, DamagedError):
        raise
    except Exception as error:  # a broken file makes unpickling raise whatever its bytes say
        raise WeightsError(_message(file, error)) from error
    if not known:
        tell_unverified(file)
    return content


def _message(file: Path, error: Exception) -> str:
    """One line; PyTorch's own message advises to load the file with its code, so nothing of it is repeated."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return f"{file}: the file cannot be read: {error.strerror}."
    if named := _UNKNOWN_CLASS.search(str(error)):
        return (
            f"{file}: expected tensors alone; found {named[1]}, which would run code when loaded. That is never "
            "allowed: ask for the weights as safetensors."
        )
    if isinstance(error, pickle.UnpicklingError):
        return (
            f"{file}: expected tensors alone; the file is broken, or would run code when loaded, which is never "
            f"allowed; {what_is(file)}."
        )
    return f"{file}: expected a PyTorch file with tensors alone; {what_is(file)}."


def what_is(file: Path) -> str:
    """Describe a file that is not weights."""
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if not start:
        return "it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer: fetch the file itself with `git lfs pull`"
    if start.lstrip()[:1] in (b"<", b"#") or (start.isascii() and start.decode().isprintable()):
        return "it is text"
    return f"it is broken or not complete, {file.stat().st_size} bytes long"
