"""The subjects that checks examine in pose data."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Subject
from sapiens2_lit.data.checks.photographs import Photographs
from sapiens2_lit.data.checks.pose_labels import PoseLabels
from sapiens2_lit.data.checks.pose_names import Mirroring
from sapiens2_lit.data.checks.splits import Splits


def pose_subjects(
    files: Mapping[str, Sequence[PoseLabels]],
    names: Sequence[str],
    flip: float,
    read: Callable[[Path], npt.NDArray[np.uint8]],
    on_bad: str,
) -> list[Subject]:
    """Return the labels and photographs of the splits, how training mirrors, and the images of all splits.

    Args:
        files: of all splits that were read, by split.
        names: the splits to check.
        flip: probability of mirror images in training.
        read: reads an image as the dataset does.
        on_bad: `data.on_bad`.
    """
    subjects: list[Subject] = []
    for name in names:
        for labels in files[name]:
            used = _used(labels)
            photographs = Photographs(
                labels.where,
                labels.folder,
                labels.file_name[used].tolist(),
                labels.image_size[used],
                read,
                on_bad,
            )
            subjects += [labels, photographs]
    if "train" in names and files["train"]:
        subjects.append(Mirroring("train", files["train"][0].skeleton, flip))
    if len(files) > 1:
        images = {
            name: [path for labels in split for path in _paths(labels)] for name, split in files.items()
        }
        subjects.append(Splits(" and ".join(images), images))
    return subjects


def _used(labels: PoseLabels) -> npt.NDArray[np.int64]:
    """Return the images of the usable people, each once."""
    return np.asarray(np.unique(labels.image[labels.usable]), dtype=np.int64)


def _paths(labels: PoseLabels) -> list[Path]:
    return [labels.folder / name for name in labels.file_name[_used(labels)].tolist()]
