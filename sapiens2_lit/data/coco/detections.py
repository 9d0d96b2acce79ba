"""Boxes from other sources than labels: a detector's results, or an annotation file that has only boxes."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.coco.annotations import CocoFile
from sapiens2_lit.data.coco.people import People
from sapiens2_lit.data.coco.tables import as_integer, read_numbers
from sapiens2_lit.data.files import Problems, read_json
from sapiens2_lit.errors import DataError

# A detection gets the labels of a person that it overlaps by more than this.
_LEAST_IOU = 0.5

_log = logging.getLogger(__name__)


def read_detections(path: Path, file: CocoFile, *, threshold: float = 0.0) -> People:
    """Return a detector's boxes on the images of an annotation file; each box is one sample.

    A box gets the labels of the usable person that it overlaps most, if the IoU is above 0.5; otherwise all its
    keypoints are unlabeled. Boxes of other categories, of other images or with a lower score are left out and reported.

    Args:
        path: COCO results, `[{"image_id", "category_id", "bbox": [x, y, w, h], "score"}, ...]`.
        file: the annotations of the same images.
        threshold: the lowest score that is used.

    Raises:
        DataError: the file is wrong, or no box is left; the message lists all problems.
    """
    detections = read_json(path)
    if not isinstance(detections, list):
        found = type(detections).__name__
        raise DataError(f"{path}: found a JSON {found}, expected a list of detections (COCO results).")
    problems = Problems(path)
    boxes, scores = _boxes(detections, problems), _scores(detections, problems)
    problems.raise_if_any()
    row_of = {image_id: row for row, image_id in enumerate(file.everyone.image_id.tolist())}
    rows = np.array([_row(detection, row_of) for detection in detections], dtype=np.int64)
    people = [d.get("category_id", file.category_ids[0]) in file.category_ids for d in detections]
    kept = (
        (boxes[:, 2:] > 0).all(axis=1)
        & (scores >= threshold)
        & (rows >= 0)
        & np.array(people, dtype=np.bool_)
    )
    if not kept.any():
        raise DataError(
            f"{path}: none of its {len(detections)} boxes is a person scored {threshold:g} or more on an "
            f"image of {file.path}."
        )
    _log.info("%s: %d of %d boxes used", path, kept.sum(), len(kept))
    kept_boxes, rows = boxes[kept].astype(np.float32), rows[kept]
    match = _match(kept_boxes, rows, file)
    everyone = file.everyone
    return People(
        folder=everyone.folder,
        file_name=everyone.file_name,
        image_id=everyone.image_id,
        image_size=everyone.image_size,
        image=rows,
        box=kept_boxes,
        score=scores[kept].astype(np.float32),
        annotation_id=np.where(match < 0, -1, everyone.annotation_id[match]),
        points=everyone.points,
        label=match,
        columns=everyone.columns,
    )


def _boxes(entries: list[Any], problems: Problems) -> npt.NDArray[np.float64]:
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problems.add(f"entry {index}", f"is {entry!r:.40}, expected an object with `bbox`")
        elif entry.get("bbox") is None:
            problems.add(f"entry {index}", "`bbox` is missing, expected [x, y, width, height]")
    problems.raise_if_any()
    owners = [f"entry {index}" for index in range(len(entries))]
    return read_numbers([entry["bbox"] for entry in entries], 4, "bbox", owners, problems)


def _scores(detections: list[dict[str, Any]], problems: Problems) -> npt.NDArray[np.float64]:
    owners = [f"entry {index}" for index in range(len(detections))]
    values = [[detection.get("score")] for detection in detections]
    return read_numbers(values, 1, "score", owners, problems)[:, 0]


def _row(entry: dict[str, Any], row_of: Any) -> int:
    image_id = as_integer(entry.get("image_id"))
    return -1 if image_id is None else row_of.get(image_id, -1)


def _match(
    boxes: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], file: CocoFile
) -> npt.NDArray[np.int64]:
    """Return for each box on an image row the annotation of the usable person that it overlaps most, or -1."""
    everyone = file.everyone
    assert everyone.box is not None
    match = np.full(len(boxes), -1)
    people = file.usable[np.argsort(everyone.image[file.usable], kind="stable")]
    images = everyone.image[people]
    for row in np.unique(rows):
        candidates = people[np.searchsorted(images, row) : np.searchsorted(images, row, side="right")]
        if not len(candidates):
            continue
        here = np.flatnonzero(rows == row)
        overlap = box_iou(boxes[here], everyone.box[candidates])
        best = overlap.argmax(axis=1)
        match[here] = np.where(overlap.max(axis=1) > _LEAST_IOU, candidates[best], -1)
    return match


def box_iou(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the intersection over union (N, M) of boxes x, y, w, h: (N, 4) and (M, 4)."""
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    both = np.clip(high - low, 0, None).prod(axis=-1)
    return both / (a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - both)
