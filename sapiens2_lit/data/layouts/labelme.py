"""LabelMe: a JSON file for each picture, with points and outlines.

Page: https://github.com/wkentaro/labelme (the files that `labelme` writes).
"""

import os
import re
from functools import partial
from pathlib import Path
from typing import Any

from sapiens2_lit.data.files import Problems, read_json
from sapiens2_lit.data.layouts.labelme_shapes import outline_of
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

_LOOKED_AT = 5  # files of a folder that are examined
_PERSON = "person"  # the category of points


def find(root: Path, kind: Kind) -> list[Layout]:
    """Return the folders of LabelMe: the folder itself or those in it, which may be named after splits."""
    if is_labelme(root):
        return [_layout(root, {"train": root}, kind)]
    folders = [path for path in visible(root) if is_labelme(path)]
    splits = {SPLIT_WORDS[path.name.lower()]: path for path in folders if path.name.lower() in SPLIT_WORDS}
    if splits:
        return [_layout(root, splits, kind)]
    return [_layout(root, {"train": path}, kind) for path in folders]


def open_file(path: Path, kind: Kind) -> Layout | None:
    """Return the dataset of a folder given by name.

    Raises:
        DataError: it is a single file of LabelMe.
    """
    if path.is_dir() and is_labelme(path):
        return _layout(path.parent, {"train": path}, kind)
    if path.suffix.lower() == ".json" and path.is_file() and _is_one(path):
        raise DataError(
            f"{path}: a LabelMe file, which has the labels of one picture: give the folder that it is in."
        )
    return None


def is_labelme(folder: Path) -> bool:
    """Whether the first JSON files of a folder are LabelMe's."""
    files = [path for path in visible(folder) if path.suffix.lower() == ".json"][:_LOOKED_AT]
    return any(map(_is_one, files))


def _is_one(path: Path) -> bool:
    head = read_head(path)
    return b'"shapes"' in head and (b'"imagePath"' in head or b'"version"' in head)


def _layout(root: Path, folders: dict[str, Path], kind: Kind) -> Layout:
    parts = {
        split: Part(path, root, partial(read_labels, path, root, kind)) for split, path in folders.items()
    }
    names = [path.relative_to(root).as_posix() for path in folders.values()]
    choose = " ".join(f"--data.{split} {name}" for split, name in zip(folders, names, strict=True))
    return Layout(f"LabelMe ({', '.join(names)})", parts, choose)


def read_labels(folder: Path, root: Path, kind: Kind, skip_bad: bool) -> Coco:
    """Return the labels of a folder as COCO lists.

    Points with one `group_id` are a person. Points without `group_id` are one person if no name occurs twice. An
    outline or a rectangle of the same group is the person's box. The names of points are all that occur, in the order
    of the files.

    Args:
        folder: with the JSON files.
        root: folder that image names are made relative to.
        kind: keypoints, or outlines.
        skip_bad: whether entries that cannot be read are left out.

    Raises:
        DataError: something cannot be read; the message lists all of it, by file and shape.
    """
    problems = Problems(folder)
    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, path in enumerate(sorted(folder.rglob("*.json")), start=1):
        if not _is_one(path):
            continue
        data = read_json(path)
        image = _image(path, data, root, problems)
        if image is None:
            continue
        images.append({"id": number, **image})
        shapes = [shape for shape in data["shapes"] if isinstance(shape, dict)]
        if kind == "pose":
            found += [{"image_id": number, **one} for one in _people(shapes, path.name, problems)]
        else:
            found += [{"image_id": number, **one} for one in _outlines(shapes, image, path.name, problems)]
    settle(problems, skip_bad)
    return _lists(images, found)


def _lists(images: list[dict[str, Any]], found: list[dict[str, Any]]) -> Coco:
    """Return COCO lists of shapes; the points of people, so far by name, get the places of all names."""
    names = list(dict.fromkeys(name for one in found for name in one.get("points", {})))
    labels = list(dict.fromkeys(one["label"] for one in found))
    categories = [
        {"id": place, "name": label, "keypoints": names} for place, label in enumerate(labels, start=1)
    ]
    annotations = []
    for place, one in enumerate(found, start=1):
        points = one.pop("points", {})
        flat = [value for name in names for value in points.get(name, (0.0, 0.0, 0.0))]
        category = labels.index(one["label"]) + 1
        annotations.append({"id": place, "category_id": category, "iscrowd": 0, "keypoints": flat, **one})
    return {"images": images, "annotations": annotations, "categories": categories}


def _image(path: Path, data: Any, root: Path, problems: Problems) -> dict[str, Any] | None:
    if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
        problems.add(path.name, "`shapes` is missing, expected a file of LabelMe")
        return None
    given = re.split(r"[\\/]", str(data.get("imagePath") or path.with_suffix(".jpg").name))
    places = [
        path.parent.joinpath(*given),
        path.parent / given[-1],
        root / "images" / given[-1],
        root / given[-1],
    ]
    places += [path.with_suffix(suffix) for suffix in (".jpg", ".jpeg", ".png", ".webp", ".bmp")]
    image = next((place for place in places if place.is_file()), None)
    if image is None:
        inside = ", and is only inside the file (`imageData`)" if data.get("imageData") else ""
        problems.add(
            path.name, f"`imagePath` is {data.get('imagePath')!r}, and there is no such picture{inside}"
        )
        return None
    name = Path(os.path.relpath(image, root)).as_posix()
    if name.startswith("../"):
        problems.add(path.name, f"`imagePath` leads out of {root}")
        return None
    return {"file_name": name, "width": data.get("imageWidth") or 0, "height": data.get("imageHeight") or 0}


def _people(shapes: list[dict[str, Any]], file: str, problems: Problems) -> list[dict[str, Any]]:
    points: dict[Any, dict[str, tuple[float, float, float]]] = {}
    boxes: dict[Any, list[float]] = {}
    for shape in shapes:
        group, label = shape.get("group_id"), str(shape.get("label"))
        corners = shape.get("points") or []
        try:
            pairs = [(float(x), float(y)) for x, y in corners]
        except (TypeError, ValueError):
            problems.add(f"{file}, {label}", f"`points` is {corners!r:.40}, expected [[x, y], ...]")
            continue
        if shape.get("shape_type") == "point" and pairs:
            if label in points.setdefault(group, {}):
                problems.add(
                    f"{file}, {label}",
                    "occurs twice in one person: give the points of each person a different `group_id`",
                )
                continue
            hidden = bool((shape.get("flags") or {}).get("occluded"))
            points[group][label] = (*pairs[0], 1.0 if hidden else 2.0)
        elif group is not None and pairs:
            xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
            boxes[group] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    people = []
    for group, found in points.items():
        xs, ys = [x for x, _, _ in found.values()], [y for _, y, _ in found.values()]
        tight = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        people.append({"label": _PERSON, "points": found, "bbox": boxes.get(group, tight)})
    return people


def _outlines(
    shapes: list[dict[str, Any]], image: dict[str, Any], file: str, problems: Problems
) -> list[dict[str, Any]]:
    size = int(image["width"]), int(image["height"])
    found = []
    for shape in shapes:
        try:
            outline = outline_of(shape, size)
        except (TypeError, ValueError) as error:
            problems.add(f"{file}, {shape.get('label')}", str(error))
            continue
        if outline is not None:
            found.append({"label": str(shape.get("label")), "painted": True, "segmentation": outline})
    return found


TOOL = Tool(
    "labelme",
    "LabelMe",
    "https://github.com/wkentaro/labelme",
    "a JSON file with `shapes` for each picture",
    find,
    open_file,
)
