"""A dataset between two formats: the pictures and COCO lists of each split, and how they are written."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import yaml

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.data.layouts.layout import Coco
from sapiens2_lit.data.readers.images import upright_size
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Classes

if TYPE_CHECKING:  # it imports torch, which keypoints do not need
    from sapiens2_lit.data.labels.base import LabelSource

Picture = (
    Path | Callable[[], "np.ndarray[Any, Any]"]
)  # a file, or pixels to be written as png: RGB uint8 (h, w, 3), or gray


@dataclass(frozen=True)
class People:
    """One split with keypoints.

    Attributes:
        coco: the lists; names of images are the names in the new images folder.
        pictures: the pictures by that name.
    """

    coco: Coco
    pictures: Mapping[str, Picture]


@dataclass(frozen=True)
class Maps:
    """One split with class maps.

    Attributes:
        folder: folder that names are relative to.
        names: of the pictures.
        labels: source of the class maps.
    """

    folder: Path
    names: list[str]
    labels: "LabelSource"


@dataclass
class Converted:
    """A dataset as read.

    Attributes:
        people: the splits with keypoints.
        maps: the splits with class maps.
        classes: the vocabulary of the maps.
        swaps: mirror pairs of the keypoints, by name, if the format gives them.
    """

    people: dict[str, People] = field(default_factory=dict)
    maps: dict[str, Maps] = field(default_factory=dict)
    classes: Classes | None = None
    swaps: list[list[str]] = field(default_factory=list)


def write(found: Converted, out: Path) -> list[str]:
    """Write a dataset in the kit's format; return in words what was written.

    Raises:
        DataError: there is nothing to write, or a picture cannot be read.
        Interrupted: a signal came.
    """
    said = []
    for split, people in found.people.items():
        for name, picture in people.pictures.items():
            interrupts.check()
            _write_picture(picture, out / "images" / name)
        _write_json(out / "annotations" / f"{split}.json", people.coco)
        count = sum(bool(one.get("keypoints")) for one in people.coco["annotations"])
        said.append(f"annotations/{split}.json: {count} people in {len(people.coco['images'])} pictures")
    if found.people:
        write_whole(out / "skeleton.yaml", _skeleton(found).encode())
    for split, maps in found.maps.items():
        stems = list(_write_maps(maps, out))
        write_whole(out / "splits" / f"{split}.txt", ("\n".join(stems) + "\n").encode())
        said.append(f"splits/{split}.txt: {len(stems)} pictures with masks")
    if found.maps and found.classes is not None:
        names = {"name": found.classes.name, "classes": list(found.classes.names)}
        write_whole(out / "classes.yaml", yaml.safe_dump(names, sort_keys=False).encode())
    if not said:
        raise DataError("there is nothing to write: neither keypoints nor outlines were found.")
    return said


def _write_maps(maps: Maps, out: Path) -> Iterator[str]:
    for name in maps.names:
        interrupts.check()
        path = maps.folder / name
        place = _inside(name)
        stem = place.with_suffix("").as_posix()
        _write_picture(path, out / "images" / place)
        label_stem = Path(name).with_suffix("").as_posix()
        values = maps.labels.read(path, label_stem, upright_size(path))
        write_whole(out / "masks" / f"{stem}.png", _png(values))
        yield stem


def _inside(name: str) -> Path:
    """Return a name without parts that lead out of its folder."""
    return Path(*[part for part in Path(name).parts if part not in ("..", "/")])


def _write_picture(picture: Picture, place: Path) -> None:
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, Path):
        shutil.copyfile(picture, place)
        return
    pixels = picture()
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    write_whole(place, _png(pixels if pixels.ndim == 2 else pixels[..., ::-1]))


def _png(pixels: "np.ndarray[Any, Any]") -> bytes:
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    return data.tobytes()


def _write_json(place: Path, coco: Coco) -> None:
    write_whole(place, json.dumps(coco).encode())


def _skeleton(found: Converted) -> str:
    """Return a skeleton file of the names, links and pairs."""
    coco = next(iter(found.people.values())).coco
    category = next(one for one in coco["categories"] if one.get("keypoints"))
    names = category["keypoints"]
    links = [[names[first - 1], names[second - 1]] for first, second in category.get("skeleton") or []]
    data: dict[str, Any] = {"name": "converted", "keypoints": names, "links": links}
    if found.swaps:
        data["swaps"] = found.swaps
    return yaml.safe_dump(data, sort_keys=False)
