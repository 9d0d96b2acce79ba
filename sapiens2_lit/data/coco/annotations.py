"""COCO keypoint files: people to train on, and the ground truth to evaluate against."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.coco.people import People, select
from sapiens2_lit.data.coco.tables import (
    ImageTable,
    find_vocabulary,
    is_integer,
    read_image_table,
    read_lists,
    read_numbers,
    read_points,
)
from sapiens2_lit.data.files import Problems, absent_files
from sapiens2_lit.vocabularies import Skeleton

BoxSource = Literal["label", "keypoints"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CocoFile:
    """All annotations of one file, and which of them are people to train on.

    Attributes:
        path: the file.
        skeleton: the vocabulary that keypoints come out in.
        everyone: one annotation a row, crowds and unlabelled ones included.
        area: (N,) float64 in original pixels.
        crowd: (N,) bool.
        usable: rows that are single, labelled people.
        skipped: how many annotations are not, by reason.
        category_ids: the categories that `everyone` is of.
    """

    path: Path
    skeleton: Skeleton
    everyone: People
    area: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.int64]
    skipped: dict[str, int]
    category_ids: tuple[Any, ...]

    @property
    def people(self) -> People:
        """The usable people."""
        return select(self.everyone, self.usable)


def read_coco(
    path: Path,
    skeleton: Skeleton,
    images: Path,
    *,
    box: BoxSource = "label",
    source: Skeleton | None = None,
) -> CocoFile:
    """Read a COCO keypoint file: 17 points, COCO-WholeBody's fields, 308 or the user's own vocabulary.

    Keypoints are mapped to `skeleton` by name. Crowds and people without a labelled keypoint of it are no
    samples; they are counted, and stay in the ground truth.

    Args:
        path: the annotation file.
        skeleton: the vocabulary to map to.
        images: the folder that its file names are relative to.
        box: where the people's boxes come from: `bbox`, or the tight box of their keypoints.
        source: the file's vocabulary, where its categories do not name it as `skeleton` does.

    Raises:
        DataError: with everything found wrong with the file (annotation, field, found, expected).
    """
    data = read_lists(path, ("images", "annotations", "categories"))
    problems = Problems(path)
    table = read_image_table(data["images"], problems)
    source, categories, wholebody = find_vocabulary(data, skeleton, path, source)
    annotations, others = _of_categories(data, categories, problems)
    ids, rows, owners = _identify(annotations, table, problems)
    if not table.row:
        problems.raise_if_any()
    crowd = np.array([bool(annotation.get("iscrowd", 0)) for annotation in annotations], dtype=np.bool_)
    single = [{} if crowd[i] else annotation for i, annotation in enumerate(annotations)]
    points = read_points(single, source, wholebody, owners, problems)
    columns = skeleton.map_from(source)
    shared = columns[columns >= 0]
    labelled = np.asarray((points[:, shared, 2] > 0).any(axis=1), dtype=np.bool_)
    if box == "label":
        boxes = _label_boxes(annotations, labelled, owners, problems)
        usable = labelled
    else:
        boxes = _label_boxes(annotations, np.zeros_like(labelled), owners, problems)
        boxes[labelled] = _point_boxes(points[labelled][:, shared])
        usable = np.asarray(labelled & (boxes[:, 2:] > 0).all(axis=1), dtype=np.bool_)
    areas = _areas(annotations, boxes, owners, problems)
    _check_boxes(boxes, table.size[rows], usable, owners, problems)
    _check_files(images, table, rows[usable], problems)
    problems.raise_if_any()

    skipped = {
        "of another category": others,
        "crowds": int(crowd.sum()),
        "without labelled keypoints": int((~crowd & ~labelled).sum()),
        "whose keypoints span no box": int((labelled & ~usable).sum()),
    }
    everyone = People(
        folder=images,
        file_name=table.file_name,
        image_id=table.image_id,
        image_size=table.size,
        image=rows,
        box=boxes.astype(np.float32),
        score=np.ones(len(rows), dtype=np.float32),
        annotation_id=ids,
        points=points,
        label=np.arange(len(rows)),
        columns=columns,
    )
    skipped = {reason: count for reason, count in skipped.items() if count}
    _log_summary(path, skeleton, len(shared), rows[usable], skipped)
    return CocoFile(
        path, skeleton, everyone, areas, crowd, np.flatnonzero(usable), skipped, tuple(categories)
    )


def _log_summary(
    path: Path, skeleton: Skeleton, shared: int, images: npt.NDArray[np.int64], skipped: dict[str, int]
) -> None:
    _log.info(
        "%s: %d people in %d images, %d of the %d keypoints of %s; skipped %s",
        path,
        len(images),
        len(np.unique(images)),
        shared,
        skeleton.num_keypoints,
        skeleton.name,
        ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "none",
    )


def _check_files(folder: Path, table: ImageTable, rows: npt.NDArray[np.int64], problems: Problems) -> None:
    """The images of usable people must be there."""
    used = np.unique(rows)
    absent = absent_files(folder, table.file_name[used].tolist())
    for row in used.tolist():
        name = str(table.file_name[row])
        if name in absent:
            problems.add(f"image {table.image_id[row]}", f"`file_name` {name!r} does not exist in {folder}")


def _of_categories(
    data: dict[str, list[Any]], wanted: list[Any], problems: Problems
) -> tuple[list[dict[str, Any]], int]:
    known = [category.get("id") for category in data["categories"] if isinstance(category, dict)]
    kept, others = [], 0
    for number, annotation in enumerate(data["annotations"]):
        if not isinstance(annotation, dict):
            problems.add(f"annotations[{number}]", f"is {annotation!r:.40}, expected an object")
        elif (category := annotation.get("category_id")) in wanted:
            kept.append(annotation)
        elif category in known:
            others += 1
        else:
            where = f"annotation {annotation.get('id', f'number {number}')}"
            problems.add(where, f"`category_id` is {category!r}, expected one of {known[:10]}")
    return kept, others


def _identify(
    annotations: list[dict[str, Any]], table: ImageTable, problems: Problems
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[str]]:
    """Ids, rows of images and names for messages."""
    ids, rows, owners = [], [], []
    seen: set[int] = set()
    for number, annotation in enumerate(annotations):
        annotation_id, image_id = annotation.get("id"), annotation.get("image_id")
        owner = f"annotation {annotation_id}" if is_integer(annotation_id) else f"annotations[{number}]"
        if not is_integer(annotation_id):
            problems.add(owner, f"`id` is {annotation_id!r}, expected an integer")
            annotation_id = -1
        elif annotation_id in seen:
            problems.add(owner, "`id` is given twice, expected different ones")
        if not is_integer(image_id) or image_id not in table.row:
            problems.add(owner, f"`image_id` is {image_id!r}, expected the id of one of `images`")
            image_id = None
        seen.add(annotation_id)
        ids.append(annotation_id)
        rows.append(0 if image_id is None else table.row[image_id])
        owners.append(owner)
    return np.array(ids, dtype=np.int64), np.array(rows, dtype=np.int64), owners


def _label_boxes(
    annotations: list[dict[str, Any]],
    needed: npt.NDArray[np.bool_],
    owners: list[str],
    problems: Problems,
) -> npt.NDArray[np.float64]:
    """`bbox` of all; what is wrong counts where the box is needed, else it is zeros."""
    values = [annotation.get("bbox") for annotation in annotations]
    for index in np.flatnonzero(needed):
        if values[index] is None:
            problems.add(owners[index], "`bbox` is missing, expected [x, y, width, height]")
    wanted = np.flatnonzero(needed)
    boxes = read_numbers(values, 4, "bbox", owners, Problems(problems.path))
    boxes[wanted] = read_numbers(
        [values[i] for i in wanted], 4, "bbox", [owners[i] for i in wanted], problems
    )
    return boxes


def _point_boxes(points: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Tight boxes (n, 4) of labelled keypoints (n, S, 3), at least one each."""
    hidden = points[..., 2:] == 0
    low = np.where(hidden, np.inf, points[..., :2]).min(axis=1)
    high = np.where(hidden, -np.inf, points[..., :2]).max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float64)


