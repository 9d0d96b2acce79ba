"""Pseudo-labels beside true labels in a MultitaskDataModule: true labels win, and held-out pictures are found."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from sapiens2_lit.data.checks.pool import Pool
from sapiens2_lit.data.pseudo.merge import held_out_pairs, labels_of, pictures_of
from sapiens2_lit.data.pseudo.origin import read_origin
from sapiens2_lit.data.pseudo.samples import find_same, read_samples
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.dense import DenseDataModule

Datasets = Mapping[str, ImageDataModule]

_log = logging.getLogger(__name__)


def pseudo_root(data: ImageDataModule) -> Path | None:
    """Return the folder of a dataset whose labels a model predicted; None for other datasets."""
    root = getattr(data, "root", None)
    return root if isinstance(root, Path) and root.is_dir() and read_origin(root) is not None else None


def true_labels_first(names: Iterable[str], datasets: Datasets) -> list[str]:
    """Return the names in their order, but datasets of pseudo-labels last."""
    return sorted(names, key=lambda name: pseudo_root(datasets[name]) is not None)


def leave_out_labelled(name: str, datasets: Datasets) -> None:
    """Leave out the pictures of a pseudo-labeled dataset that have true labels in a dataset already set up.

    Args:
        name: name of the dataset; one without pseudo-labels is left as it is.
        datasets: all datasets by name.

    Raises:
        DataError: a list of labeled pictures cannot be read.
    """
    data = datasets[name]
    if (root := pseudo_root(data)) is None:
        return
    samples, keys = read_samples(root), label_keys(data)
    found: set[str] = set()
    for other, true in _true(datasets).items():
        train = true.datasets.get("train")
        if train is None or not keys & labels_of(train):
            continue
        same = find_same(samples, pictures_of(train))
        if same:
            _log.info(
                "data.datasets.%s: %d of %d pictures are left out: %s has true labels of them.",
                name, len(same), len(samples), other,
            )  # fmt: skip
        found |= same.keys()
    data.labelled_elsewhere = frozenset(found)


def pools(datasets: Datasets) -> list[Pool]:
    """Return, for each training dataset of pseudo-labels, its pictures that other datasets validate or test on."""
    found = []
    for name, data in datasets.items():
        if (root := pseudo_root(data)) is None or "train" not in data.datasets:
            continue
        samples = {
            sample.name: sample for sample in read_samples(root) if sample.name not in data.labelled_elsewhere
        }
        held_out = {
            f"data.datasets.{other} {split}": held_out_pairs(root, samples, pictures_of(true.datasets[split]))
            for other, true in _true(datasets).items()
            for split in ("val", "test")
            if split in true.datasets
        }
        found.append(Pool(f"data.datasets.{name}, train", len(samples), held_out))
    return found


def label_keys(data: ImageDataModule) -> set[str]:
    """Return the keys of the labels that a dataset will have in its batches."""
    if isinstance(data, DenseDataModule):
        return {label.key for label in data.find_labels()}
    return {"keypoints"}


def _true(datasets: Datasets) -> dict[str, ImageDataModule]:
    return {name: data for name, data in datasets.items() if pseudo_root(data) is None}
