"""Find the weights to verify: released ones by name, or the user's files and folders."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.checkpoints.reader import PICKLES
from sapiens2_lit.verify.setting import Setting

PRETRAIN = "pretrain"  # in names of released backbones, in place of the task of task models
RELEASED = {
    PRETRAIN: ("0.1b", "0.4b", "0.8b", "1b", "5b", "1b-4k"),
    **dict.fromkeys(("pose", "seg", "normal", "pointmap"), ("0.4b", "0.8b", "1b", "5b")),
    "matting": ("1b",),
}
QUICK = (PRETRAIN, "0.1b")  # downloaded even with --quick, half a gigabyte
_KIND = "|".join(RELEASED) + "|albedo"
_SIZE = r"\d+(?:\.\d+)?b"
# sapiens2-pose-0.4b, sapiens2-pretrain-1b-4k; sapiens2_0.4b_pose.safetensors
_NAME = re.compile(
    rf"sapiens2[-_](?:(?P<kind>{_KIND})[-_](?P<size>{_SIZE})|(?P<size_first>{_SIZE})[-_](?P<kind_last>{_KIND}))"
    rf"(?P<windows>[-_]4k)?"
)


@dataclass(frozen=True)
class Source:
    """Weights to verify.

    Attributes:
        name: In rows: a hub id, or task and size from the file's name; never a path.
        place: A file, a folder or a hub id.
        on_hub: Whether it is a hub id.
        size: In its name; None if the name has none.
    """

    name: str
    place: str
    on_hub: bool
    size: str | None = None


def find_sources(setting: Setting) -> list[Source]:
    """Return the given weights, or all released ones, small to large."""
    if setting.weights:
        places = [place for given in setting.weights for place in _places(Path(given).expanduser())]
        return [_own(place, number) for number, place in enumerate(places, start=1)]
    return [
        Source(f"facebook/sapiens2-{kind}-{size}", f"facebook/sapiens2-{kind}-{size}", True, size)
        for size in dict.fromkeys(size for sizes in RELEASED.values() for size in sizes)
        for kind, sizes in RELEASED.items()
        if size in sizes and setting.wants_size(size) and (kind == PRETRAIN or setting.wants_task(kind))
    ]


def _own(place: Path, number: int) -> Source:
    found = _NAME.search(place.name) or _NAME.search(place.parent.name)
    if found is None:
        return Source(f"weights {number}", str(place), False)
    size = found["size"] or found["size_first"]
    kind = found["kind"] or found["kind_last"]
    return Source(f"{kind} {size}{'-4k' if found['windows'] else ''}", str(place), False, size)


def _places(given: Path) -> Iterator[Path]:
    """Yield a file, a folder with the weights of one model, or all such files and folders in a folder."""
    if not given.is_dir():
        yield given
        return
    files = _weights_in(given)
    if _is_one(files, given):
        yield given
        return
    inside = [*files, *(child for child in sorted(given.iterdir()) if child.is_dir() and _has_weights(child))]
    yield from inside or [given]


def _has_weights(folder: Path) -> bool:
    return bool(_weights_in(folder)) or (folder / "config.json").is_file()


def _weights_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", *PICKLES))


def _is_one(files: list[Path], folder: Path) -> bool:
    names = {file.name for file in files}
    whole = "model.safetensors" in names or (folder / "model.safetensors.index.json").is_file()
    return whole or len(files) == 1 or (folder / "config.json").is_file()
