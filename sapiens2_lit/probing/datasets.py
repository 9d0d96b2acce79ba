"""Read the samples of a probing run: a folder of labeled pictures, people of COCO files, or synthetic people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.data.datasets.synthetic import SyntheticDataset
from sapiens2_lit.data.labels.base import LabelSource, stem_of
from sapiens2_lit.data.labels.warp import read_rasters, warp_rasters
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import SettingError
from sapiens2_lit.probing.pose_task import PoseProbe
from sapiens2_lit.probing.settings import SPLITS, ProbeData
from sapiens2_lit.probing.tasks import (
    AlbedoProbe,
    DepthProbe,
    Labels,
    NormalProbe,
    PointmapProbe,
    ProbeTask,
    SegmentationProbe,
)
from sapiens2_lit.transforms.geometric import warp_image
from sapiens2_lit.transforms.whole_image import fit_affine
from sapiens2_lit.vocabularies import Classes, load_classes, load_skeleton

WHOLE, PEOPLE = "whole", "people"
_STARTS = {
    "train": 0,
    "val": 1 << 40,
    "test": 1 << 41,
}  # of synthetic people, as in SyntheticDataModule
SYNTHETIC_IMAGES = {"train": 256, "val": 64, "test": 128}


@dataclass(frozen=True)
class Sample:
    """One picture as the network sees it.

    Attributes:
        image: (3, H, W) uint8.
        name: For messages.
        labels: Of the tasks for which it has labels.
        group: Number of the original picture, which may have several crops.
    """

    image: Tensor
    name: str
    labels: dict[str, Labels]
    group: int


@dataclass(frozen=True)
class SourceView:
    """Pictures of one kind in all splits, before they are read.

    Attributes:
        datasets: By split.
        files: By split, the image files; empty for synthetic people.
        counts: By task and split, the number of pictures with a label.
    """

    datasets: dict[str, Dataset[Sample]]
    files: dict[str, list[Path]]
    counts: dict[str, dict[str, int]]


def build_task(name: str, data: ProbeData) -> ProbeTask:
    """Return the task of this name for the data's vocabularies and sizes."""
    if name == "pose":
        return PoseProbe(len(load_skeleton(data.skeleton).keypoints), data.image_size, 2 * data.label_stride)
    if name == "segmentation":
        return SegmentationProbe(load_classes(data.classes).num_classes)
    kinds: dict[str, Callable[[], ProbeTask]] = {
        "normal": NormalProbe,
        "albedo": AlbedoProbe,
        "depth": DepthProbe,
        "pointmap": PointmapProbe,
    }
    return kinds[name]()


class Synthetic(Dataset[Sample]):
    """Synthetic people with the labels of all tasks.

    Args:
        data: The settings.
        split: `train`, `val` or `test`.
        tasks: By name.
        classes: Vocabulary that the classes are mapped to.
    """

    def __init__(self, data: ProbeData, split: str, tasks: Mapping[str, ProbeTask], classes: Classes) -> None:
        self.inner = SyntheticDataset(
            data.most(split) or SYNTHETIC_IMAGES[split],
            data.image_size,
            load_skeleton(data.skeleton),
            tuple({key for task in tasks.values() for key in task.keys} - {"intrinsics"}),
            seed=data.seed,
            start=_STARTS[split],
        )
        self.tasks = dict(tasks)
        self.stride = data.label_stride
        self.lookup = torch.from_numpy(classes.lookup().astype(np.int64))

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Sample:
        sample: dict[str, Any] = self.inner[index]
        if "segmentation" in sample:
            sample["segmentation"] = self.lookup[sample["segmentation"]]
        labels = {name: task.labels(sample, self.stride) for name, task in self.tasks.items()}
        return Sample(sample["image"], str(sample["sample"]), labels, index)


class Folder(Dataset[Sample]):
    """Whole images of a folder, letterboxed, each with its labels.

    Args:
        folder: Of the images.
        names: Of the images, below it.
        sources: Label sources of each task.
        labeled: Stems with labels of each task.
        tasks: By name.
        data: The settings.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        sources: Mapping[str, Sequence[LabelSource]],
        labeled: Mapping[str, frozenset[str]],
        tasks: Mapping[str, ProbeTask],
        data: ProbeData,
    ) -> None:
        self.folder = folder
        self.names = list(names)
        self.sources = {name: list(one) for name, one in sources.items()}
        self.labeled = dict(labeled)
        self.tasks = dict(tasks)
        self.size = data.image_size
        self.stride = data.label_stride

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        path = self.folder / self.names[index]
        stem = stem_of(self.names[index])
        image = read_image(path)
        size = (image.shape[0], image.shape[1])
        affine = fit_affine(size, self.size, view="letterbox")
        pixels = np.ascontiguousarray(warp_image(image, affine, self.size).transpose(2, 0, 1))
        found = {}
        for name, sources in self.sources.items():
            if stem in self.labeled[name]:
                warped = warp_rasters(sources, read_rasters(sources, path, stem, size), affine, self.size)
                found[name] = self.tasks[name].labels(warped, self.stride)
        return Sample(torch.from_numpy(pixels), str(path), found, index)


class People(Dataset[Sample]):
    """People of a COCO file, one crop per sample.

    Args:
        inner: Returns samples with the keys of a batch.
        rows: Indices of the samples to use.
        task: Of the keypoints.
        stride: Of labels.
    """

    def __init__(self, inner: Any, rows: Sequence[int], task: ProbeTask, stride: int) -> None:
        self.inner = inner
        self.rows = list(rows)
        self.task = task
        self.stride = stride

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        sample = self.inner[self.rows[index]]
        labels = {self.task.name: self.task.labels(sample, self.stride)}
        return Sample(sample["image"], str(sample["sample"]), labels, int(sample["image_id"]))


def synthetic_view(data: ProbeData, tasks: Mapping[str, ProbeTask]) -> SourceView:
    """Return synthetic people, with the labels of every task in every picture.

    Raises:
        SettingError: The vocabulary of classes does not tell what the classes of body29 become.
    """
    from sapiens2_lit.data.datasets.synthetic import find_source

    find_source(load_skeleton(data.skeleton))
    classes = load_classes(data.classes)
    if data.classes != "body29" and len(classes.lookup()) < load_classes("body29").num_classes:
        raise SettingError(f"data.classes: {data.classes} does not say what the classes of body29 become")
    datasets: dict[str, Dataset[Sample]] = {split: Synthetic(data, split, tasks, classes) for split in SPLITS}
    sizes = {split: data.most(split) or SYNTHETIC_IMAGES[split] for split in SPLITS}
    return SourceView(datasets, {}, {name: dict(sizes) for name in tasks})
