"""Read boxes of people from a JSON file, by picture."""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.coco.tables import is_integer, read_image_table, read_numbers
from sapiens2_lit.data.files import Problems, read_json
from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.sources import Frame

Table = dict[str, npt.NDArray[np.float32]]
_FORMS = (
    "expected {FILE: [[x, y, width, height, score], ...]}, a list of detections with `file_name`, `bbox` and `score`, "
    "or a COCO file with `images` and `annotations`"
)


class BoxFile:
    """Boxes (N, 5) of x, y, width, height and score, by picture.

    Args:
        path: JSON in one of the forms that `read_boxes` names.
        boxes: By the picture's name in the file.
        image_ids: COCO's `image_id` by the same names; None if the file has none.
    """

    def __init__(self, path: Path, boxes: Table, image_ids: Mapping[str, int] | None = None) -> None:
        self.path = path
        self.boxes = boxes
        self.image_ids = image_ids
        last: dict[str, str | None] = {}
        for name in boxes:  # None if two pictures in different folders share a file name
            key = PurePosixPath(name).name
            last[key] = None if key in last else name
        self.by_last_name = {key: name for key, name in last.items() if name is not None}

    def find(self, file: str) -> str | None:
        """Return the name that the file gives a photograph; None if it has no boxes for it.

        That is its path in the folder, with or without suffix, or the last part of the path if no other picture shares
        it.
        """
        path = PurePosixPath(file)
        for name in (file, path.with_suffix("").as_posix()):
            if name in self.boxes:
                return name
        return self.by_last_name.get(path.name)

    def of(self, frame: Frame) -> npt.NDArray[np.float32]:
        """Return the boxes on a picture (N, 5); none if the file does not know the picture."""
        name = self.find(frame.file) if frame.video is None else frame.name
        nobody = np.zeros((0, 5), dtype=np.float32)
        return nobody if name is None else self.boxes.get(name, nobody)

    def ids_of(self, files: Iterable[str]) -> dict[str, int] | None:
        """Return COCO's `image_id` of each picture that the file knows; None if the file has no ids."""
        if self.image_ids is None:
            return None
        found = {file: self.find(file) for file in files}
        return {file: self.image_ids[key] for file, key in found.items() if key is not None}


def read_boxes(path: Path) -> BoxFile:
    """Read boxes in one of three forms of JSON.

    `{FILE: [[x, y, width, height], ...]}`, with or without a score as fifth number, where FILE is a picture's path in
    its folder or, for a frame of a video, its name (`walk/000017`); a list of detections, each with `file_name`,
    `bbox` and `score`; or a COCO file with `images` and `annotations`, of which only the category `person` is read, if
    there is one.

    Raises:
        DataError: Naming everything that is wrong with the file.
    """
    content = read_json(path)
    problems = Problems(path)
    image_ids = None
    if isinstance(content, dict) and "images" in content:
        boxes, image_ids = _of_coco(content, path, problems)
    elif isinstance(content, dict):
        boxes = _of_names(content, problems)
    elif isinstance(content, list):
        boxes = _of_detections(content, problems)
    else:
        raise DataError(f"{path}: found a JSON {type(content).__name__}, {_FORMS}.")
    for name, found in boxes.items():
        for index in np.flatnonzero((found[:, 2:4] <= 0).any(axis=1)):
            problems.add(f"{name}, box {index}", f"is {found[index, :4].tolist()}, expected an area above 0")
    problems.raise_if_any()
    if not boxes:
        raise DataError(f"{path}: has no boxes, {_FORMS}.")
    return BoxFile(path, boxes, image_ids)


def _of_names(content: dict[str, Any], problems: Problems) -> Table:
    boxes = {}
    for name, rows in content.items():
        if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) in (4, 5) for r in rows):
            problems.add(
                name, f"is {str(rows)[:60]}, expected a list of [x, y, width, height] or with a score"
            )
            continue
        owners = [f"{name}, box {index}" for index in range(len(rows))]
        scored = [row if len(row) == 5 else [*row, 1.0] for row in rows]
        boxes[name] = read_numbers(scored, 5, "box", owners, problems).astype(np.float32).reshape(-1, 5)
    return boxes


def _of_detections(content: list[Any], problems: Problems) -> Table:
    for index, entry in enumerate(content):
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
            hint = ""
            if isinstance(entry, dict) and "image_id" in entry:
                hint = (
                    "; an `image_id` alone names no file: give the COCO file with `images` and `annotations`"
                )
            problems.add(f"entry {index}", f"has no `file_name`{hint}")
    problems.raise_if_any()
    return _by_name([entry["file_name"] for entry in content], content, problems)


def _of_coco(content: dict[str, Any], path: Path, problems: Problems) -> tuple[Table, dict[str, int]]:
    annotations = content.get("annotations")
    if not isinstance(content["images"], list) or not isinstance(annotations, list):
        raise DataError(f"{path}: `images` and `annotations` must be lists, {_FORMS}.")
    table = read_image_table(content["images"], problems)
    problems.raise_if_any()
    people = {
        category.get("id")
        for category in content.get("categories") or []
        if isinstance(category, dict) and category.get("name") == "person"
    }
    shown = [
        entry
        for entry in annotations
        if not people or not isinstance(entry, dict) or entry.get("category_id") in people
    ]
    names = []
    for index, entry in enumerate(shown):
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        row = table.row.get(image_id) if is_integer(image_id) else None
        if row is None:
            problems.add(f"annotation {index}", "`image_id` is missing or not the id of one of `images`")
        names.append("" if row is None else str(table.file_name[row]))
    problems.raise_if_any()
    nobody = {str(name): np.zeros((0, 5), dtype=np.float32) for name in table.file_name}
    ids = dict(zip(map(str, table.file_name), table.image_id.tolist(), strict=True))
    return nobody | _by_name(names, shown, problems), ids


def _by_name(names: list[str], entries: list[dict[str, Any]], problems: Problems) -> Table:
    """Return the `bbox` and `score` of entries, grouped by the pictures' names."""
    for index, entry in enumerate(entries):
        if entry.get("bbox") is None:
            problems.add(f"entry {index}", "`bbox` is missing, expected [x, y, width, height]")
    problems.raise_if_any()
    owners = [f"entry {index}" for index in range(len(entries))]
    boxes = read_numbers([entry["bbox"] for entry in entries], 4, "bbox", owners, problems)
    scores = read_numbers([[entry.get("score", 1.0)] for entry in entries], 1, "score", owners, problems)
    rows = np.concatenate([boxes, scores], axis=1).astype(np.float32)
    where: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        where.setdefault(name, []).append(index)
    return {name: rows[indices] for name, indices in where.items()}
