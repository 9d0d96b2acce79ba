"""Read the pictures and labels of a run once: pixels are mapped from disk, labels stay in memory."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.data.feature_store import mark_of, reserve
from sapiens2_lit.data.loading import default_workers
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.probing.datasets import PEOPLE, WHOLE, Sample, SourceView, synthetic_view
from sapiens2_lit.probing.folders import folder_view, people_view
from sapiens2_lit.probing.groups import expect_other_pixels
from sapiens2_lit.probing.settings import SPLITS, ProbeData
from sapiens2_lit.probing.tasks import Labels, ProbeTask


@dataclass
class TaskLabels:
    """The labels of one task in one split.

    Attributes:
        rows: (N,) rows of the view's pictures with labels.
        labels: (N, ...) each.
        groups: (N,) number of the original picture of each, from 0 without gaps.
    """

    rows: Tensor
    labels: Labels
    groups: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Tensor) -> Labels:
        """Return the labels (M, ...) at some places (M,)."""
        return {name: value[places] for name, value in self.labels.items()}


@dataclass
class View:
    """Pictures of one kind in all splits.

    Attributes:
        images: By split, (N, 3, H, W) uint8, mapped from disk.
        marks: By split, (N,) hashes of the pixels.
        samples: By split, names of the pictures for messages.
        tasks: By task and split.
        fingerprint: A hash of all pixels and labels.
    """

    images: dict[str, Tensor] = field(default_factory=dict)
    marks: dict[str, Tensor] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    tasks: dict[str, dict[str, TaskLabels]] = field(default_factory=dict)
    fingerprint: str = ""


def find_views(data: ProbeData, tasks: Mapping[str, ProbeTask]) -> dict[str, SourceView]:
    """Return the pictures of all tasks by view, checked but not yet read.

    Raises:
        SettingError, DataError: A split is missing or too small, or two share a picture, a subject or a video.
    """
    if data.root is None:
        found = {WHOLE: synthetic_view(data, tasks)}
    else:
        found = {}
        if dense := {name: task for name, task in tasks.items() if name != "pose"}:
            found[WHOLE] = folder_view(data, dense)
        if "pose" in tasks:
            found[PEOPLE] = people_view(data, tasks["pose"])
    for view in found.values():
        for name, counts in view.counts.items():
            expect_enough(name, counts, data.min_test_images)
    return found


def expect_enough(task: str, counts: Mapping[str, int], least: int) -> None:
    """Check that every split has pictures with labels of a task, and the test split enough of them.

    Args:
        task: Its name.
        counts: Pictures by split.
        least: Least number of test pictures.

    Raises:
        DataError: A split has too few.
    """
    for split in ("train", "val"):
        if not counts[split]:
            raise DataError(f"{task}: no picture of the {split} split has labels, expected one or more")
    if counts["test"] < least:
        raise DataError(
            f"{task}: found {counts['test']} test images with labels, expected at least {least} "
            "(data.min_test_images): intervals over fewer images are meaningless"
        )


def read_view(source: SourceView, tasks: Mapping[str, ProbeTask], data: ProbeData, folder: Path) -> View:
    """Read all pictures and labels of a view.

    Args:
        source: Of `find_views`.
        tasks: By name.
        data: The settings.
        folder: For the pixels.

    Raises:
        DataError: A file cannot be read, or two splits have a picture in common.
    """
    view, digest = View(), hashlib.sha256(str(data.image_size).encode())
    for split in SPLITS:
        groups: list[int] = []
        labels: dict[str, list[tuple[int, Labels]]] = {}
        images = map_pixels(folder / f"{split}.uint8", len(source.datasets[split]), data.image_size)  # type: ignore[arg-type]  # has a length
        marks, names = [], []
        for row, sample in enumerate(samples_of(source.datasets[split], data, split)):
            interrupts.check()
            images[row] = sample.image
            marks.append(mark_of(sample.image))
            names.append(sample.name)
            groups.append(sample.group)
            for name, found in sample.labels.items():
                # copied, since a tensor from another process holds an open file
                own = {key: value.clone() for key, value in found.items()}
                labels.setdefault(name, []).append((row, own))
        view.images[split], view.samples[split] = images, names
        view.marks[split] = torch.tensor(marks, dtype=torch.int64)
        digest.update(view.marks[split].numpy().tobytes())
        for name, task in tasks.items():
            if name in source.counts:
                view.tasks.setdefault(name, {})[split] = gather(task, labels.get(name, []), groups, split)
    expect_other_pixels(view.marks, view.samples)
    for by_split in view.tasks.values():
        for one in by_split.values():
            for key in sorted(one.labels):
                digest.update(one.labels[key].contiguous().numpy().tobytes())
    for name, by_split in view.tasks.items():
        counts = {split: len(one.groups.unique()) for split, one in by_split.items()}
        expect_enough(name, counts, data.min_test_images)
    view.fingerprint = digest.hexdigest()
    return view


def samples_of(dataset: Dataset[Sample], data: ProbeData, split: str) -> Any:
    """Return all samples in order, read by several processes, with a progress bar.

    Args:
        dataset: Of the split.
        data: The settings.
        split: Its name.
    """
    workers = default_workers() if data.num_workers is None else data.num_workers
    few = len(dataset) < 64  # type: ignore[arg-type]  # has a length; starting processes takes longer
    loader: DataLoader[Sample] = DataLoader(dataset, batch_size=None, num_workers=0 if few else workers)
    return tqdm(loader, desc=f"read {split}", unit="image", leave=False, disable=None)


def map_pixels(file: Path, count: int, size: tuple[int, int]) -> Tensor:
    """Reserve room on disk for pictures, and return it as (N, 3, H, W) uint8.

    Args:
        file: For the pixels.
        count: N.
        size: (H, W).

    Raises:
        SettingError: The disk is full.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        reserve(file, count * 3 * size[0] * size[1])
    except OSError as error:
        raise SettingError(f"{file}: {error.strerror}: the pictures of the run need room here") from error
    flat = torch.from_file(str(file), shared=True, size=count * 3 * size[0] * size[1], dtype=torch.uint8)
    return flat.view(count, 3, *size)


def gather(task: ProbeTask, found: list[tuple[int, Labels]], groups: list[int], split: str) -> TaskLabels:
    """Return the labels of one task in one split, without pictures whose labels are all ignored.

    Args:
        task: The task.
        found: Row and labels of each picture.
        groups: Original picture of each row.
        split: Its name.

    Raises:
        DataError: All labels are ignored, or there are none.
    """
    if not found:
        raise DataError(f"{task.name}: no picture of the {split} split has labels")
    labels = {key: torch.stack([one[key] for _, one in found]) for key in found[0][1]}
    keep = task.counted(labels)
    if not keep.any():
        raise DataError(f"{task.name}: no label of the {split} split is valid: all are ignored or invalid")
    rows = torch.tensor([row for row, _ in found])[keep]
    numbers = torch.tensor([groups[row] for row, _ in found])[keep]
    numbers = numbers.unique(return_inverse=True)[1]
    return TaskLabels(rows, {key: value[keep] for key, value in labels.items()}, numbers)


def exchange(labels: TaskLabels, seed: int) -> TaskLabels:
    """Return the control: every picture gets the labels of another one, so that only positions can be learned.

    Labels and pictures are then independent, so that no probe can beat one that knows only positions, except by chance.

    Args:
        labels: Of one split.
        seed: Of the exchange.
    """
    count = len(labels)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    others = torch.empty(count, dtype=torch.int64)
    others[order] = order.roll(1)
    return TaskLabels(labels.rows, labels.take(others), labels.groups)
