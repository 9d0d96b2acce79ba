"""Decide which classes a file may name: classes of the expected kind in a few packages, and what the user trusts.

A class path is checked before anything is imported. It must name a class, a subclass of what is expected there, that is
defined in an allowed package: names that a package merely imports, such as `os`, are refused.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import SettingError, UntrustedError, WeightsError

PACKAGES = (
    "sapiens2_lit",
    "torch.nn",
    "torch.optim",
    "torchao",
    "segmentation_models_pytorch",
    "lightning",
)
# Classes of these packages that download, or write to a path that their arguments choose.
_NOT_IN_FILES = (
    "lightning.pytorch.demos",
    "lightning.pytorch.strategies.DeepSpeedStrategy",
    "lightning.pytorch.strategies.deepspeed",
)
VARIABLE = "SAPIENS2_LIT_TRUST"
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Trust:
    """What the user trusts besides `PACKAGES`.

    Args:
        entries: Class paths (`contact.ContactHead`), or modules (`contact`) with everything in them.

    Raises:
        SettingError: An entry is neither.
    """

    entries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.entries:
            if not _PATH.fullmatch(entry):
                raise SettingError(
                    f"--trust: found {entry!r}, expected a class or a module, such as contact.ContactHead or contact"
                )

    def names(self, path: str) -> bool:
        """Return whether the user named this class, or a module that contains it."""
        return is_in(path, self.entries)

    def allows(self, path: str) -> bool:
        """Return whether a file may name this path; nothing is imported."""
        if self.names(path):
            return True
        hidden = any(part.startswith("_") for part in path.split("."))
        return is_in(path, PACKAGES) and not is_in(path, _NOT_IN_FILES) and not hidden


def trusted(entries: Iterable[str] = ()) -> Trust:
    """Return what the user trusts: the entries, and those in the variable SAPIENS2_LIT_TRUST, separated by commas.

    Raises:
        SettingError: An entry is neither a class path nor a module.
    """
    if isinstance(entries, str):
        entries = (entries,)
    from_environment = re.split(r"[,\s]+", os.environ.get(VARIABLE, ""))
    return Trust((*entries, *(entry for entry in from_environment if entry)))


def find_class(path: str, base: type, place: str, trust: Trust) -> type:
    """Import a class that a file names.

    Args:
        path: The class path.
        base: The class must be a subclass of this.
        place: The file and the key in it, for messages.
        trust: What may be named.

    Raises:
        UntrustedError: The path, or where the class is defined, is not allowed; in the first case nothing was imported.
        WeightsError: There is no such class, or it is of another kind.
    """
    if not trust.allows(path):
        raise UntrustedError(place, [path])
    module, _, name = path.rpartition(".")
    found = getattr(_module(module, path, place, trust), name, None)
    if not isinstance(found, type):
        what = "names nothing that exists" if found is None else f"is a {type(found).__name__}, not a class"
        raise WeightsError(f"{place}: cannot be made: {path} {what}; expected a subclass of {base.__name__}.")
    check_subclass(found, base, place, path)
    if not trust.names(path) and not trust.allows(f"{found.__module__}.{found.__qualname__}"):
        raise UntrustedError(place, [f"{found.__module__}.{found.__qualname__}"])
    return found


def check_subclass(found: Any, base: type, place: str, path: str) -> None:
    """Check that what a class path names is a subclass of what is expected.

    Args:
        found: What it names.
        base: What is expected.
        place: The file and the key in it, for messages.
        path: The class path.

    Raises:
        WeightsError: It is not.
    """
    if not (isinstance(found, type) and issubclass(found, base)):
        raise WeightsError(f"{place}: {path} is not a subclass of {base.__name__}.")


def _module(name: str, path: str, place: str, trust: Trust) -> Any:
    """Return the module, imported by its own name; attributes that are modules are not followed."""
    if not name:
        raise WeightsError(f"{place}: found {path!r}, expected a full class path, such as torch.nn.GELU.")
    if not trust.names(path):
        _check_not_here(name.partition(".")[0], place)
    elif (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # the user's classes may lie in the working directory
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WeightsError(
            f"{place}: {path} cannot be imported: {error}. Your classes must be installed, or lie in the working "
            "directory."
        ) from error


def _check_not_here(package: str, place: str) -> None:
    """Check that a package would not be imported from files in the working directory.

    Raises:
        WeightsError: It would.
    """
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    if any(found and Path(found).resolve().is_relative_to(Path.cwd()) for found in places):
        installed = any("site-packages" in str(found) for found in places)
        if not installed:
            raise WeightsError(
                f"{place}: names the package {package}, which is not installed; {package} in the working directory is "
                "not used instead."
            )


def is_in(path: str, entries: Iterable[str]) -> bool:
    """Return whether a path is one of the entries, or below one."""
    return any(path == entry or path.startswith(f"{entry}.") for entry in entries)
