"""The parts of a COCO keypoint file as arrays, with everything wrong in them noted.

Problems are collected, not raised: wrong entries become zeros and the caller raises at the end, so that one
run reports them all. N annotations, S keypoints in the file's own vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.files import Problems, leaves_folder, read_json
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Skeleton, load_skeleton, skeleton_from_category

# COCO-WholeBody keeps its 133 keypoints in five fields, four of which say whether they are valid:
# https://github.com/jin-s13/COCO-WholeBody, data_format.md
_WHOLEBODY_PARTS = (
    ("foot_kpts", "foot_valid", 6),
    ("face_kpts", "face_valid", 68),
    ("lefthand_kpts", "lefthand_valid", 21),
    ("righthand_kpts", "righthand_valid", 21),
)


@dataclass(frozen=True)
class ImageTable:
    """The `images` of a file: names (M,), ids (M,), declared (width, height) (M, 2), and the row of an id."""

    file_name: npt.NDArray[np.str_]
    image_id: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    row: Mapping[int, int]


def read_lists(path: Path, fields: Sequence[str]) -> dict[str, list[Any]]:
    """A JSON object's `fields`, each of which must be a list.

    Raises:
        DataError: naming the file and the field.
    """
    data = read_json(path)
    if not isinstance(data, dict):
        raise DataError(f"{path}: found a JSON {type(data).__name__}, expected an object with {fields}.")
    for field in fields:
        if field not in data:
            raise DataError(f"{path}: the key '{field}' is missing; found {sorted(data)[:10]}.")
        if not isinstance(data[field], list):
            raise DataError(f"{path}: `{field}` is a {type(data[field]).__name__}, expected a list.")
    return {field: data[field] for field in fields}


def read_image_table(images: list[Any], problems: Problems) -> ImageTable:
    """Check and collect `images`: integer ids given once, names inside the folder, sizes where declared."""
    names: list[str] = []
    ids: list[int] = []
    sizes: list[tuple[int, int]] = []
    row: dict[int, int] = {}
    for number, image in enumerate(images):
        image = image if isinstance(image, dict) else {}
        image_id, name = image.get("id"), image.get("file_name")
        where = f"image {image_id}" if is_integer(image_id) else f"images[{number}]"
        if not is_integer(image_id):
            problems.add(where, f"`id` is {image_id!r}, expected an integer")
            continue
        if image_id in row:
            problems.add(where, "`id` is given twice, expected different ones")
            continue
        if not isinstance(name, str) or not name:
            problems.add(where, f"`file_name` is {name!r}, expected a file name")
            continue
        if leaves_folder(name):
            problems.add(where, f"`file_name` is {name!r}, expected a path inside the images folder")
            continue
        size = (image.get("width", 0), image.get("height", 0))
        if not all(is_integer(side) and side >= 0 for side in size):
            problems.add(where, f"`width`, `height` are {size}, expected integers in pixels")
            size = (0, 0)
        row[image_id] = len(ids)
        names.append(name)
        ids.append(image_id)
        sizes.append(size)
    return ImageTable(
        np.array(names, dtype=np.str_),
        np.array(ids, dtype=np.int64),
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        row,
    )


def find_vocabulary(
    data: dict[str, list[Any]], skeleton: Skeleton, path: Path, source: Skeleton | None = None
) -> tuple[Skeleton, list[Any], bool]:
    """What a file's keypoints are called.

    Args:
        data: the lists of the file.
        skeleton: the vocabulary wanted.
        path: the file, for messages.
        source: its vocabulary, if not to be found in its categories.

    Returns:
        its vocabulary, the ids of the categories that have it, and whether COCO-WholeBody's fields hold it.

    Raises:
        DataError: if no category lists keypoints, several list different ones, or none of them is in
            `skeleton`.
    """
    categories = [category for category in data["categories"] if isinstance(category, dict)]
    if source is None:
        categories = [category for category in categories if isinstance(category.get("keypoints"), list)]
    if not categories:
        raise DataError(f"{path}: `categories` has no entry with `keypoints`, the list of their names.")
    if source is None:
        categories = _closest(categories, skeleton)
    people = [category for category in categories if category.get("name") == "person"] or categories
    if source is None:
        if any(category["keypoints"] != people[0]["keypoints"] for category in people):
            names = [category.get("name") for category in people]
            raise DataError(f"{path}: `categories` {names} have different `keypoints`, expected the same.")
        source = skeleton_from_category(people[0], path.name)
    source, wholebody = _with_wholebody_fields(data["annotations"], source, skeleton)
    if not (skeleton.map_from(source) >= 0).any():
        theirs, ours = (", ".join(names[:4]) for names in (source.keypoints, skeleton.keypoints))
        raise DataError(
            f"{path}: none of its {source.num_keypoints} keypoints ({theirs}, ...) is in the skeleton "
            f"'{skeleton.name}' ({ours}, ...); set `skeleton` to the file's vocabulary or give both the same "
            "names."
        )
    return source, [category.get("id") for category in people], wholebody


def _closest(categories: list[Any], skeleton: Skeleton) -> list[Any]:
    """The categories that share most keypoints with the skeleton: a file may have horses beside people."""
    shared = [len({*map(str, category["keypoints"])} & {*skeleton.keypoints}) for category in categories]
    return [category for category, count in zip(categories, shared, strict=True) if count == max(shared)]


def _with_wholebody_fields(
    annotations: list[Any], source: Skeleton, skeleton: Skeleton
) -> tuple[Skeleton, bool]:
    """COCO-WholeBody names 17 keypoints and has 133: the larger vocabulary, where `skeleton` has use for it."""
    body, whole = load_skeleton("coco17"), load_skeleton("coco_wholebody133")
    has_fields = source.keypoints == body.keypoints and any(
        isinstance(annotation, dict) and field in annotation
        for annotation in annotations
        for field, _, _ in _WHOLEBODY_PARTS
    )
    if has_fields and (skeleton.map_from(whole) >= 0).sum() > (skeleton.map_from(body) >= 0).sum():
        return whole, True
    return source, False


def read_points(
    annotations: list[dict[str, Any]],
    source: Skeleton,
    wholebody: bool,
    owners: Sequence[str],
    problems: Problems,
) -> npt.NDArray[np.float32]:
    """Labels (N, S, 3) of all annotations; zeros where an annotation has none, or a part is not valid."""
    body = source.num_keypoints - (sum(size for _, _, size in _WHOLEBODY_PARTS) if wholebody else 0)
    values = [annotation.get("keypoints") for annotation in annotations]
    parts = [read_numbers(values, 3 * body, "keypoints", owners, problems).reshape(-1, body, 3)]
    _check_visibility(parts[0], "keypoints", owners, problems, whole=True)
    for field, flag, size in _WHOLEBODY_PARTS if wholebody else ():
        values = [a.get(field) if a.get(flag, True) else None for a in annotations]
        part = read_numbers(values, 3 * size, field, owners, problems).reshape(-1, size, 3)
        _check_visibility(part, field, owners, problems, whole=False)
        np.ceil(part[..., 2], out=part[..., 2])  # these fields have fractions, and v > 0 means labelled
        parts.append(part)
    points = np.concatenate(parts, axis=1).astype(np.float32)
    points[points[..., 2] == 0] = 0
    return points


def read_numbers(
    values: list[Any], length: int, field: str, owners: Sequence[str], problems: Problems
) -> npt.NDArray[np.float64]:
    """Lists of `length` finite numbers as (N, length); None, and with a problem what is not one, as zeros."""
    zeros = [0.0] * length
    rows = []
    for owner, value in zip(owners, values, strict=True):
        if isinstance(value, list) and len(value) == length:
            rows.append(value)
            continue
        if value is not None:
            found = f"has {len(value)} entries" if isinstance(value, list) else f"is {value!r}"
            problems.add(owner, f"`{field}` {found}, expected a list of {length} numbers")
        rows.append(zeros)
    try:
        array = np.array(rows, dtype=np.float64).reshape(-1, length)
    except (TypeError, ValueError, OverflowError):  # something in there is no number: find out what
        array = np.array([[_number(entry) for entry in row] for row in rows]).reshape(-1, length)
    for index in np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist():
        place = int(np.flatnonzero(~np.isfinite(array[index]))[0])
        problems.add(owners[index], f"`{field}[{place}]` is {rows[index][place]!r}, expected a finite number")
        array[index, ~np.isfinite(array[index])] = 0
    return array


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an integer that fits int64; true and false are not."""
    return type(value) is int and abs(value) < 2**63


def _number(entry: Any) -> float:
    return float(entry) if isinstance(entry, int | float) else float("nan")


def _check_visibility(
    points: npt.NDArray[np.float64], field: str, owners: Sequence[str], problems: Problems, *, whole: bool
) -> None:
    visibility = points[..., 2]
    bad = (visibility < 0) | (visibility > 2)
    if whole:
        bad |= visibility != np.floor(visibility)
    for index in np.flatnonzero(bad.any(axis=1)).tolist():
        place = int(np.flatnonzero(bad[index])[0])
        problems.add(
            owners[index],
            f"`{field}[{3 * place + 2}]`, the visibility of keypoint {place}, is "
            f"{visibility[index, place]:g}, expected 0 (unlabelled), 1 (occluded) or 2 (visible)",
        )
