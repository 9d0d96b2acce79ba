"""The parts of a COCO keypoint file as arrays, with all errors noted.

Problems are collected, not raised: wrong entries become zeros, and the caller raises at the end, so that one run
reports all problems. N annotations, S keypoints in the file's vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.file_names import NamesOnDisk
from sapiens2_lit.data.coco.vocabulary import WHOLEBODY_PARTS
from sapiens2_lit.data.files import Problems, leaves_folder, read_json
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Skeleton

SCORES = "keypoint_scores"  # field of annotations that a model predicted
MAX_PIXELS = 1_000_000  # no image has a longer side, and no box or point lies farther out


@dataclass(frozen=True)
class ImageTable:
    """The `images` of a file: names (M,), ids (M,), declared (width, height) (M, 2), and the row of an id.

    `bad` holds the ids of images that cannot be used, as text: their annotations are left out too.
    """

    file_name: npt.NDArray[np.str_]
    image_id: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    row: Mapping[int, int]
    bad: frozenset[str] = frozenset()


def read_lists(path: Path, fields: Sequence[str]) -> dict[str, list[Any]]:
    """Return a JSON object's `fields`, each of which must be a list.

    Raises:
        DataError: a field is missing or no list; it names the file and the field.
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


def read_image_table(images: list[Any], problems: Problems, folder: Path | None = None) -> ImageTable:
    """Check and collect `images`: unique integer ids, names inside the folder, declared sizes.

    Args:
        images: the list of the file.
        problems: collects what is wrong.
        folder: of the images, for hints about names that lead out of it.
    """
    names: list[str] = []
    ids: list[int] = []
    sizes: list[tuple[int, int]] = []
    row: dict[int, int] = {}
    bad: set[str] = set()
    there = None if folder is None else NamesOnDisk(folder)
    for number, image in enumerate(images):
        image = image if isinstance(image, dict) else {}
        given, name = image.get("id"), image.get("file_name")
        image_id = as_integer(given)
        where = f"images[{number}]" if image_id is None else f"image {image_id}"
        if image_id is None:
            problems.add(where, f"`id` is {given!r:.40}, expected an integer")
        elif image_id in row:
            problems.add(where, "`id` is given twice, expected different ones")
            continue
        elif not isinstance(name, str) or not name:
            problems.add(where, f"`file_name` is {name!r:.80}, expected a file name")
        elif leaves_folder(name):
            _refuse_name(name, where, there, problems)
        else:
            row[image_id] = len(ids)
            names.append(name)
            ids.append(image_id)
            sizes.append(_read_size(image, where, problems))
            continue
        bad.add(repr(given if image_id is None else image_id))
    return ImageTable(
        np.array(names, dtype=np.str_),
        np.array(ids, dtype=np.int64),
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        row,
        frozenset(bad),
    )


def _refuse_name(name: str, where: str, there: NamesOnDisk | None, problems: Problems) -> None:
    """Note a name that leads out of the images folder, with a hint about the files in it."""
    text = f"`file_name` is {name!r}, expected a path inside the images folder"
    if there is not None:
        hint = there.hint(name)
        text += hint.text
        problems.add_hint(hint.remedy)
    problems.add(where, text)


def _read_size(image: dict[str, Any], where: str, problems: Problems) -> tuple[int, int]:
    """Return the declared (width, height), 0 if it is missing or impossible."""
    given = (image.get("width") or 0, image.get("height") or 0)
    width, height = (as_integer(side) for side in given)
    if width is None or height is None or not (0 <= width < MAX_PIXELS and 0 <= height < MAX_PIXELS):
        problems.add(where, f"`width`, `height` are {given!r:.80}, expected integers in pixels")
        return 0, 0
    return width, height


def read_points(
    annotations: list[dict[str, Any]],
    source: Skeleton,
    wholebody: bool,
    owners: Sequence[str],
    problems: Problems,
    field: str = "keypoints",
) -> npt.NDArray[np.float32]:
    """Read the labels (N, S, 3) of all annotations; zeros if an annotation has none or a part is invalid.

    Args:
        annotations: of the file.
        source: the file's vocabulary.
        wholebody: whether the points are in COCO-WholeBody's five fields.
        owners: name of each annotation in messages.
        problems: collects what is wrong.
        field: field of an annotation that holds its keypoints.
    """
    body = source.num_keypoints - (sum(size for _, _, size in WHOLEBODY_PARTS) if wholebody else 0)
    values = [annotation.get(field) for annotation in annotations]
    parts = [read_numbers(values, 3 * body, field, owners, problems, MAX_PIXELS).reshape(-1, body, 3)]
    _check_visibility(parts[0], field, owners, problems, whole=True)
    for key, flag, size in WHOLEBODY_PARTS if wholebody else ():
        values = [a.get(key) if a.get(flag, True) else None for a in annotations]
        part = read_numbers(values, 3 * size, key, owners, problems, MAX_PIXELS).reshape(-1, size, 3)
        _check_visibility(part, key, owners, problems, whole=False)
        np.ceil(part[..., 2], out=part[..., 2])  # these fields have fractions, and v > 0 means labeled
        parts.append(part)
    points = np.concatenate(parts, axis=1).astype(np.float32)
    points[points[..., 2] == 0] = 0
    return points


