"""COCO keypoint files: people to train on, and the ground truth to evaluate against."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.file_names import NamesOnDisk
from sapiens2_lit.data.checks.finding import Example, first_examples
from sapiens2_lit.data.checks.pose_labels import PoseLabels, ReadingNotes
from sapiens2_lit.data.checks.pose_repairs import repair_areas, without_sentinels
from sapiens2_lit.data.coco.vocabulary import Vocabulary, find_vocabulary
from sapiens2_lit.datamodules.coco_tables import (
    MAX_PIXELS,
    ImageTable,
    as_integer,
    read_image_table,
    read_lists,
    read_numbers,
    read_points,
)
from sapiens2_lit.datamodules.files import Problems, absent_files
from sapiens2_lit.datamodules.people import People, select
from sapiens2_lit.skeletons import Skeleton

BoxSource = Literal["label", "keypoints"]
OnBad = Literal["error", "skip", "collect"]


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
        labels: the same as checks see it.
    """

    path: Path
    skeleton: Skeleton
    everyone: People
    area: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.int64]
    skipped: dict[str, int]
    category_ids: tuple[Any, ...]
    labels: PoseLabels

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
    on_bad: OnBad = "error",
    where: str = "",
) -> CocoFile:
    """Read a COCO keypoint file: 17 points, COCO-WholeBody's fields, 308 or the user's own vocabulary.

    Keypoints are mapped to `skeleton` by name. Crowds and people without a labelled keypoint of it are no
    samples; they are counted, and stay in the ground truth. Neither do people teach anything whose box is flat, nor
    points at (0, 0) or far outside their image.

    Args:
        path: the annotation file.
        skeleton: the vocabulary to map to.
        images: the folder that its file names are relative to.
        box: where the people's boxes come from: `bbox`, or the tight box of their keypoints.
        source: the file's vocabulary, where its categories do not name it as `skeleton` does.
        on_bad: `error` to raise for entries that cannot be read; else they are left out, and `labels.notes` tells of
            them: `skip` if that is meant, `collect` if a check shall stop.
        where: what the checks call the file.

    Raises:
        DataError: with everything found wrong with the file (annotation, field, found, expected).
    """
    data = read_lists(path, ("images", "annotations", "categories"))
    problems = Problems(path)
    table = read_image_table(data["images"], problems, images)
    if not table.row:
        problems.raise_if_any()
    vocabulary = find_vocabulary(data, skeleton, path, source)
    annotations, others = _of_categories(data, vocabulary.categories, problems)
    rows = _read_rows(annotations, table, vocabulary, skeleton, box, problems)
    absent, renamed = _find_images(images, table, rows.image[rows.usable], problems)
    if on_bad == "error":
        problems.raise_if_any()
    bad_rows = {place for place, owner in enumerate(rows.owners) if owner in problems.places}
    bad_rows |= set(np.flatnonzero(np.isin(rows.image, absent)).tolist()) | rows.without_image
    if bad_rows:
        kept = [one for place, one in enumerate(annotations) if place not in bad_rows]
        rows = _read_rows(kept, table, vocabulary, skeleton, box, Problems(path))
    if renamed:
        table = replace(table, file_name=np.array([renamed.get(n, n) for n in table.file_name.tolist()]))

    skipped = {
        "of another category": sum(others.values()),
        "crowds": int(rows.crowd.sum()),
        "without labelled keypoints": int((~rows.crowd & ~rows.labelled & ~rows.flat).sum()),
        "whose keypoints span no box": int((rows.labelled & ~rows.usable).sum()),
        "with a flat box": int(rows.flat.sum()),
        "that cannot be read": len(bad_rows),
    }
    skipped = {reason: count for reason, count in skipped.items() if count}
    everyone = People(
        folder=images,
        file_name=table.file_name,
        image_id=table.image_id,
        image_size=table.size,
        image=rows.image,
        box=rows.boxes.astype(np.float32),
        score=np.ones(len(rows.image), dtype=np.float32),
        annotation_id=rows.ids,
        points=rows.points,
        label=np.arange(len(rows.image)),
        columns=skeleton.map_from(vocabulary.skeleton),
    )
    notes = ReadingNotes(
        bad=first_examples(Example(str(path), place, "", what) for place, what in problems.entries),
        bad_count=len(problems.entries),
        bad_people=len(bad_rows),
        bad_images=len(table.bad) + len(absent),
        on_bad=on_bad,
        hints=problems.hints,
        other_categories={name: count for name, count in others.items() if count},
        links=vocabulary.links,
        unnamed=vocabulary.unnamed,
        respelled=vocabulary.respelled,
        points_field=vocabulary.points_field,
        renamed=len(renamed),
    )
    labels = PoseLabels(
        where=where or path.name,
        path=path,
        folder=images,
        skeleton=skeleton,
        source=vocabulary.skeleton,
        file_name=table.file_name,
        image_size=table.size,
        image=rows.image,
        annotation_id=rows.ids,
        points=rows.raw,
        taught=rows.points[..., 2] > 0,
        box=rows.given_boxes,
        area=rows.given_areas,
        made_up=rows.made_up,
        crowd=rows.crowd,
        flat=rows.flat,
        usable=rows.usable,
        box_source=box,
        skipped=skipped,
        notes=notes,
    )
    return CocoFile(
        path,
        skeleton,
        everyone,
        rows.areas,
        rows.crowd,
        np.flatnonzero(rows.usable),
        skipped,
        tuple(vocabulary.categories),
        labels,
    )