def _areas(
    annotations: list[dict[str, Any]], boxes: npt.NDArray[np.float64], owners: list[str], problems: Problems
) -> npt.NDArray[np.float64]:
    values = [None if annotation.get("area") is None else [annotation["area"]] for annotation in annotations]
    given = read_numbers(values, 1, "area", owners, problems)[:, 0]
    return np.where([value is None for value in values], boxes[:, 2] * boxes[:, 3], given)


def _check_boxes(
    boxes: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    needed: npt.NDArray[np.bool_],
    owners: list[str],
    problems: Problems,
) -> None:
    """Boxes must have an area and touch their image, where it declares its size."""
    flat = needed & (boxes[:, 2:] <= 0).any(axis=1)
    outside = needed & ~flat & ((boxes[:, :2] + boxes[:, 2:] <= 0) | (boxes[:, :2] >= sizes)).any(axis=1)
    outside &= (sizes > 0).all(axis=1)
    for index in np.flatnonzero(flat):
        found = boxes[index].tolist()
        problems.add(owners[index], f"`bbox` is {found}, expected a width and a height above 0")
    for index in np.flatnonzero(outside):
        found, (width, height) = boxes[index].tolist(), sizes[index].tolist()
        problems.add(
            owners[index],
            f"`bbox` is {found}, wholly outside its image of {width} x {height} (width x height)",
        )
