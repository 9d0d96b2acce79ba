"""CVAT for images 1.1: one XML file with skeletons, points, outlines and masks.

Page: https://docs.cvat.ai/docs/other/xml_format.
"""

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sapiens2_lit.data.files import Problems
from sapiens2_lit.data.layouts.cvat_shapes import outline_of, points_of
from sapiens2_lit.data.layouts.layout import (
    SPLIT_WORDS,
    Coco,
    Kind,
    Layout,
    Part,
    Tool,
    read_head,
    settle,
    visible,
)
from sapiens2_lit.errors import DataError

_OUTLINES = ("polygon", "box", "ellipse", "mask")
_EDGE = re.compile(r'data-node-from="(\d+)"[^>]*data-node-to="(\d+)"')


@dataclass
class _Skeletons:
    """Names and links of the points of each skeleton label, from `meta`, and of points that only occur in images."""

    names: dict[str, list[str]] = field(default_factory=dict)
    links: dict[str, list[list[int]]] = field(default_factory=dict)

    def place(self, label: str, point: str) -> int:
        names = self.names.setdefault(label, [])
        if point not in names:
            names.append(point)
        return names.index(point)


def find(root: Path, kind: Kind) -> list[Layout]:
    """Return the annotation files of CVAT in a folder."""
    found = [path for path in visible(root) if is_cvat(path)]
    return [layout for path in found if (layout := open_file(path, kind)) is not None]


def open_file(path: Path, kind: Kind) -> Layout | None:
    """Return the dataset of an XML file given by name; the `subset` of each image is its split.

    Raises:
        DataError: it is XML, but not of CVAT for images.
    """
    if path.suffix.lower() != ".xml" or not path.is_file():
        return None
    root = _parse(path)
    subsets = {str(image.get("subset") or "") for image in root.iter("image")}
    splits = {SPLIT_WORDS.get(subset.lower(), "train") for subset in subsets}
    parts: dict[str, Part] = {
        split: Part(path, None, partial(read_labels, path, split, kind)) for split in ("train", "val", "test")
        if split in splits
    }  # fmt: skip
    return Layout(f"CVAT ({path.name})", parts, f"--data.train {path.name}")


def is_cvat(path: Path) -> bool:
    """Whether a file looks like one of CVAT."""
    return path.suffix.lower() == ".xml" and b"<annotations" in read_head(path)


def read_labels(path: Path, split: str, kind: Kind, skip_bad: bool) -> Coco:
    """Return the labels of a split as COCO lists.

    A skeleton is a person: `outside` points are unlabeled, `occluded` ones have visibility 1. A box of the same group
    is the person's; without one the box is tight around the points.

    Args:
        path: the XML file.
        split: train, val or test.
        kind: keypoints, or outlines.
        skip_bad: whether shapes that cannot be read are left out.

    Raises:
        DataError: shapes cannot be read; it lists them all.
    """
    root, problems = _parse(path), Problems(path)
    skeletons = _skeletons(root)
    labels = [
        str(label.findtext("name"))
        for label in root.iterfind(".//labels/label")
        if label.find("parent") is None
    ]
    ids = {name: number for number, name in enumerate(dict.fromkeys(labels), start=1)}
    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, image in enumerate(root.iter("image"), start=1):
        if SPLIT_WORDS.get(str(image.get("subset") or "").lower(), "train") != split:
            continue
        try:
            size = int(image.get("width", "")), int(image.get("height", ""))
        except ValueError:
            problems.add(f"image {image.get('name')}", "`width` or `height` is no number of pixels")
            continue
        name = str(image.get("name"))
        images.append({"id": number, "file_name": name, "width": size[0], "height": size[1]})
        shapes = (
            _people(image, skeletons, name, problems)
            if kind == "pose"
            else _outlines(image, size, name, problems)
        )
        for shape in shapes:
            category = ids.setdefault(str(shape.pop("label")), len(ids) + 1)
            found.append(
                {"id": len(found) + 1, "image_id": number, "category_id": category, "iscrowd": 0, **shape}
            )
    settle(problems, skip_bad)
    for one in found:  # points that occur later lengthen the lists of earlier people
        names = skeletons.names.get(
            next(name for name, other in ids.items() if other == one["category_id"]), []
        )
        if "keypoints" in one:
            one["keypoints"] += [0.0] * (3 * len(names) - len(one["keypoints"]))
    return {"images": images, "annotations": found, "categories": _categories(ids, skeletons)}


