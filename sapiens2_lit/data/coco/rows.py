"""Annotations of COCO files as arrays; errors in them are noted, and impossible labels are left out."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.pose_repairs import repair_areas, without_sentinels
from sapiens2_lit.data.coco.tables import (
    MAX_PIXELS,
    ImageTable,
    as_integer,
    read_numbers,
    read_points,
)
from sapiens2_lit.data.coco.vocabulary import Vocabulary
from sapiens2_lit.data.files import Problems
from sapiens2_lit.vocabularies import Skeleton

BoxSource = Literal["label", "keypoints"]


@dataclass(frozen=True)
class Rows:
    """Annotations as arrays, one per row.

    `raw` holds the points of the file, `points` those that are used. `given_boxes` and `given_areas` are the file's
    values, NaN if missing. `without_image` are rows whose image cannot be used, although the rows are correct.
    """

    ids: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    owners: list[str]
    crowd: npt.NDArray[np.bool_]
    raw: npt.NDArray[np.float32]
    points: npt.NDArray[np.float32]
    labelled: npt.NDArray[np.bool_]
    flat: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float64]
    given_boxes: npt.NDArray[np.float64]
    areas: npt.NDArray[np.float64]
    given_areas: npt.NDArray[np.float64]
    made_up: npt.NDArray[np.bool_]
    without_image: set[int]


def read_rows(
    annotations: list[dict[str, Any]],
    table: ImageTable,
    vocabulary: Vocabulary,
    skeleton: Skeleton,
    box: BoxSource,
    problems: Problems,
) -> Rows:
    """Read annotations; values with a problem become zero.

    Args:
        annotations: of the file's categories with keypoints.
        table: the images of the file.
        vocabulary: names of its keypoints.
        skeleton: the vocabulary to map to.
        box: source of the people's boxes.
        problems: collects what is wrong.
    """
    ids, image, owners, without_image = _identify(annotations, table, problems)
    crowd = _crowds(annotations, owners, problems)
    single = [{} if crowd[i] else annotation for i, annotation in enumerate(annotations)]
    raw = read_points(
        single, vocabulary.skeleton, vocabulary.wholebody, owners, problems, vocabulary.points_field
    )
    points = without_sentinels(raw, table.size[image])
    shared = skeleton.map_from(vocabulary.skeleton)
    shared = shared[shared >= 0]
    labelled = np.asarray((points[:, shared, 2] > 0).any(axis=1), dtype=np.bool_)
    needed = labelled if box == "label" else np.zeros_like(labelled)
    given = _label_boxes(annotations, needed, owners, problems)
    boxes = np.where(np.isnan(given), 0.0, given)  # NaN means missing; nobody needs these boxes
    sides = boxes[:, 2:]
    flat = needed & ~np.isnan(given).any(axis=1) & (sides == 0).any(axis=1) & (sides >= 0).all(axis=1)
    if flat.any():
        points = points if points is not raw else raw.copy()
        points[flat] = 0
        labelled = labelled & ~flat
    usable = labelled
    if box == "keypoints":
        boxes[labelled] = _point_boxes(points[labelled][:, shared])
        usable = np.asarray(labelled & (boxes[:, 2:] > 0).all(axis=1), dtype=np.bool_)
    given_areas = _given_areas(annotations, owners, problems)
    areas, made_up = repair_areas(given_areas, boxes, given)
    _check_boxes(boxes, table.size[image], usable, owners, problems)
    return Rows(
        ids, image, owners, crowd, raw, points, labelled, flat, usable,
        boxes, given, areas, given_areas, made_up, without_image,
    )  # fmt: skip


def _identify(
    annotations: list[dict[str, Any]], table: ImageTable, problems: Problems
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[str], set[int]]:
    """Return ids, rows of images, names for messages, and places of annotations whose image cannot be used."""
    ids, rows, owners = [], [], []
    seen: set[int] = set()
    without_image: set[int] = set()
    for number, annotation in enumerate(annotations):
        annotation_id, image_id = as_integer(annotation.get("id")), as_integer(annotation.get("image_id"))
        owner = f"annotations[{number}]" if annotation_id is None else f"annotation {annotation_id}"
        if annotation_id is None:
            problems.add(owner, f"`id` is {annotation.get('id')!r:.40}, expected an integer")
        elif annotation_id in seen:
            problems.add(owner, "`id` is given twice, expected different ones")
        row = None if image_id is None else table.row.get(image_id)
        if row is None:
            given = annotation.get("image_id")
            if repr(given if image_id is None else image_id) in table.bad:
                without_image.add(number)
            else:
                problems.add(owner, f"`image_id` is {given!r:.40}, expected the id of one of `images`")
        seen.add(-1 if annotation_id is None else annotation_id)
        ids.append(-1 if annotation_id is None else annotation_id)
        rows.append(row or 0)
        owners.append(owner)
    return np.array(ids, dtype=np.int64), np.array(rows, dtype=np.int64), owners, without_image


def _crowds(
    annotations: list[dict[str, Any]], owners: list[str], problems: Problems
) -> npt.NDArray[np.bool_]:
    """Return `iscrowd` of all annotations; values other than 0, 1, true, false or nothing are noted, and are 0."""
    crowd = np.zeros(len(annotations), dtype=np.bool_)
    for place, annotation in enumerate(annotations):
        given = annotation.get("iscrowd")
        if given is None:
            continue
        if not isinstance(given, int | float) or given not in (0, 1):
            problems.add(owners[place], f"`iscrowd` is {given!r:.40}, expected 0 or 1")
            continue
        crowd[place] = bool(given)
    return crowd


def _label_boxes(
    annotations: list[dict[str, Any]],
    needed: npt.NDArray[np.bool_],
    owners: list[str],
    problems: Problems,
) -> npt.NDArray[np.float64]:
    """Return `bbox` of all annotations, NaN if missing; problems are noted if the box is needed."""
    values = [annotation.get("bbox") for annotation in annotations]
    for index in np.flatnonzero(needed):
        if values[index] is None:
            problems.add(owners[index], "`bbox` is missing, expected [x, y, width, height]")
            problems.add_hint("--data.box keypoints takes the tight boxes of the keypoints instead")
    wanted = np.flatnonzero(needed)
    boxes = read_numbers(values, 4, "bbox", owners, Problems(problems.path), MAX_PIXELS)
    boxes[wanted] = read_numbers(
        [values[i] for i in wanted], 4, "bbox", [owners[i] for i in wanted], problems, MAX_PIXELS
    )
    boxes[np.array([value is None for value in values], dtype=np.bool_)] = np.nan
    return boxes


def _point_boxes(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return tight boxes (n, 4) of labeled keypoints (n, S, 3), with at least one labeled keypoint each."""
    hidden = points[..., 2:] == 0
    low = np.where(hidden, np.inf, points[..., :2]).min(axis=1)
    high = np.where(hidden, -np.inf, points[..., :2]).max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float64)


