"""What every tool's layout comes down to: the files of each split, and their labels as COCO lists."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sapiens2_lit.data.files import Problems

Kind = Literal["pose", "masks"]  # what is wanted of a dataset
Coco = dict[str, list[Any]]  # the lists `images`, `annotations`, `categories`

# how tools call the splits; what is called by none of these is all there is, and trained on
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "default", "all"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SHOWN = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """The labels of one split.

    Attributes:
        path: the file that they are in, or that names them.
        folder: what image names are relative to; None where the images have to be looked for.
        read: gives the labels as COCO lists, leaving out what cannot be read where its argument is true; None for a
            COCO file, which is read as it is.
        masks: folder of images whose pixels are the labels, for parts that have no COCO lists.
        stems: names of the pictures of such parts, without suffix.
    """

    path: Path
    folder: Path | None = None
    read: Callable[[bool], Coco] | None = None
    masks: Path | None = None
    stems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A dataset as a tool writes it.

    Attributes:
        title: what messages call the layout.
        parts: by split: train, val, test; what the tool has.
        choose: the settings that choose this one where several are there.
    """

    title: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    choose: str = ""


@dataclass(frozen=True)
class Tool:
    """How the layout of one tool is recognized and read.

    Attributes:
        name: as of `sapiens2-lit convert --from`.
        title: what messages call it.
        page: the tool's documentation of it.
        expects: what a folder has to hold, in words.
        find: the layouts of this kind in a folder, by names alone, without reading all of it.
        open: the layout that a file or folder given by `data.train` is, None if it is not of this tool.
    """

    name: str
    title: str
    page: str
    expects: str
    find: Callable[[Path, Kind], list[Layout]]
    open: Callable[[Path, Kind], Layout | None]


def settle(problems: Problems, skip_bad: bool) -> None:
    """Raise DataError with all problems, or say what is left out where bad entries may be.

    Args:
        problems: of one file or folder.
        skip_bad: whether `data.on_bad` is `skip`.
    """
    if not skip_bad:
        problems.raise_if_any()
    elif problems.found:
        shown = "; ".join(problems.found[:_SHOWN]) + ("; ..." if len(problems.found) > _SHOWN else "")
        _log.warning(
            "%s: %d entries are left out (data.on_bad: skip): %s", problems.path, len(problems.found), shown
        )


def read_head(path: Path, length: int = 1 << 16) -> bytes:
    """Return the first bytes of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError:
        return b""


def visible(folder: Path) -> list[Path]:
    """Return what is in a folder, hidden files left out, sorted; empty if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def short_path(path: Path, root: Path) -> str:
    """Return a path as it is under the dataset's folder, if it is there."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
