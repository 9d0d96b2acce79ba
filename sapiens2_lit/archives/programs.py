"""Recognize programs of PyTorch (TorchScript, packages of torch.export), which cannot be used as weights."""

import zipfile
from pathlib import Path

from sapiens2_lit.archives.verify import BROKEN_ZIP
from sapiens2_lit.errors import WeightsError

HUB_ENDINGS = ("-torchscript", "-bfloat16")  # endings of repositories that hold programs


def program_kind(file: Path) -> str | None:
    """Return what kind of program a file is; None if it is none."""
    if not file.is_file():
        return None
    try:
        if not zipfile.is_zipfile(file):
            return None
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (*BROKEN_ZIP, OSError):
        return None  # a damaged file: the code that reads it reports what is wrong
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        return "a TorchScript program (torch.jit.save)"
    ends = ("serialized_exported_program.json", "archive_format")
    if any(name.endswith(ends) or "/models/" in name for name in names):
        return "a program of torch.export"
    return None


def refuse_program(path: Path) -> None:
    """Check that a file, or the name of a repository, is not a program instead of weights.

    Raises:
        WeightsError: It is a program.
    """
    if (ending := next((end for end in HUB_ENDINGS if path.name.endswith(end)), None)) and not path.exists():
        raise WeightsError(
            f"{path}: a repository of programs, which hold no weights by name: use the repository of the same model "
            f"without {ending}, {str(path).removesuffix(ending)}, whose file ends in .pth."
        )
    if (kind := program_kind(path)) is not None:
        raise WeightsError(
            f"{path}: found {kind}, expected weights: a program's tensors have lost their names. Use the .pth of the "
            "same model: for Sapiens v1 it is in the repository without -torchscript or -bfloat16 in its name, such as "
            "facebook/sapiens-seg-0.3b."
        )