def _given_areas(
    annotations: list[dict[str, Any]], owners: list[str], problems: Problems
) -> npt.NDArray[np.float64]:
    """Return `area` of all annotations as in the file: NaN if missing, 0 for true and false."""
    given = [annotation.get("area") for annotation in annotations]
    values = [None if one is None else [0.0 if isinstance(one, bool) else one] for one in given]
    areas = read_numbers(values, 1, "area", owners, problems)[:, 0]
    areas[np.array([value is None for value in values], dtype=np.bool_)] = np.nan
    return areas


def _check_boxes(
    boxes: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    needed: npt.NDArray[np.bool_],
    owners: list[str],
    problems: Problems,
) -> None:
    """Check that boxes have no negative side and touch their image, if it declares its size."""
    negative = needed & (boxes[:, 2:] < 0).any(axis=1)
    outside = needed & ~negative & ((boxes[:, :2] + boxes[:, 2:] <= 0) | (boxes[:, :2] >= sizes)).any(axis=1)
    outside &= (sizes > 0).all(axis=1)
    for index in np.flatnonzero(negative):
        found = boxes[index].tolist()
        problems.add(owners[index], f"`bbox` is {found}, expected a width and a height above 0")
    for index in np.flatnonzero(outside):
        found, (width, height) = boxes[index].tolist(), sizes[index].tolist()
        problems.add(
            owners[index],
            f"`bbox` is {found}, entirely outside its image of {width} x {height} (width x height)",
        )
