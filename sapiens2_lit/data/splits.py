"""Find the images of a folder by stem, and assign them to training, validation and test."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.data.files import Problems, find_file
from sapiens2_lit.data.held_out import hash_place
from sapiens2_lit.data.labels.base import stem_of
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, find_images
from sapiens2_lit.errors import DataError, SettingError

SPLIT_FILES = {"train": "splits/train.txt", "val": "splits/val.txt", "test": "splits/test.txt"}
# Of the images that no file assigns, a tenth each, by hash.
_SHARES = {"val": (0.0, 0.1), "test": (0.1, 0.2), "train": (0.2, 1.0)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fold:
    """One of several equal parts of a dataset, to validate on; the others are trained on.

    A picture's part depends on the hash of its name, so it stays when pictures are added or removed.

    Attributes:
        number: from 0.
        of: number of parts.
    """

    number: int
    of: int

    def holds_out(self, name: str) -> bool:
        """Whether a picture is in this part."""
        return int(hash_place(f"fold {name}") * self.of) == self.number

    def choose(self, keys: Iterable[str]) -> set[str]:
        """Return the keys that are in this part."""
        return {key for key in keys if self.holds_out(key)}

    def split(self, names: Iterable[str], split: str, where: str) -> list[str]:
        """Return the names of `train` or `val`, sorted.

        Raises:
            DataError: there are none.
        """
        known = sorted(names)
        found = [name for name in known if self.holds_out(name) == (split == "val")]
        if not found:
            raise DataError(
                f"{where}: none of {len(known)} pictures belongs to `{split}` of data.fold {self}: take fewer folds."
            )
        return found

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def read_fold(setting: str | None) -> Fold | None:
    """Return the fold that `data.fold` means; 0/5 is the first of five parts.

    Raises:
        SettingError: it has another form.
    """
    if setting is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", str(setting).strip())
    if not found or int(found[2]) < 2 or int(found[1]) >= int(found[2]):
        raise SettingError(
            f"data.fold is {setting!r}, expected NUMBER/FOLDS with numbers from 0, such as 0/5 to 4/5."
        )
    return Fold(int(found[1]), int(found[2]))


def images_by_stem(folder: Path) -> dict[str, str]:
    """Return the names of the images in a folder and the folders in it, relative to it, by stem.

    Raises:
        DataError: there is no image, or two have the same stem.
    """
    found: dict[str, str] = {}
    problems = Problems(folder)
    for path in find_images(folder):
        name = path.relative_to(folder).as_posix()
        first = found.setdefault(stem_of(name), name)
        if first != name:
            problems.add(name, f"has the stem of {first}, by which labels are matched: rename one")
    problems.raise_if_any()
    if not found:
        raise DataError(f"{folder}: there is no image in it, expected {', '.join(IMAGE_SUFFIXES)}.")
    return found


def split_stems(
    root: Path,
    stems: Iterable[str],
    files: Mapping[str, str | None],
    name: str,
    group: Callable[[str], str] | None = None,
) -> list[str]:
    """Return the stems of one split: those of its file, or a stable share by hash if no split has a file.

    An image's split by hash stays when images are added or removed.

    Args:
        root: folder that the files are relative to.
        stems: of all images.
        files: of the splits train, val and test, as in the settings.
        name: the split.
        group: returns the subject or video of a stem, whose images share a split by hash; None for each image by
            itself.

    Raises:
        SettingError: the setting is null.
        DataError: the file is missing, empty or names missing images, or the share is empty.
    """
    setting, known = files[name], set(stems)
    if setting is None:
        raise SettingError(f"data.{name} is null: set it to a file with one stem per line, under {root}.")
    if is_by_hash(root, files):
        return _by_hash(known, name, root, group or str)
    folders = ("",) if Path(setting).parts[:1] == ("splits",) else ("", "splits")
    way_out = (
        ": write it, or set data.val to null, to train without validation, or to a share such as 0.1"
        if name == "val"
        else ""
    )
    path = find_file(root, setting, f"data.{name}", folders, way_out)
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    listed = [line for line in lines if line]
    problems = Problems(path)
    for stem in listed:
        if stem not in known:
            problems.add(stem, f"there is no such image, expected a stem{_hint(stem, known)}")
    problems.raise_if_any()
    if not listed:
        raise DataError(f"{path} (`data.{name}`): the file is empty, expected one stem per line.")
    return list(dict.fromkeys(listed))


def is_by_hash(root: Path, files: Mapping[str, str | None]) -> bool:
    """Whether no file assigns images to splits."""
    by_default = all(file in (None, SPLIT_FILES[split]) for split, file in files.items())
    return by_default and not any((root / file).is_file() for file in SPLIT_FILES.values())


def not_for_testing(root: Path, stems: Iterable[str], files: Mapping[str, str | None]) -> list[str]:
    """Return the stems that `data.val SHARE` divides: the training file's, or by hash all that are not for testing.

    Args:
        root: folder that the files are relative to.
        stems: of all images.
        files: of the splits train, val and test, as in the settings.
    """
    if not is_by_hash(root, files):
        return split_stems(root, stems, files, "train")
    low, high = _SHARES["test"] if files["test"] is not None else (0.0, 0.0)
    return sorted(stem for stem in stems if not low <= hash_place(stem) < high)


def _hint(line: str, known: set[str]) -> str:
    """Return a hint about a line of a split file, if a part of it is a stem."""
    if stem_of(line) in known:
        return " (leave out the suffix)"
    columns = re.split(r"[,;\t ]+", line)
    for place, column in enumerate(columns):
        parts = stem_of(column.replace("\\", "/")).lstrip("/").split("/")
        for first in range(len(parts)):
            if (stem := "/".join(parts[first:])) in known:
                more = f", column {place + 1} of {len(columns)} only" if len(columns) > 1 else ""
                return f" ('{stem}' is there: leave out folders and suffixes{more})"
    lower = {stem.lower(): stem for stem in known}
    if (found := lower.get(stem_of(line).lower())) is not None:
        return f" ('{found}' is there: upper and lower case differ)"
    return ""


def _by_hash(stems: set[str], name: str, root: Path, group: Callable[[str], str]) -> list[str]:
    low, high = _SHARES[name]
    chosen = sorted(stem for stem in stems if low <= hash_place(group(stem)) < high)
    if not chosen:
        raise DataError(
            f"{root}: without {SPLIT_FILES[name]} a tenth of the images is chosen by hash, and none of the "
            f"{len(stems)} belongs to `data.{name}`: write split files, one stem per line"
            + (", or set data.val to a share such as 0.2, or to null." if name == "val" else ".")
        )
    _log.info("%s: no split files; by hash, %d of %d images are for %s", root, len(chosen), len(stems), name)
    return chosen
