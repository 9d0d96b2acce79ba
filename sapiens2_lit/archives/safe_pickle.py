"""Read PyTorch's files without running code that they may contain."""

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from sapiens2_lit.archives.programs import refuse_program
from sapiens2_lit.archives.verify import tell_unverified, verify_file
from sapiens2_lit.errors import DamagedError, WeightsError

_UNKNOWN_CLASS = re.compile(r"GLOBAL:? `?([\w.]+)")  # in PyTorch's message
# Modules of objects that trainers of OpenMMLab (Sapiens v1 among them) save in `meta` and beside the weights.
_OF_MMENGINE = re.compile(r"(mm(engine|cv|pose|seg|pretrain|det)|numpy)\b")


def read_pickle(file: Path, mmap: bool = True) -> Any:
    """Read a PyTorch file with tensors, numbers, text and containers of these onto the CPU, after verifying it.

    Args:
        file: A checkpoint, or weights.
        mmap: Map it into memory if its format allows, instead of copying it.

    Raises:
        DamagedError: A checksum in it does not match.
        WeightsError: The file is broken, or would run code when loaded. The message is one line.
    """
    refuse_program(file)
    try:
        known = verify_file(file)
        # Only the newer zip format can be memory-mapped.
        mapped = mmap and zipfile.is_zipfile(file)
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except (MemoryError, DamagedError):
        raise
    except Exception as error:  # unpickling a broken file can raise anything
        raise WeightsError(_message(file, error)) from error
    if not known:
        tell_unverified(file)
    return content


def _message(file: Path, error: Exception) -> str:
    """Return a one-line message without PyTorch's text, which advises to load the file with its code."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return f"{file}: the file cannot be read: {error.strerror}."
    if named := _UNKNOWN_CLASS.search(str(error)):
        if _OF_MMENGINE.match(named[1]):
            return _way_out(file, named[1])
        return (
            f"{file}: expected only tensors; found {named[1]}, which would run code when loaded. That is never "
            "allowed: ask for the weights as safetensors."
        )
    if isinstance(error, pickle.UnpicklingError):
        return (
            f"{file}: expected only tensors; the file is broken, or would run code when loaded, which is never "
            f"allowed; {what_is(file)}."
        )
    return f"{file}: expected a PyTorch file with only tensors; {what_is(file)}."


def _way_out(file: Path, found: str) -> str:
    """Explain how to take the tensors out of a trusted file of mmengine."""
    clean = file.with_name(f"{file.stem}_clean{file.suffix}")
    code = (
        f"import torch; d = torch.load('{file}', map_location='cpu', weights_only=False); "
        f"torch.save({{'state_dict': d['state_dict']}}, '{clean}')"
    )
    return (
        f"{file}: expected only tensors; found {found} beside them (in `meta` or `message_hub`, as mmengine writes "
        "it), which would run code when loaded. That is never allowed here. If you trust the file, take the weights "
        f'out where it was trained: python -c "{code}", and give {clean}.'
    )


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
