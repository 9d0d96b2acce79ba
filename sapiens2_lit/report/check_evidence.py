"""Draw the pictures behind a finding: the photograph with the labels of the entry."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks import Example
from sapiens2_lit.data.checks.pose_labels import PoseLabels
from sapiens2_lit.data.datasets.dense import DenseDataset
from sapiens2_lit.data.labels.base import stem_of
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES, read_image
from sapiens2_lit.errors import SapiensError
from sapiens2_lit.report.check_samples import CheckedData, draw_box, scaled_sample
from sapiens2_lit.report.check_views import Picture, keypoints_view, label_views, shrink_to
from sapiens2_lit.visualization.draw import side_by_side

HEIGHT, WIDTH = 260, 360  # pixels of a picture at most
_AROUND = 0.5  # share of the picture's sides; points and boxes farther outside are not shown
_PAPER = 90  # gray around the photograph


class Evidence:
    """Finds and draws the examples of findings.

    Args:
        data: Of all datamodules.
    """

    def __init__(self, data: Sequence[CheckedData]) -> None:
        self.files = {
            str(one.path): one for part in data for one in part.subjects if isinstance(one, PoseLabels)
        }
        self.dense: dict[str, tuple[DenseDataset, int, CheckedData]] = {}
        for part in data:
            for dataset in part.datasets.values():
                if isinstance(dataset, DenseDataset):
                    for index, name in enumerate(dataset.names.tolist()):
                        self.dense.setdefault(str(dataset.folder / name), (dataset, index, part))

    def draw(self, example: Example) -> Picture | None:
        """Return a picture of an example; None if there is none, or it cannot be decoded."""
        path = example.image or example.file
        if not path.lower().endswith(IMAGE_SUFFIXES):
            return None
        try:
            if example.other:
                titles = [Path(one).name for one in (path, example.other)]
                return side_by_side([_small(path), _small(example.other)], titles)
            if example.file in self.files and example.entry.startswith("annotation "):
                return _draw_annotation(self.files[example.file], path, example.entry)
            if path in self.dense:
                return self._draw_labels(path)
            return _small(path)
        except SapiensError:
            return None

    def _draw_labels(self, path: str) -> Picture:
        """Return photograph and labels side by side; the photograph alone if the labels cannot be read."""
        dataset, index, part = self.dense[path]
        stem = stem_of(str(dataset.names[index]))
        try:
            sample, _ = scaled_sample(Path(path), stem, dataset.label_sources, HEIGHT, WIDTH)
        except SapiensError:
            return _small(path)
        views = label_views(sample, part.skeleton, part.classes)
        return side_by_side([_small(path), *list(views.values())[:1]])


def _small(path: str) -> Picture:
    return shrink_to(read_image(Path(path)), HEIGHT, WIDTH)


def _draw_annotation(labels: PoseLabels, path: str, entry: str) -> Picture:
    """Return a person's points and box as they are in the file, including those beside the photograph."""
    rows = np.flatnonzero(labels.annotation_id.astype(str) == entry.removeprefix("annotation "))
    image = read_image(Path(path))
    if not len(rows):
        return shrink_to(image, HEIGHT, WIDTH)
    row = int(rows[0])
    points, box = labels.points[row].astype(np.float64), labels.box[row]
    shown = points[labels.labelled[row] & np.isfinite(points).all(axis=1), :2]
    corners = np.concatenate([shown, [box[:2], box[:2] + box[2:]]] if np.isfinite(box).all() else [shown])
    left, top, right, bottom = _margins(corners, image.shape[1], image.shape[0])
    border = (_PAPER, _PAPER, _PAPER)
    wide = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=border)
    picture = np.ascontiguousarray(shrink_to(np.asarray(wide, dtype=np.uint8), HEIGHT, WIDTH))
    scale = picture.shape[0] / wide.shape[0]
    moved = np.concatenate([(points[:, :2] + [left, top] + 0.5) * scale - 0.5, points[:, 2:]], axis=1)
    picture = keypoints_view(picture, moved, labels.source)
    draw_box(picture, (box + [left, top, 0, 0]) * scale)
    return picture


def _margins(corners: npt.NDArray[np.floating], width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom pixels to add so that the corners are visible, at most half of the picture."""
    if not len(corners):
        return 0, 0, 0, 0
    low, high = corners.min(axis=0), corners.max(axis=0)
    most = np.array([width, height]) * _AROUND
    before = np.clip(-low + 4, 0, most) * (low < 0)
    after = np.clip(high - [width, height] + 4, 0, most) * (high > [width, height])
    return int(before[0]), int(before[1]), int(after[0]), int(after[1])
