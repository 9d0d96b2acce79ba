"""What is on disk where an annotation file names an image that is not."""

import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Hint:
    """What is there instead of a missing file.

    Attributes:
        text: to append to a message; empty if nothing is near.
        remedy: the setting or command that mends it; empty if there is none.
    """

    text: str = ""
    remedy: str = ""


class NamesOnDisk:
    """The names of all files under a folder, asked for once.

    Args:
        folder: of images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def names(self) -> list[str]:
        """Paths of all files, relative to the folder, hidden ones left out."""
        found = []
        for parent, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            start = Path(parent).relative_to(self.folder)
            found += [(start / name).as_posix() for name in files if not name.startswith(".")]
        return sorted(found)

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        return {unicodedata.normalize("NFC", name): name for name in self.names}

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {letters.casefold(): name for letters, name in self._by_letters.items()}

    @cached_property
    def _by_last(self) -> dict[str, str]:
        return {_last(name).casefold(): name for name in self.names}

    def same_letters(self, name: str) -> str | None:
        """The file whose name has the same letters in another Unicode form, composed or decomposed."""
        return self._by_letters.get(unicodedata.normalize("NFC", name))

    def hint(self, name: str) -> Hint:
        """What is there instead of `name`, which is not.

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
        stem = _last(plain).rpartition(".")[0].casefold()
        near = next(
            (one for one in self.names if stem and _last(one).rpartition(".")[0].casefold() == stem), None
        )
        return Hint() if near is None else Hint(f"; {near!r} is there: another suffix", AS_ON_DISK)


AS_ON_DISK = "write `file_name` in the annotation file as it is on disk"
RENAME = (
    "names are relative to data.images: write `file_name` as it is on disk, for names alone with "
    'python -c "import json, re, sys; p = sys.argv[1]; d = json.load(open(p)); '
    "[i.update(file_name=re.split(r'[/\\\\\\\\]', i['file_name'])[-1]) for i in d['images']]; "
    "json.dump(d, open(p, 'w'))\" ANNOTATIONS.json"
)


def _last(name: str) -> str:
    return re.split(r"[\\/]", name)[-1]
