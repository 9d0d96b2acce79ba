"""Predicted labels beside true ones: for pictures with both, the true labels win."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sapiens2_lit.data.checks.pool import Pool
from sapiens2_lit.data.checks.splits import Splits
from sapiens2_lit.data.coco.annotations import CocoFile
from sapiens2_lit.data.coco.tables import SCORES
from sapiens2_lit.data.datasets.dense import DenseDataset
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.labels.base import stem_of
from sapiens2_lit.data.layouts.people import Choose
from sapiens2_lit.data.pseudo.origin import read_origin
from sapiens2_lit.data.pseudo.samples import Sample, find_same, read_samples
from sapiens2_lit.errors import DataError

_NO_LABELS = {"valid", "intrinsics", "confidence", "foreground"}  # keys that only add to another label


def without(stems: list[str], left_out: frozenset[str], root: Path) -> list[str]:
    """Return the stems that are not left out.

    Args:
        stems: of the dataset.
        left_out: stems to leave out.
        root: the dataset's folder, for messages.

    Raises:
        DataError: no stem remains.
    """
    kept = [stem for stem in stems if stem not in left_out]
    if stems and not kept:
        raise DataError(
            f"{root}: other datasets have true labels for all of its {len(stems)} pictures: leave it out."
        )
    return kept


def but_for(left_out: frozenset[str], choose: Choose | None) -> Choose:
    """Return a function that keeps the images of a COCO file that `choose` keeps, except the left-out stems."""

    def chosen(images: list[Any]) -> list[bool]:
        kept = [True] * len(images) if choose is None else choose(images)
        return [
            keep and stem_of(str(image.get("file_name") if isinstance(image, dict) else "")) not in left_out
            for keep, image in zip(kept, images, strict=True)
        ]

    return chosen


def expect_scores(file: CocoFile) -> None:
    """Check that people of a file have scores of keypoints, which `data.confidence` needs.

    Raises:
        DataError: no person has scores.
    """
    if file.everyone.point_scores is None:
        raise DataError(
            f"{file.path}: data.confidence is set, but no annotation has `{SCORES}`, which `sapiens2-lit predict "
            "--as_dataset` writes: leave data.confidence out for labels that no model predicted."
        )


def pools_in(root: Path | None, subjects: Iterable[Any]) -> list[Pool]:
    """Return the training pictures of a folder of predicted labels that are held out elsewhere.

    Args:
        root: the dataset's folder.
        subjects: the subjects that checks examine in it, the splits among them.
    """
    splits = [subject for subject in subjects if isinstance(subject, Splits) and "train" in subject.files]
    if root is None or not splits or read_origin(root) is None:
        return []
    pool = {root / "images" / sample.image: sample for sample in read_samples(root)}
    found = []
    for subject in splits:
        train = {pool[path].name: pool[path] for path in subject.files["train"] if path in pool}
        held_out = {
            split: held_out_pairs(root, train, [path for path in files if path not in pool])
            for split, files in subject.files.items()
            if split != "train"
        }
        found.append(Pool("train", len(train), held_out))
    return found


def held_out_pairs(root: Path, samples: Mapping[str, Sample], files: list[Path]) -> list[tuple[Path, Path]]:
    """Return the samples whose picture is one of the files, byte for byte, as pairs of picture and file.

    Args:
        root: folder of the samples.
        samples: by name.
        files: held-out files.
    """
    same = find_same(samples.values(), files)
    return [(root / "images" / samples[name].image, path) for name, path in sorted(same.items())]


def pictures_of(dataset: Any) -> list[Path]:
    """Return the files of a split's pictures, for datasets that have files."""
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
    """Return the keys of a split's labels, for datasets that have files."""
    if isinstance(dataset, DenseDataset):
        return _keys(dataset.label_sources)
    if isinstance(dataset, PoseDataset):
        return {"keypoints"}.union(*(_keys(labels) for labels in dataset.label_sources))
    return set()


def _keys(labels: Iterable[Any]) -> set[str]:
    return {label.key for label in labels} - _NO_LABELS