def read_point_scores(
    annotations: list[dict[str, Any]], number: int, owners: Sequence[str], problems: Problems
) -> npt.NDArray[np.float32] | None:
    """Read `keypoint_scores` (N, S), 1 for annotations without; None if no annotation has them.

    Args:
        annotations: of the file.
        number: S.
        owners: name of each annotation in messages.
        problems: collects what is wrong.

    Raises:
        DataError: a list has another length, or numbers outside 0..1.
    """
    values = [annotation.get(SCORES) for annotation in annotations]
    if all(value is None for value in values):
        return None
    values = [[1.0] * number if value is None else value for value in values]
    scores = read_numbers(values, number, SCORES, owners, problems)
    for index in np.flatnonzero(((scores < 0) | (scores > 1)).any(axis=1)).tolist():
        found = scores[index][(scores[index] < 0) | (scores[index] > 1)][0]
        problems.add(owners[index], f"`{SCORES}` has {found:g}, expected numbers from 0 to 1")
    problems.raise_if_any()
    return scores.astype(np.float32)


def read_numbers(
    values: list[Any],
    length: int,
    field: str,
    owners: Sequence[str],
    problems: Problems,
    limit: float | None = None,
) -> npt.NDArray[np.float64]:
    """Read lists of finite numbers as a 2-D array (N, length); None becomes zeros.

    A value that is not such a list is noted, and becomes zeros.

    Args:
        values: one value per annotation.
        length: numbers per list.
        field: name of the field in messages.
        owners: name of each annotation in messages.
        problems: collects what is wrong.
        limit: the largest possible number, either way; None for any.
    """
    zeros = [0.0] * length
    rows = []
    for owner, value in zip(owners, values, strict=True):
        if isinstance(value, list) and length > 4 and all(isinstance(part, list) for part in value):
            value = [number for part in value for number in part]  # [[x, y, v], ...]
        if isinstance(value, list) and len(value) == length:
            rows.append(value)
            continue
        if value is not None:
            found = f"has {len(value)} entries" if isinstance(value, list) else f"is {value!r:.40}"
            problems.add(owner, f"`{field}` {found}, expected a list of {length} numbers")
        rows.append(zeros)
    try:
        array = np.array(rows, dtype=np.float64).reshape(-1, length)
    except (TypeError, ValueError, OverflowError):  # one of the entries is no number: find out which
        array = np.array([[_number(entry) for entry in row] for row in rows]).reshape(-1, length)
    for index in np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist():
        place = int(np.flatnonzero(~np.isfinite(array[index]))[0])
        problems.add(
            owners[index], f"`{field}[{place}]` is {rows[index][place]!r:.40}, expected a finite number"
        )
        array[index, ~np.isfinite(array[index])] = 0
    if limit is not None:
        _check_limit(array, limit, field, owners, problems)
    return array


def _check_limit(
    array: npt.NDArray[np.float64], limit: float, field: str, owners: Sequence[str], problems: Problems
) -> None:
    """Note numbers beyond `limit`, which cannot be pixels, and set their rows to zero."""
    for index in np.flatnonzero((np.abs(array) > limit).any(axis=1)).tolist():
        place = int(np.flatnonzero(np.abs(array[index]) > limit)[0])
        problems.add(owners[index], f"`{field}[{place}]` is {array[index, place]:g}, expected pixels")
        array[index] = 0


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a JSON value is an integer that fits int64; true and false are not."""
    return type(value) is int and abs(value) < 2**63


def as_integer(value: Any) -> int | None:
    """Return an integer that fits int64, also from whole floats (pandas writes 1.0 for 1); None for other values."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if is_integer(value) else None


def _number(entry: Any) -> float:
    try:
        return float(entry) if isinstance(entry, int | float) else float("nan")
    except OverflowError:  # an integer with hundreds of digits
        return float("inf")


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
            f"{visibility[index, place]:g}, expected 0 (unlabeled), 1 (occluded) or 2 (visible)",
        )
