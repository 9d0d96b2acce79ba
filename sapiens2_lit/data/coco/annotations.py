"""COCO keypoint files: people to train on, and the ground truth to evaluate against."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.file_names import NamesOnDisk
from sapiens2_lit.data.checks.finding import Example, first_examples
from sapiens2_lit.data.checks.pose_labels import PoseLabels, ReadingNotes
from sapiens2_lit.data.coco.image_names import with_local_names
from sapiens2_lit.data.coco.people import People, select
from sapiens2_lit.data.coco.rows import BoxSource, Rows, read_rows
from sapiens2_lit.data.coco.tables import (
    ImageTable,
    as_integer,
    read_image_table,
    read_lists,
    read_point_scores,
)
from sapiens2_lit.data.coco.vocabulary import find_vocabulary
from sapiens2_lit.data.files import Problems, absent_files
from sapiens2_lit.vocabularies import Skeleton

OnBadRow = Literal["error", "skip", "collect"]


@dataclass(frozen=True)
class CocoFile:
    """All annotations of one file, and which of them are people to train on.

    Attributes:
        path: the file.
        skeleton: the vocabulary of the returned keypoints.
        everyone: one annotation per row, with crowds and unlabeled ones.
        area: (N,) float64 in original pixels.
        crowd: (N,) bool.
        usable: rows that are single, labeled people.
        skipped: number of annotations that are not, by reason.
        category_ids: the categories of `everyone`.
        labels: the same for checks.
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
    box: BoxSource = "label",
    source: Skeleton | None = None,
    *,
    on_bad: OnBadRow = "error",
    where: str = "",
    data: Mapping[str, list[Any]] | None = None,
    scores: bool = False,
) -> CocoFile:
    """Read a COCO keypoint file: 17 points, COCO-WholeBody's fields, 308 points or the user's vocabulary.

    Keypoints are mapped to `skeleton` by name. Crowds and people without a labeled keypoint of `skeleton` are not
    samples; they are reported, and stay in the ground truth. People with a flat box, and points at (0, 0) or far
    outside their image, are not used either.

    Args:
        path: the annotation file.
        skeleton: the vocabulary to map to.
        images: the folder that its file names are relative to.
        box: source of the people's boxes: `bbox`, or the tight box of their keypoints.
        source: the file's vocabulary, if its categories name the keypoints otherwise than `skeleton`.
        on_bad: `error` raises for entries that cannot be read; otherwise they are left out and reported in
            `labels.notes`: `skip` if that is intended, `collect` if a check will stop.
        where: name of the file for the checks.
        data: the lists of the file, if they were read before; None to read them.
        scores: whether to read `keypoint_scores`.

    Raises:
        DataError: the file is wrong; the message lists all problems (annotation, field, found, expected).
    """
    data = dict(data or read_lists(path, ("images", "annotations", "categories")))
    problems = Problems(path)
    data["images"], moved = with_local_names(data["images"], images)
    table = read_image_table(data["images"], problems, images)
    if not table.row:
        problems.raise_if_any()
    vocabulary = find_vocabulary(data, skeleton, path, source)
    annotations, others = _of_categories(data, vocabulary.categories, problems)
    rows = read_rows(annotations, table, vocabulary, skeleton, box, problems)
    absent, renamed = _find_images(images, table, rows.image[rows.usable], problems)
    if on_bad == "error":
        problems.raise_if_any()
    bad = problems.places
    bad_rows = {place for place, owner in enumerate(rows.owners) if owner in bad}
    bad_rows |= set(np.flatnonzero(np.isin(rows.image, absent)).tolist()) | rows.without_image
    if bad_rows:
        annotations = [one for place, one in enumerate(annotations) if place not in bad_rows]
        rows = read_rows(annotations, table, vocabulary, skeleton, box, Problems(path))
    if renamed:
        table = replace(table, file_name=np.array([renamed.get(n, n) for n in table.file_name.tolist()]))

    skipped = _skipped(rows, others, bad_rows)
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
        moved=moved,
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
        replace(
            _people(images, table, rows, skeleton.map_from(vocabulary.skeleton)),
            point_scores=read_point_scores(annotations, rows.points.shape[1], rows.owners, Problems(path))
            if scores
            else None,
        ),
        rows.areas,
        rows.crowd,
        np.flatnonzero(rows.usable),
        skipped,
        tuple(vocabulary.categories),
        labels,
    )


def _skipped(rows: Rows, others: dict[str, int], bad_rows: set[int]) -> dict[str, int]:
    """Return the number of annotations that are not samples, by reason."""
    skipped = {
        "of another category": sum(others.values()),
        "crowds": int(rows.crowd.sum()),
        "without labeled keypoints": int((~rows.crowd & ~rows.labelled & ~rows.flat).sum()),
        "whose keypoints span no box": int((rows.labelled & ~rows.usable).sum()),
        "with a flat box": int(rows.flat.sum()),
        "that cannot be read": len(bad_rows),
    }
    return {reason: count for reason, count in skipped.items() if count}


def _people(folder: Path, table: ImageTable, rows: Rows, columns: npt.NDArray[np.int64]) -> People:
    """Return everyone in the file; `columns` (K,) maps the file's keypoints to the skeleton's."""
    return People(
        folder=folder,
        file_name=table.file_name,
        image_id=table.image_id,
        image_size=table.size,
        image=rows.image,
        box=rows.boxes.astype(np.float32),
        score=np.ones(len(rows.image), dtype=np.float32),
        annotation_id=rows.ids,
        points=rows.points,
        label=np.arange(len(rows.image)),
        columns=columns,
    )


def _find_images(
    folder: Path, table: ImageTable, rows: npt.NDArray[np.int64], problems: Problems
) -> tuple[list[int], dict[str, str]]:
    """Return the rows whose image does not exist, and names as they are on disk.

    The images of usable people must exist.
    """
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
    """Return the annotations of the wanted categories, and the number of annotations of each other category by name."""
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