@dataclass(frozen=True)
class _Rows:
    """Annotations as arrays, one a row.

    `raw` holds the points of the file, `points` those that are used; `given_boxes` and `given_areas` what the file
    says, NaN where it says nothing. `without_image` are rows whose image cannot be used, which is no fault of theirs.
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


def _read_rows(
    annotations: list[dict[str, Any]],
    table: ImageTable,
    vocabulary: Vocabulary,
    skeleton: Skeleton,
    box: BoxSource,
    problems: Problems,
) -> _Rows:
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
    boxes = np.where(np.isnan(given), 0.0, given)  # NaN is of missing ones, which nobody needs
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
    return _Rows(
        ids, image, owners, crowd, raw, points, labelled, flat, usable,
        boxes, given, areas, given_areas, made_up, without_image,
    )  # fmt: skip


def _find_images(
    folder: Path, table: ImageTable, rows: npt.NDArray[np.int64], problems: Problems
) -> tuple[list[int], dict[str, str]]:
    """The images of usable people must be there: rows of those that are not, and names as they are on disk."""
    used = np.unique(rows)
    absent = absent_files(folder, table.file_name[used].tolist())
    if not absent:
        return [], {}
    there = NamesOnDisk(folder)
    missing, renamed = [], {}
    for row in used.tolist():
        name = str(table.file_name[row])
        if name not in absent:
            continue
        if (same := there.same_letters(name)) is not None:
            renamed[name] = same
            continue
        missing.append(row)
        hint = there.hint(name)
        problems.add(
            f"image {table.image_id[row]}", f"`file_name` {name!r} does not exist in {folder}{hint.text}"
        )
        problems.add_hint(hint.remedy)
    return missing, renamed


def _of_categories(
    data: dict[str, list[Any]], wanted: list[Any], problems: Problems
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The annotations of the wanted categories, and how many there are of each other one, by its name."""
    known = [category for category in data["categories"] if isinstance(category, dict)]
    names = {str(one.get("id")): str(one.get("name", one.get("id"))) for one in known}
    chosen = {str(one) for one in wanted}
    kept: list[dict[str, Any]] = []
    others: dict[str, int] = {}
    for number, annotation in enumerate(data["annotations"]):
        if not isinstance(annotation, dict):
            problems.add(f"annotations[{number}]", f"is {annotation!r:.40}, expected an object")
            continue
        category = annotation.get("category_id")
        key = str(category if as_integer(category) is None else as_integer(category))
        if key in chosen:
            kept.append(annotation)
        elif key in names:
            others[names[key]] = others.get(names[key], 0) + 1
        else:
            where = f"annotation {annotation.get('id', f'number {number}')!s:.40}"
            problems.add(
                where,
                f"`category_id` is {category!r:.40}, expected one of {[one.get('id') for one in known[:10]]}",
            )
    return kept, others


def _identify(
    annotations: list[dict[str, Any]], table: ImageTable, problems: Problems
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[str], set[int]]:
    """Ids, rows of images, names for messages, and places of those whose image cannot be used."""
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
    """`iscrowd` of all: 0, 1, true, false or nothing; everything else is noted, and no crowd."""
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
    """`bbox` of all, NaN where there is none; what is wrong with it is noted where the box is needed."""
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
    """Tight boxes (n, 4) of labelled keypoints (n, S, 3), at least one each."""
    hidden = points[..., 2:] == 0
    low = np.where(hidden, np.inf, points[..., :2]).min(axis=1)
    high = np.where(hidden, -np.inf, points[..., :2]).max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float64)


def _given_areas(
    annotations: list[dict[str, Any]], owners: list[str], problems: Problems
) -> npt.NDArray[np.float64]:
    """`area` of all as in the file: NaN where there is none, 0 for true and false."""
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
    """Boxes must have no negative side and touch their image, where it declares its size."""
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
            f"`bbox` is {found}, wholly outside its image of {width} x {height} (width x height)",
        )
