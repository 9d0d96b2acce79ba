"""Which classes a file may name: those of a few packages, of the expected kind; others where the user trusts them.

A class path is looked at before anything is imported. What it names must be a class, a subclass of what its place
expects, and defined where it may be: a package's own `import os` opens no way out of it.
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
# Classes of these packages that download, or write to a place that their arguments choose.
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
        entries: class paths (`contact.ContactHead`), or modules (`contact`) with everything in them.

    Raises:
        SettingError: an entry is neither.
    """

    entries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for entry in self.entries:
            if not _PATH.fullmatch(entry):
                raise SettingError(
                    f"--trust: found {entry!r}, expected a class or a module, such as contact.ContactHead or contact"
                )

    def names(self, path: str) -> bool:
        """Whether the user named this class, or a module that it is in."""
        return is_in(path, self.entries)

    def allows(self, path: str) -> bool:
        """Whether a file may name this path; nothing is imported to find out."""
        if self.names(path):
            return True
        hidden = any(part.startswith("_") for part in path.split("."))
        return is_in(path, PACKAGES) and not is_in(path, _NOT_IN_FILES) and not hidden


def trusted(entries: Iterable[str] = ()) -> Trust:
    """Return what the user trusts: the entries, and those of the variable SAPIENS2_LIT_TRUST, separated by commas.

    Raises:
        SettingError: an entry is neither a class path nor a module.
    """
    if isinstance(entries, str):
        entries = (entries,)
    from_environment = re.split(r"[,\s]+", os.environ.get(VARIABLE, ""))
    return Trust((*entries, *(entry for entry in from_environment if entry)))


def find_class(path: str, base: type, place: str, trust: Trust) -> type:
    """Import the class that a file names at a place.

    Args:
        path: the class path.
        base: what the place expects a subclass of.
        place: the file and the key in it, for messages.

    Raises:
        UntrustedError: the path, or where the class is defined, is not allowed; nothing of it was imported.
        WeightsError: there is no such class, or it is of another kind.
    """
    if not trust.allows(path):
        raise UntrustedError(place, [path])
    module, _, name = path.rpartition(".")
    found = getattr(_module(module, path, place, trust), name, None)
    if not isinstance(found, type):
        what = "names nothing there is" if found is None else f"is a {type(found).__name__}, no class"
        raise WeightsError(f"{place}: cannot be made: {path} {what}; expected a subclass of {base.__name__}.")
    check_subclass(found, base, place, path)
    if not trust.names(path) and not trust.allows(f"{found.__module__}.{found.__qualname__}"):
        raise UntrustedError(place, [f"{found.__module__}.{found.__qualname__}"])
    return found


def check_subclass(found: Any, base: type, place: str, path: str) -> None:
    """Raise WeightsError where what a class path names is no subclass of what its place expects."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise WeightsError(f"{place}: {path} is no subclass of {base.__name__}.")


def _module(name: str, path: str, place: str, trust: Trust) -> Any:
    """Return the module, imported by its own name: attributes that are modules are not followed."""
    if not name:
        raise WeightsError(f"{place}: found {path!r}, expected a full class path, such as torch.nn.GELU.")
    if not trust.names(path):
        _check_not_here(name.partition(".")[0], place)
    elif (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # classes of the user's own may lie in the working directory
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WeightsError(
            f"{place}: {path} cannot be imported: {error}. Classes of your own must be installed, or lie in the "
            "working directory."
        ) from error


def _check_not_here(package: str, place: str) -> None:
    """Raise WeightsError where a package would be imported from files that lie in the working directory."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    if any(found and Path(found).resolve().is_relative_to(Path.cwd()) for found in places):
        installed = any("site-packages" in str(found) for found in places)
        if not installed:
            raise WeightsError(
                f"{place}: names the package {package}, which is not installed; {package} in the working directory is "
                "not taken for it."
            )


def is_in(path: str, entries: Iterable[str]) -> bool:
    """Whether a path is one of the entries, or below one."""
    return any(path == entry or path.startswith(f"{entry}.") for entry in entries)
