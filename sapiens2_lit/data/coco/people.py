"""The people of one annotation or detection file, as arrays.

These are arrays, not lists of objects, because worker processes would copy objects one by one when they touch them. M
images, N people, P labeled ones, S keypoints in the file's vocabulary, K in the skeleton's.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class People:
    """People of one file, one person per row.

    Attributes:
        folder: folder that image names are relative to.
        file_name: (M,) names of the images.
        image_id: (M,) int64 ids of the images.
        image_size: (M, 2) int64 declared (width, height); 0 if the file does not declare it.
        image: (N,) int64 index of each person's image.
        box: (N, 4) float32 x, y, w, h in original pixels, or None for whole images.
        score: (N,) float32 confidence of the boxes.
        annotation_id: (N,) int64, or -1.
        points: (P, S, 3) float32 labels in the file's vocabulary, or None.
        label: (N,) int64 row of each person's labels in `points`, or -1; None without `points`.
        columns: (K,) int64 index of each of the skeleton's keypoints in the file's vocabulary, or -1.
        point_scores: (P, S) float32, 0..1, confidence of each label that a model predicted, or None.
    """

    folder: Path
    file_name: npt.NDArray[np.str_]
    image_id: npt.NDArray[np.int64]
    image_size: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    box: npt.NDArray[np.float32] | None
    score: npt.NDArray[np.float32]
    annotation_id: npt.NDArray[np.int64]
    points: npt.NDArray[np.float32] | None = None
    label: npt.NDArray[np.int64] | None = None
    columns: npt.NDArray[np.int64] | None = None
    point_scores: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.image)

    def path(self, row: int) -> Path:
        """Return the image of a person."""
        return self.folder / str(self.file_name[self.image[row]])

    def keypoints(self, row: int) -> npt.NDArray[np.float32] | None:
        """Return a person's labels (K, 3) in the skeleton's vocabulary, in original pixels.

        The result is zeros for a person without labels, and None if nobody has labels.
        """
        if self.points is None or self.columns is None or self.label is None:
            return None
        if self.label[row] < 0:
            return np.zeros((len(self.columns), 3), dtype=np.float32)
        return take_columns(self.points[self.label[row]], self.columns)

    def scores(self, row: int) -> npt.NDArray[np.float32]:
        """Return the confidence of each of a person's labels (K,): 1 for labels that no model predicted."""
        if self.columns is None or self.label is None or self.point_scores is None or self.label[row] < 0:
            return np.ones(0 if self.columns is None else len(self.columns), dtype=np.float32)
        found = self.point_scores[self.label[row]]
        return np.where(self.columns >= 0, found[self.columns], np.float32(1))


def take_columns(points: npt.NDArray[np.float32], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return keypoints (..., S, 3) as (..., K, 3): keypoint k is the one at `columns[k]`, zero if that is -1."""
    taken = points[..., columns, :]  # -1 takes the last one, which is set to 0 next
    taken[..., columns < 0, :] = 0
    return taken


def select(people: People, rows: npt.NDArray[np.int64]) -> People:
    """Return the people of some `rows` (N,), in that order; labels are shared, not copied."""
    return replace(
        people,
        image=people.image[rows],
        box=None if people.box is None else people.box[rows],
        score=people.score[rows],
        annotation_id=people.annotation_id[rows],
        label=None if people.label is None else people.label[rows],
    )
