"""Find local files for image names that an annotation file has from another machine."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sapiens2_lit.data.shards.files import walk

_MOST_FILES = 500_000  # files to look at
# Label Studio puts eight digits before the names of uploaded files: https://labelstud.io/guide/export
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


def with_local_names(images: list[Any], folder: Path) -> tuple[list[Any], tuple[str, str] | None]:
    """Return the `images` of a file with their names under `folder`, and an example of a changed name.

    Names are from another machine if none of them exists as written, such as /data/upload/18/a.jpg of a server. Then
    each name is replaced by the file whose path ends in the same way, if there is one such file for each name, and
    different files for different names. Otherwise names stay as they are, and errors report them.
    """
    names = [image.get("file_name") if isinstance(image, dict) else None for image in images]
    known = [name for name in names if isinstance(name, str) and name]
    local = names_here(known, folder)
    if not local:
        return images, None
    changed = [
        {**image, "file_name": local[name]} if isinstance(name, str) and name in local else image
        for image, name in zip(images, names, strict=True)
    ]
    return changed, next(iter(local.items()))


def names_here(names: Sequence[str], folder: Path) -> dict[str, str]:
    """Return the local name under `folder` of each name from another machine.

    The result is empty if one of the names exists as written, or one is not found.
    """
    if not names or not folder.is_dir() or any(_is_there(folder, name) for name in names):
        return {}
    by_end = _by_last(folder)
    found = {name: _find(name, by_end) for name in dict.fromkeys(names)}
    places = [place for place in found.values() if place is not None]
    if len(places) < len(found) or max(Counter(places).values()) > 1:
        return {}
    return {name: place for name, place in found.items() if place is not None}


def _is_there(folder: Path, name: str) -> bool:
    try:
        return not os.path.isabs(name) and ".." not in Path(name).parts and (folder / name).is_file()  # noqa: PTH117
    except (OSError, ValueError):  # a name that no file can have
        return False


def _find(name: str, by_last: dict[str, list[str]]) -> str | None:
    """Return the one file that a name means: it shares the longest end of its path with the name."""
    plain = unquote(name.partition("?d=")[2] or name).replace("\\", "/")
    last = plain.rpartition("/")[2]
    for wanted in dict.fromkeys((last, _UPLOADED.sub("", last))):
        candidates = by_last.get(wanted, [])
        if len(candidates) > 1:
            ends = [_shared(plain, one) for one in candidates]
            best = max(ends)
            candidates = [one for one, end in zip(candidates, ends, strict=True) if end == best]
        if len(candidates) == 1:
            return candidates[0]
    return None


def _shared(first: str, second: str) -> int:
    """Return how many parts the ends of two paths have in common."""
    count = 0
    for one, other in zip(reversed(first.split("/")), reversed(second.split("/")), strict=False):
        if one != other:
            break
        count += 1
    return count


def _by_last(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in islice(_walk(folder), _MOST_FILES):
        found.setdefault(name.rpartition("/")[2], []).append(name)
    return found


def _walk(folder: Path) -> Iterator[str]:
    for parent, folders, files in walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        start = parent.relative_to(folder)
        yield from ((start / name).as_posix() for name in files if not name.startswith("."))
