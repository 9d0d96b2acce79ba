"""Find and read a dataset's files, and report all that is wrong with one at once."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sapiens2_lit.data.pseudo.origin import check_labelled
from sapiens2_lit.data.shards.files import names_in
from sapiens2_lit.errors import DataError
from sapiens2_lit.synthetic.dataset.manifest import check_finished

_SHOWN_PROBLEMS = 10


class Problems:
    """Problems of one file; they are raised together, and the message shows the first ten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[str] = []
        self.entries: list[tuple[str, str]] = []  # the same as (where, what)
        self._hints: dict[str, None] = {}

    def add(self, where: str, what: str) -> None:
        """Note that `where` (an annotation, an image) is wrong: the field, what was found and what was expected."""
        self.found.append(f"{where}: {what}")
        self.entries.append((where, what))

    def add_hint(self, remedy: str) -> None:
        """Note a setting or command that would correct a problem; each one is shown once."""
        if remedy:
            self._hints[remedy] = None

    @property
    def places(self) -> set[str]:
        """The places with problems."""
        return {where for where, _ in self.entries}

    @property
    def hints(self) -> tuple[str, ...]:
        """Settings and commands that would correct the problems."""
        return tuple(self._hints)

    def raise_if_any(self) -> None:
        """Raise all problems so far, if there are any.

        Raises:
            DataError: it lists the problems.
        """
        if not self.found:
            return
        shown = "\n".join(f"  - {line}" for line in self.found[:_SHOWN_PROBLEMS])
        hidden = len(self.found) - _SHOWN_PROBLEMS
        rest = f"\n  - and {hidden} more" if hidden > 0 else ""
        count = "1 problem" if len(self.found) == 1 else f"{len(self.found)} problems"
        hints = "".join(f"\n  -> {hint}" for hint in self.hints)
        raise DataError(f"{self.path}: {count}\n{shown}{rest}{hints}")


def find_folder(path: Path, setting: str) -> Path:
    """Return `path` itself, if it is a folder.

    Raises:
        DataError: it is no folder; it names the setting of the path.
    """
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {found}: `{setting}` must be a folder.")
    return path


def find_root(root: Path, setting: str = "data.root") -> Path:
    """Return the folder of a dataset.

    Raises:
        DataError: it is no folder, or `sapiens2-lit synth` or `predict --as_dataset` has not finished it.
    """
    find_folder(root, setting)
    check_finished(root)
    check_labelled(root)
    return root


def file_places(root: Path, name: str | Path, folders: Iterable[str] = ("", "annotations")) -> list[Path]:
    """Return the places where `find_file` looks.

    Args:
        root: folder that the folders are in.
        name: of the file.
        folders: where it may be.
    """
    return list(dict.fromkeys(root / folder / name for folder in folders))


def find_file(
    root: Path,
    name: str | Path,
    setting: str,
    folders: Iterable[str] = ("", "annotations"),
    way_out: str = "",
) -> Path:
    """Return the first of root/folder/name that is a file; an absolute `name` is used as it is.

    Args:
        root: folder that the folders are in.
        name: of the file.
        setting: setting of the name, for messages.
        folders: where it may be.
        way_out: what else to set, for messages.

    Raises:
        DataError: there is no such file; it lists the places and the setting to change.
    """
    places = file_places(root, name, folders)
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places))
    raise DataError(
        f"`{setting}` is {str(name)!r}, and there is no such file (looked for {looked}){way_out}."
    )


def read_json(path: Path) -> Any:
    """Return the contents of a JSON file.

    Raises:
        DataError: it is missing, empty or not valid JSON; with the position of the error.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: the file does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the file cannot be read as text: {error}.") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty, expected JSON.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        ends = error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated")
        kind = "ends too early (truncated?)" if ends else "is not valid JSON"
        raise DataError(
            f"{path}: the file {kind}: {error.msg} at line {error.lineno}, column {error.colno} "
            f"(character {error.pos} of {len(text)})."
        ) from error
    except ValueError as error:  # integers with thousands of digits
        raise DataError(f"{path}: the file has a number that cannot be read: {error}.") from error
    except RecursionError:
        raise DataError(f"{path}: the JSON is nested too deeply, expected a COCO file.") from None


def leaves_folder(name: str) -> bool:
    """Whether a file name from an annotation file would lead out of its images folder."""
    parts = re.split(r"[\\/]", name)
    return parts[0] == "" or ".." in parts or bool(re.match(r"[A-Za-z]:", name)) or "\0" in name


def absent_files(folder: Path, names: Iterable[str]) -> set[str]:
    """Return the `names` that are not under `folder`; each directory is listed once, which is fast."""
    by_parent: dict[str, list[str]] = {}
    for name in names:
        by_parent.setdefault(os.path.dirname(name), []).append(name)  # noqa: PTH120 - called 100 000 times
    absent: set[str] = set()
    for parent, members in by_parent.items():
        directory = folder / parent
        present = set(names_in(directory)) if directory.is_dir() else set()
        absent.update(name for name in members if name.rsplit("/", 1)[-1] not in present)
    return absent
