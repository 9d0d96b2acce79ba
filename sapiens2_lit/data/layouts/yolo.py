"""YOLO datasets of keypoints and of outlines: a data.yaml, pictures, and a text file of labels for each.

Pages: https://docs.ultralytics.com/datasets/pose, https://docs.ultralytics.com/datasets/segment. All numbers are shares
of the picture's width and height; the labels of .../images/a.jpg are .../labels/a.txt.
"""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.data.files import Problems
from sapiens2_lit.data.layouts.layout import Coco, Kind, Layout, Part, Tool, settle, visible
from sapiens2_lit.data.layouts.yolo_yaml import YoloYaml, is_yaml, read_yaml
from sapiens2_lit.data.readers.images import upright_size
from sapiens2_lit.errors import DataError

_SLACK = 0.01  # tolerance beyond 0 and 1, for labels at the border
_BOX = 5  # numbers of a box: class, center and sides

Line = dict[str, Any]


def find(root: Path, kind: Kind) -> list[Layout]:
    """Return the data.yaml files of a folder that have labels of this kind."""
    layouts = []
    for path in visible(root):
        if is_yaml(path):
            yolo = read_yaml(path)
            if (yolo.points is not None) == (kind == "pose"):
                layouts.append(_layout(yolo, kind))
    return layouts


def open_file(path: Path, kind: Kind) -> Layout | None:
    """Return the dataset of a data.yaml given by name.

    Raises:
        DataError: it has another kind of labels.
    """
    if path.suffix.lower() not in (".yaml", ".yml") or not path.is_file():
        return None
    yolo = read_yaml(path)
    if kind == "pose" and yolo.points is None:
        raise DataError(
            f"{path}: `kpt_shape` is missing, so it has no keypoints: expected a YOLO pose dataset."
        )
    return _layout(yolo, kind)


def _layout(yolo: YoloYaml, kind: Kind) -> Layout:
    parts = {
        split: Part(yolo.path, yolo.path.parent, partial(read_labels, yolo, split, kind))
        for split in yolo.splits()
    }
    return Layout(f"YOLO ({yolo.path.name})", parts, f"--data.train {yolo.path.name}")


def read_labels(yolo: YoloYaml, split: str, kind: Kind, skip_bad: bool) -> Coco:
    """Return the labels of a split as COCO lists.

    Args:
        yolo: the data.yaml.
        split: train, val or test.
        kind: keypoints, or outlines.
        skip_bad: whether lines that cannot be read are left out.

    Raises:
        DataError: it lists all lines that cannot be read, by file and number; or there is no label file at all.
    """
    problems = Problems(yolo.path)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    parse: Callable[[YoloYaml, list[float], tuple[int, int]], Line] = _person if kind == "pose" else _outline
    missing = 0
    for number, image in enumerate(yolo.images(split), start=1):
        file = label_of(image)
        height, width = upright_size(image)
        name = Path(os.path.relpath(image, yolo.path.parent)).as_posix()
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        if not file.is_file():
            missing += 1
            continue
        found = []
        for place, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                found.append(parse(yolo, _numbers(line, yolo), (width, height)))
            except ValueError as error:
                problems.add(f"{file}, line {place}", str(error))
        annotations += [
            {"id": len(annotations) + place, "image_id": number, **one}
            for place, one in enumerate(found, start=1)
        ]
    if missing == len(images):
        raise DataError(
            f"{yolo.path}: none of the {missing} pictures of `{split}` has a label file, such as "
            f"{label_of(yolo.images(split)[0])}: labels of .../images/a.jpg are expected in .../labels/a.txt."
        )
    settle(problems, skip_bad)
    return {"images": images, "annotations": annotations, "categories": categories(yolo)}


def categories(yolo: YoloYaml) -> list[dict[str, Any]]:
    """Return the classes as categories of COCO, whose ids are the indices."""
    points: dict[str, Any] = {} if yolo.points is None else {"keypoints": list(yolo.point_names)}
    if yolo.points is not None and yolo.data.get("flip_idx"):
        points["flip_idx"] = yolo.data["flip_idx"]
    return [{"id": index, "name": name, **points} for index, name in yolo.names.items()]


def label_of(image: Path) -> Path:
    """Return the text file of a picture: in `labels` instead of the last `images` of its path, else beside it."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _numbers(line: str, yolo: YoloYaml) -> list[float]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        raise ValueError(f"found {line[:40]!r}, expected numbers") from None
    if not np.isfinite(values).all():
        raise ValueError("found a number that is not finite")
    if values[0] not in yolo.names:
        raise ValueError(f"the class is {values[0]:g}, expected one of 0..{max(yolo.names)} (`names`)")
    return values


def _person(yolo: YoloYaml, values: list[float], size: tuple[int, int]) -> Line:
    """Read a line with class, box and keypoints; a box alone is a person without labeled points."""
    assert yolo.points is not None
    count, each = yolo.points
    wanted = _BOX + count * each
    if len(values) not in (_BOX, wanted):
        raise ValueError(
            f"has {len(values)} numbers, expected {wanted}: class, box, and {count} x {each} by kpt_shape"
        )
    box = _box(values[1:_BOX], size)
    points = np.zeros((count, 3))
    if len(values) == wanted:
        given = np.array(values[_BOX:]).reshape(count, each)
        labelled = (given[:, :2] != 0).any(axis=1) if each == 2 else given[:, 2] > 0
        points[:, 2] = 2 * labelled if each == 2 else given[:, 2]
        points[:, :2] = given[:, :2] * size
        _expect_shares(given[labelled, :2], "keypoints")
        points[~labelled] = 0
    return {"category_id": int(values[0]), "bbox": box, "iscrowd": 0, "keypoints": points.ravel().tolist()}


def _outline(yolo: YoloYaml, values: list[float], size: tuple[int, int]) -> Line:
    """Read a line with class and corners."""
    if len(values) == _BOX:
        raise ValueError("has 5 numbers, a box: expected the corners of an outline (YOLO segmentation)")
    if len(values) < 7 or len(values) % 2 == 0:
        raise ValueError(f"has {len(values)} numbers, expected the class and x, y of three corners or more")
    corners = np.array(values[1:]).reshape(-1, 2)
    _expect_shares(corners, "corners")
    corners = corners * size
    low, high = corners.min(axis=0), corners.max(axis=0)
    return {
        "category_id": int(values[0]),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "iscrowd": 0,
        "segmentation": [corners.ravel().tolist()],
    }


def _box(values: list[float], size: tuple[int, int]) -> list[float]:
    _expect_shares(np.array(values), "the box")
    middle, sides = np.array(values[:2]) * size, np.array(values[2:]) * size
    return [*(middle - sides / 2).tolist(), *sides.tolist()]


def _expect_shares(values: np.ndarray, what: str) -> None:
    if values.size and (values.min() < -_SLACK or values.max() > 1 + _SLACK):
        worst = values.max() if values.max() > 1 + _SLACK else values.min()
        raise ValueError(f"{what}: found {worst:g}, expected shares of the picture in 0..1, not pixels")


TOOL = Tool(
    "yolo",
    "YOLO",
    "https://docs.ultralytics.com/datasets/pose",
    "a data.yaml with `names` and `train`, and `kpt_shape` for keypoints",
    find,
    open_file,
)
