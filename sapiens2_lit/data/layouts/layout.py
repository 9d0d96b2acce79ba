"""The common form of all tools' layouts: the files of each split, and their labels as COCO lists."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sapiens2_lit.data.files import Problems

Kind = Literal["pose", "masks"]  # the wanted kind of labels
Coco = dict[str, list[Any]]  # the lists `images`, `annotations`, `categories`

# tools' names of the splits; a dataset with another name is one split, for training
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
        path: the file with the labels, or with their names.
        folder: folder that image names are relative to; None if the images have to be looked for.
        read: returns the labels as COCO lists, and leaves out unreadable ones if its argument is true; None for a COCO
            file, which is read directly.
        masks: folder of images whose pixels are the labels, for parts without COCO lists.
        stems: names of the pictures of such parts, without suffix.
    """

    path: Path
    folder: Path | None = None
    read: Callable[[bool], Coco] | None = None
    masks: Path | None = None
    stems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A dataset in the format of a tool.

    Attributes:
        title: name of the layout in messages.
        parts: the splits that the tool has: train, val, test.
        choose: the settings that choose this layout if there are several.
    """

    title: str
    parts: Mapping[str, Part] = field(default_factory=dict)
    choose: str = ""


@dataclass(frozen=True)
class Tool:
    """How to recognize and read the layout of one tool.

    Attributes:
        name: name in `sapiens2-lit convert --from`.
        title: name in messages.
        page: the tool's documentation of the format.
        expects: what a folder has to contain, in words.
        find: returns the layouts of this kind in a folder, judged by names, without reading all files.
        open: returns the layout of a file or folder given by `data.train`; None if it is not of this tool.
    """

    name: str
    title: str
    page: str
    expects: str
    find: Callable[[Path, Kind], list[Layout]]
    open: Callable[[Path, Kind], Layout | None]


def settle(problems: Problems, skip_bad: bool) -> None:
    """Raise all problems, or report what is left out if bad entries may be left out.

    Args:
        problems: of one file or folder.
        skip_bad: whether `data.on_bad` is `skip`.

    Raises:
        DataError: there are problems, and `skip_bad` is false.
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
    """Return the content of a folder without hidden files, sorted; empty if it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def short_path(path: Path, root: Path) -> str:
    """Return a path relative to the dataset's folder, if it is in it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
