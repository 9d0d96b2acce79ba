"""The labels of one COCO keypoint file as checks see them: what is in the file, and what of it is taught."""

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
    """What the reader of a file decided, for checks to tell.

    Attributes:
        bad: entries that cannot be used, five at most; each says what was found and expected.
        bad_count: how many there are.
        bad_people: how many annotations are left out for that.
        bad_images: how many images are left out for that.
        on_bad: `data.on_bad`, which says whether they stop.
        hints: settings or commands that would mend bad entries.
        other_categories: annotations with keypoints of other categories, by the category's name.
        links: why the file's lines for drawing are not used; empty if they are.
        unnamed: the file's keypoints have no names, so those of the skeleton are taken by position.
        respelled: the file's names that are spelled otherwise in the skeleton, with the skeleton's.
        points_field: the field of annotations that holds the keypoints.
        images_from: the folder of images where it is not the one of `data.images`; empty if it is.
        renamed: image names that are in another Unicode form on disk.
        moved: an example of an image name of another machine and what it is here; None if names are as they stand.
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
        folder: what image names are relative to.
        skeleton: the vocabulary that is taught.
        source: the file's own, in its order.
        file_name: (M,) names of the images.
        image_size: (M, 2) declared (width, height); 0 where the file does not say.
        image: (N,) index of each annotation's image.
        annotation_id: (N,).
        points: (N, S, 3) x, y, v as in the file; zeros for crowds.
        taught: (N, S) bool, labelled points that are used.
        box: (N, 4) x, y, width, height as in the file; NaN where it is missing.
        area: (N,) as in the file; NaN where it is missing.
        made_up: (N,) bool, areas that are missing or impossible.
        crowd: (N,) bool.
        flat: (N,) bool, labelled people whose box has no width or no height.
        usable: (N,) bool, people that samples are made of.
        box_source: `label` or `keypoints`, as in `data.box`.
        skipped: annotations that are no samples, by reason.
        notes: what the reader decided.
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
        """(N, S) points that the file calls labelled."""
        return np.asarray(self.points[..., 2] > 0)

    @property
    def people(self) -> npt.NDArray[np.bool_]:
        """(N,) annotations with a labelled point, crowds left out."""
        return np.asarray(self.labelled.any(axis=1) & ~self.crowd)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(N, 2) declared (width, height) of each annotation's image."""
        return self.image_size[self.image]

    @property
    def columns(self) -> npt.NDArray[np.int64]:
        """(K,) place of each of the skeleton's keypoints in the file's vocabulary, or -1."""
        return np.asarray(self.skeleton.map_from(self.source))

    def example(self, row: Index, name: str, found: str) -> Example:
        """Return an annotation as an example.

        Args:
            row: of the annotation.
            name: of the field.
            found: what stands there, in words.
        """
        image = self.folder / str(self.file_name[self.image[row]])
        return Example(
            str(self.path), f"annotation {self.annotation_id[row]}", name, f"is {found}", str(image)
        )

    def box_text(self, row: Index) -> str:
        """Return a box as it stands in the file."""
        return "[" + ", ".join(f"{value:g}" for value in self.box[row]) + "]"

    def point_text(self, row: Index, column: Index) -> str:
        """Return a point of the file with its name."""
        x, y, v = self.points[row, column].tolist()
        return f"({x:g}, {y:g}, {v:g}) for {self.source.keypoints[column]}"
