"""The labels of one COCO keypoint file for checks: the contents of the file, and what training uses of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.finding import Example
from sapiens2_lit.vocabularies import Skeleton

Index = int | np.integer[Any]


@dataclass(frozen=True)
class ReadingNotes:
    """Decisions of the reader of a file, for checks to report.

    Attributes:
        bad: entries that cannot be used, five at most; each with what was found and expected.
        bad_count: their number.
        bad_people: number of annotations left out for that reason.
        bad_images: number of images left out for that reason.
        on_bad: `data.on_bad`: whether they stop.
        hints: settings or commands that would correct bad entries.
        other_categories: annotations with keypoints of other categories, by the category's name.
        links: why the file's lines for drawing are not used; empty if they are.
        unnamed: the file's keypoints have no names, so the skeleton's names are used by position.
        respelled: names of the file with another spelling in the skeleton, and the skeleton's spelling.
        points_field: the field of annotations that holds the keypoints.
        images_from: the folder of images, if it differs from `data.images`; else empty.
        renamed: number of image names with another Unicode form on disk.
        moved: example of an image name from another machine and its name here; None if names are as on disk.
    """

    bad: tuple[Example, ...] = ()
    bad_count: int = 0
    bad_people: int = 0
    bad_images: int = 0
    on_bad: str = "error"
    hints: tuple[str, ...] = ()
    other_categories: Mapping[str, int] = field(default_factory=dict)
    links: str = ""
    unnamed: bool = False
    respelled: Mapping[str, str] = field(default_factory=dict)
    points_field: str = "keypoints"
    images_from: str = ""
    renamed: int = 0
    moved: tuple[str, str] | None = None


@dataclass(frozen=True)
class PoseLabels:
    """One keypoint file. M images, N annotations, S keypoints in the file's vocabulary.

    Attributes:
        where: the split and the file, for messages.
        path: the file.
        folder: folder that image names are relative to.
        skeleton: the vocabulary for training.
        source: the file's vocabulary, in its order.
        file_name: (M,) names of the images.
        image_size: (M, 2) declared (width, height); 0 if the file does not declare it.
        image: (N,) index of each annotation's image.
        annotation_id: (N,).
        points: (N, S, 3) x, y, v as in the file; zeros for crowds.
        taught: (N, S) bool, labeled points that training uses.
        box: (N, 4) x, y, width, height as in the file; NaN if missing.
        area: (N,) as in the file; NaN if missing.
        made_up: (N,) bool, areas that are missing or impossible.
        crowd: (N,) bool.
        flat: (N,) bool, labeled people whose box has no width or no height.
        usable: (N,) bool, people that become samples.
        box_source: `label` or `keypoints`, as in `data.box`.
        skipped: number of annotations that are no samples, by reason.
        notes: decisions of the reader.
    """

    where: str
    path: Path
    folder: Path
    skeleton: Skeleton
    source: Skeleton
    file_name: npt.NDArray[np.str_]
    image_size: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    annotation_id: npt.NDArray[np.int64]
    points: npt.NDArray[np.float32]
    taught: npt.NDArray[np.bool_]
    box: npt.NDArray[np.float64]
    area: npt.NDArray[np.float64]
    made_up: npt.NDArray[np.bool_]
    crowd: npt.NDArray[np.bool_]
    flat: npt.NDArray[np.bool_]
    usable: npt.NDArray[np.bool_]
    box_source: str
    skipped: Mapping[str, int]
    notes: ReadingNotes = ReadingNotes()

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Points (N, S) that are labeled in the file."""
        return np.asarray(self.points[..., 2] > 0)

    @property
    def people(self) -> npt.NDArray[np.bool_]:
        """Annotations (N,) with a labeled point, without crowds."""
        return np.asarray(self.labelled.any(axis=1) & ~self.crowd)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Declared (width, height) of each annotation's image, (N, 2)."""
        return self.image_size[self.image]

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """Place of each of the skeleton's keypoints in the file's vocabulary, or -1: (K,)."""
        return np.asarray(self.skeleton.map_from(self.source))

    def example(self, row: Index, name: str, found: str) -> Example:
        """Return an annotation as an example.

        Args:
            row: of the annotation.
            name: of the field.
            found: the found value, in words.
        """
        image = self.folder / str(self.file_name[self.image[row]])
        return Example(
            str(self.path), f"annotation {self.annotation_id[row]}", name, f"is {found}", str(image)
        )

    def box_text(self, row: Index) -> str:
        """Return a box as written in the file."""
        return "[" + ", ".join(f"{value:g}" for value in self.box[row]) + "]"

    def point_text(self, row: Index, column: Index) -> str:
        """Return a point of the file with its name."""
        x, y, v = self.points[row, column].tolist()
        return f"({x:g}, {y:g}, {v:g}) for {self.source.keypoints[column]}"
