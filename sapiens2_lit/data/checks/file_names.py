"""Find the file on disk that an annotation file means by a wrong image name."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

from sapiens2_lit.data.shards.files import walk

_MOST_FILES = 500_000  # files to look at; more are not worth the time for a hint


@dataclass(frozen=True)
class Hint:
    """A hint about a missing file.

    Attributes:
        text: to append to a message; empty if there is no similar file.
        remedy: the setting or command that corrects it; empty if there is none.
    """

    text: str = ""
    remedy: str = ""


class NamesOnDisk:
    """The names of all files under a folder, read once.

    Args:
        folder: of images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def names(self) -> list[str]:
        """Paths of all files, relative to the folder, without hidden ones."""
        return sorted(islice(_walk(self.folder), _MOST_FILES))

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self.names}

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {letters.casefold(): name for letters, name in self._by_letters.items()}

    @cached_property
    def _by_last(self) -> dict[str, str]:
        return {_last(name).casefold(): name for name in self.names}

    @cached_property
    def _beside(self) -> dict[str, str]:
        """Return the files beside the folder, by the last part of their names; relative to the common parent."""
        if self.folder.resolve().parent == self.folder.resolve():
            return {}
        files = islice(_walk(self.folder.parent, self.folder), _MOST_FILES)
        return {_last(name).casefold(): name for name in files}

    def same_letters(self, name: str) -> str | None:
        """Return the file whose name has the same letters in another Unicode form, composed or decomposed."""
        return self._by_letters.get(unicodedata.normalize("NFC", name))

    def hint(self, name: str) -> Hint:
        """Return a hint which file may be meant by `name`, which does not exist.

        Args:
            name: as in the annotation file, relative to the folder or not.
        """
        plain = unicodedata.normalize("NFC", name).replace("\\", "/").removeprefix("./")
        if "\\" in name and plain in self._by_letters:
            return Hint(
                f"; {self._by_letters[plain]!r} is there: \\ separates folders on Windows only", RENAME
            )
        if (found := self._by_case.get(plain.casefold())) is not None:
            return Hint(f"; {found!r} is there: upper and lower case differ", AS_ON_DISK)
        head, _, rest = plain.partition("/")
        if rest and head == self.folder.name and rest in self._by_letters:
            if "\\" in name:
                return Hint(f"; {rest!r} is there: the folder is in the name, with the \\ of Windows", RENAME)
            return Hint(
                f"; {rest!r} is there: the folder {head!r} is in the name and in data.images",
                "--data.images . looks for the names as they are under data.root",
            )
        if (found := self._by_last.get(_last(plain).casefold())) is not None:
            return Hint(f"; {found!r} is there", RENAME)
        if (found := self._beside.get(_last(plain).casefold())) is not None:
            place = (
                found.removesuffix(plain).rstrip("/") if found.endswith(plain) else found.rpartition("/")[0]
            )
            text = f"; {found!r} is in {self.folder.parent}"
            return Hint(
                text, f"--data.images {place or '.'} looks there, and an annotation file has one folder"
            )
        stem = _last(plain).rpartition(".")[0].casefold()
        near = next(
            (one for one in self.names if stem and _last(one).rpartition(".")[0].casefold() == stem), None
        )
        return Hint() if near is None else Hint(f"; {near!r} is there: another suffix", AS_ON_DISK)


def _walk(folder: Path, without: Path | None = None) -> Iterator[str]:
    """Yield paths of files under a folder, relative to it, without hidden files and without another folder."""
    for parent, folders, files in walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and parent / name != without]
        start = parent.relative_to(folder)
        yield from ((start / name).as_posix() for name in files if not name.startswith("."))


AS_ON_DISK = "write `file_name` in the annotation file as it is on disk"
RENAME = (
    "names are relative to data.images: write `file_name` as it is on disk. If no name exists as written, "
    "all names are looked up by the ends of their paths"
)


def _last(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]
