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
    box: BoxSource = "label",
    source: Skeleton | None = None,
    *,
    on_bad: OnBadRow = "error",
    where: str = "",
    data: Mapping[str, list[Any]] | None = None,
    scores: bool = False,
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
        data: the lists of the file, where they were read; None to read them.
        scores: read `keypoint_scores`, too.

    Raises:
        DataError: with everything found wrong with the file (annotation, field, found, expected).
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
    """How many annotations are no samples, by the reason."""
    skipped = {
        "of another category": sum(others.values()),
        "crowds": int(rows.crowd.sum()),
        "without labelled keypoints": int((~rows.crowd & ~rows.labelled & ~rows.flat).sum()),
        "whose keypoints span no box": int((rows.labelled & ~rows.usable).sum()),
        "with a flat box": int(rows.flat.sum()),
        "that cannot be read": len(bad_rows),
    }
    return {reason: count for reason, count in skipped.items() if count}


def _people(folder: Path, table: ImageTable, rows: Rows, columns: npt.NDArray[np.int64]) -> People:
    """Everyone in the file; `columns` (K,) maps the file's keypoints to the skeleton's."""
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
    """Return the images of usable people must be there: rows of those that are not, and names as they are on disk."""
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
    """Return the annotations of the wanted categories, and how many there are of each other one, by its name."""
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
