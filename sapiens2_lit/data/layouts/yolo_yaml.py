"""The data.yaml of a YOLO dataset: the places of its pictures, the names of its classes and points.

Pages: https://docs.ultralytics.com/datasets/pose, https://docs.ultralytics.com/datasets/segment.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, find_images
from sapiens2_lit.errors import DataError

_SPLIT_KEYS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


@dataclass(frozen=True)
class YoloYaml:
    """A data.yaml.

    Attributes:
        path: the file.
        data: its content.
        names: of the classes, by index.
        points: (number, numbers of each: 2 or 3) of keypoints; None without `kpt_shape`.
        point_names: of the keypoints; empty without `kpt_names`.
    """

    path: Path
    data: dict[str, Any]
    names: dict[int, str]
    points: tuple[int, int] | None
    point_names: tuple[str, ...]

    def splits(self) -> dict[str, list[Any]]:
        """Return the places that the file gives for each of its splits."""
        found = {}
        for split, keys in _SPLIT_KEYS.items():
            given = next((self.data[key] for key in keys if self.data.get(key)), None)
            if given:
                found[split] = list(given) if isinstance(given, list) else [given]
        return found

    def images(self, split: str) -> list[Path]:
        """Return the pictures of a split, from folders, lists of names, or single files.

        Raises:
            DataError: a place or a picture does not exist; it says where it was looked for.
        """
        found: dict[Path, None] = {}
        for value in self.splits()[split]:
            place = self._find(str(value), split)
            if place.suffix.lower() == ".txt":
                found.update(dict.fromkeys(self._listed(place)))
            else:
                found.update(dict.fromkeys(find_images(place)))
        if not found:
            raise DataError(f"{self.path}: `{split}` leads to no picture ({', '.join(IMAGE_SUFFIXES)}).")
        return list(found)

    def _find(self, value: str, split: str) -> Path:
        places = list(dict.fromkeys(self._places(value)))
        for place in places:
            if place.exists():
                return place
        looked = ", ".join(map(str, places))
        raise DataError(
            f"{self.path}: `{split}` is {value!r}, and there is no such place (looked for {looked})."
        )

    def _places(self, value: str) -> Iterator[Path]:
        """Yield the possible places of a path: Ultralytics uses a folder for all datasets, Roboflow writes ../train."""
        here, value = self.path.parent, value.replace("\\", "/")
        top = str(self.data.get("path") or "").replace("\\", "/")
        tops = [here / top, here / Path(top).name] if top else []
        for base in (*tops, here, here.parent, *([Path(top).expanduser()] if top else [])):
            yield base / value
        inside = "/".join(part for part in value.split("/") if part not in ("..", "."))
        yield here / inside.lstrip("/")
        parts = [part for part in inside.split("/") if part]
        for first in range(1, len(parts)):  # a folder of another machine
            yield here / "/".join(parts[first:])

    def _listed(self, place: Path) -> list[Path]:
        """Return the pictures that a text file lists, one path per line."""
        lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines()]
        found, missing = [], []
        for line in filter(None, lines):
            name = line.replace("\\", "/")
            bases = (place.parent, self.path.parent, self.path.parent / str(self.data.get("path") or ""))
            path = next((base / name for base in bases if (base / name).is_file()), None)
            if path is None and name.startswith("/"):
                parts = name.strip("/").split("/")
                ends = (self.path.parent / "/".join(parts[first:]) for first in range(1, len(parts)))
                path = next((end for end in ends if end.is_file()), None)
            if path is None:
                missing.append(line)
            else:
                found.append(type(path)(os.path.normpath(path)))
        if missing:
            raise DataError(
                f"{place}: {len(missing)} of its {len(missing) + len(found)} pictures are not there, such as "
                f"{missing[0]!r} (looked for it under {place.parent} and {self.path.parent})."
            )
        return found


def read_yaml(path: Path) -> YoloYaml:
    """Read and check a data.yaml.

    Raises:
        DataError: a field is wrong; the message names it, what was found and what was expected.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: it cannot be read as YAML: {error}") from error
    if not isinstance(data, dict) or "names" not in data:
        found = sorted(map(str, data))[:8] if isinstance(data, dict) else type(data).__name__
        raise DataError(f"{path}: found {found}, expected a data.yaml of YOLO with `names` and `train`.")
    given = data["names"]
    if not isinstance(given, list | dict) or not given:
        raise DataError(f"{path}: `names` is {given!r:.60}, expected the names of the classes.")
    pairs = given.items() if isinstance(given, dict) else enumerate(given)
    names = {int(index): str(name) for index, name in pairs}
    points = _points(path, data.get("kpt_shape"))
    return YoloYaml(path, data, names, points, _point_names(path, data.get("kpt_names"), points))


def is_yaml(path: Path) -> bool:
    """Whether a file looks like a data.yaml, with names of classes and training pictures."""
    if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(data, dict) and "names" in data and bool(data.get("train"))


def _points(path: Path, given: Any) -> tuple[int, int] | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2 or given[1] not in (2, 3) or type(given[0]) is not int:
        raise DataError(f"{path}: `kpt_shape` is {given!r}, expected [number of points, 2 or 3].")
    return given[0], given[1]


def _point_names(path: Path, given: Any, points: tuple[int, int] | None) -> tuple[str, ...]:
    """Return `kpt_names`, a list of names or one list per class."""
    if given is None or points is None:
        return ()
    names = next(iter(given.values()), []) if isinstance(given, dict) else given
    if not isinstance(names, list) or len(names) != points[0]:
        found = f"{len(names)} names" if isinstance(names, list) else repr(names)
        raise DataError(f"{path}: `kpt_names` has {found}, and `kpt_shape` says {points[0]} points.")
    return tuple(map(str, names))