def _parse(path: Path) -> ElementTree.Element:
    """Return the root of a file.

    Raises:
        DataError: it is not XML, declares entities, or is not of CVAT for images.
    """
    head = read_head(path)
    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise DataError(f"{path}: it declares a document type, which CVAT does not write; it is not read.")
    try:
        with path.open("rb") as file:
            root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: it cannot be read as XML, truncated or not XML: {error}") from error
    if root.tag != "annotations":
        raise DataError(f"{path}: found <{root.tag}>, expected <annotations> of CVAT for images 1.1.")
    if root.find("image") is None:
        what = "tracks of a video" if root.find("track") is not None else "no image"
        raise DataError(f"{path}: it has {what}: export as `CVAT for images 1.1`.")
    return root


def _skeletons(root: ElementTree.Element) -> _Skeletons:
    skeletons = _Skeletons()
    for label in root.iterfind(".//labels/label"):
        parent, name = label.findtext("parent"), label.findtext("name")
        if parent and name:
            skeletons.place(parent, name)
    for label in root.iterfind(".//labels/label"):
        name, count = str(label.findtext("name")), len(skeletons.names.get(str(label.findtext("name")), []))
        links = [[int(one), int(other)] for one, other in _EDGE.findall(label.findtext("svg") or "")]
        skeletons.links[name] = [pair for pair in links if all(1 <= end <= count for end in pair)]
    return skeletons


def _categories(ids: dict[str, int], skeletons: _Skeletons) -> list[dict[str, Any]]:
    found = []
    for name, number in ids.items():
        category: dict[str, Any] = {"id": number, "name": name}
        if name in skeletons.names:
            category |= {"keypoints": skeletons.names[name], "skeleton": skeletons.links.get(name, [])}
        found.append(category)
    return found


def _people(
    image: ElementTree.Element, skeletons: _Skeletons, name: str, problems: Problems
) -> list[dict[str, Any]]:
    boxes: dict[str, list[float]] = {}
    for box in image.iterfind("box"):
        if box.get("group_id") and (corners := outline_of(box, (0, 0))) is not None:
            x, y = corners["segmentation"][0][0::2], corners["segmentation"][0][1::2]
            boxes[str(box.get("group_id"))] = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    people = []
    for shape in (*image.iterfind("skeleton"), *image.iterfind("points")):
        where, label = f"{name}, {shape.tag} {shape.get('label')}", str(shape.get("label"))
        try:
            points = points_of(shape, partial(skeletons.place, label))
        except ValueError as error:
            problems.add(where, str(error))
            continue
        seen = [(points[3 * i], points[3 * i + 1]) for i in range(len(points) // 3) if points[3 * i + 2]]
        if not seen:
            continue
        xs, ys = [x for x, _ in seen], [y for _, y in seen]
        tight = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        people.append(
            {"label": label, "keypoints": points, "bbox": boxes.get(str(shape.get("group_id")), tight)}
        )
    return people


def _outlines(
    image: ElementTree.Element, size: tuple[int, int], name: str, problems: Problems
) -> list[dict[str, Any]]:
    """Return outlines in the order in which they are painted."""
    shapes = [shape for shape in image if shape.tag in _OUTLINES]
    found = []
    for shape in sorted(shapes, key=lambda one: int(one.get("z_order") or 0)):
        try:
            outline = outline_of(shape, size)
        except ValueError as error:
            problems.add(f"{name}, {shape.tag} {shape.get('label')}", str(error))
            continue
        if outline is not None:
            found.append({"label": str(shape.get("label")), "painted": True, **outline})
    return found


TOOL = Tool(
    "cvat-xml",
    "CVAT for images",
    "https://docs.cvat.ai/docs/other/xml_format",
    "annotations.xml",
    find,
    open_file,
)
