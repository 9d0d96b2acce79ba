"""Labels that a model has predicted beside true ones: of pictures that both label, the true ones win."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.data.coco.annotations import CocoFile
from sapiens2_lit.data.coco.tables import SCORES
from sapiens2_lit.data.datasets.dense import DenseDataset
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.labels.base import stem_of
from sapiens2_lit.data.layouts.people import Choose
from sapiens2_lit.errors import DataError

_NO_LABELS = {"valid", "intrinsics", "confidence", "foreground"}  # keys that say more of another label


def without(stems: list[str], left_out: frozenset[str], root: Path) -> list[str]:
    """The stems that are not left out.

    Raises:
        DataError: none remains.
    """
    kept = [stem for stem in stems if stem not in left_out]
    if stems and not kept:
        raise DataError(
            f"{root}: other datasets have true labels of all of its {len(stems)} pictures: leave it out."
        )
    return kept


def but_for(left_out: frozenset[str], choose: Choose | None) -> Choose:
    """Which images of a COCO file to read: those that `choose` takes, without the stems that are left out."""

    def chosen(images: list[Any]) -> list[bool]:
        kept = [True] * len(images) if choose is None else choose(images)
        return [
            keep and stem_of(str(image.get("file_name") if isinstance(image, dict) else "")) not in left_out
            for keep, image in zip(kept, images, strict=True)
        ]

    return chosen


def expect_scores(file: CocoFile) -> None:
    """Raise DataError where no person of a file has scores of keypoints, which `data.confidence` asks for."""
    if file.everyone.point_scores is None:
        raise DataError(
            f"{file.path}: data.confidence is set, but no annotation has `{SCORES}`, which `sapiens2-lit predict "
            "--as_dataset` writes: leave data.confidence out for labels that no model has predicted."
        )


def pictures_of(dataset: Any) -> list[Path]:
    """The files of a split's pictures, of datasets that have files."""
    if isinstance(dataset, DenseDataset):
        return [dataset.folder / str(name) for name in dataset.names]
    if isinstance(dataset, PoseDataset):
        return [
            people.folder / str(name)
            for people in dataset.sources
            for name in people.file_name[np.unique(people.image)]
        ]
    return []


def labels_of(dataset: Any) -> set[str]:
    """The keys of a split's labels, of datasets that have files."""
    if isinstance(dataset, DenseDataset):
        return _keys(dataset.label_sources)
    if isinstance(dataset, PoseDataset):
        return {"keypoints"}.union(*(_keys(labels) for labels in dataset.label_sources))
    return set()


def _keys(labels: Iterable[Any]) -> set[str]:
    return {label.key for label in labels} - _NO_LABELS
