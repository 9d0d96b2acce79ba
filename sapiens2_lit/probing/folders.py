"""Find the labels in a folder, and its pictures in splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from sapiens2_lit.data.files import find_folder, find_root
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder, stem_of
from sapiens2_lit.data.labels.camera import find_cameras
from sapiens2_lit.data.labels.color import AlbedoFolder
from sapiens2_lit.data.labels.depth import DepthFolder, PointmapFolder, UnprojectedFolder
from sapiens2_lit.data.labels.field import ValidFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.splits import SPLIT_FILES, images_by_stem, split_stems
from sapiens2_lit.errors import SettingError
from sapiens2_lit.probing.datasets import Folder, People, Sample, SourceView
from sapiens2_lit.probing.groups import expect_apart, expect_other_files, group_among
from sapiens2_lit.probing.settings import SPLITS, TASKS, ProbeData
from sapiens2_lit.probing.splits import complete_splits, split_sources
from sapiens2_lit.probing.tasks import ProbeTask
from sapiens2_lit.vocabularies import load_classes

PLACES = {  # folders or files of which a task needs at least one, then those that it also needs
    "pose": (("annotations/train.json",), ()),
    "segmentation": (("masks",), ()),
    "pointmap": (("pointmaps", "depths"), ("cameras",)),
    "normal": (("normals",), ()),
    "albedo": (("albedos",), ()),
    "depth": (("depths",), ()),
}


def labeled_tasks(root: Path) -> list[str]:
    """Return the tasks with labels in a folder, in the order of the table."""
    found = []
    for task in TASKS:
        any_of, besides = PLACES[task]
        if any((root / one).exists() for one in any_of) and all((root / one).exists() for one in besides):
            found.append(task)
    return found


def choose_tasks(data: ProbeData, wanted: tuple[str, ...] | None) -> list[str]:
    """Return the tasks to probe.

    Raises:
        SettingError: The data have no labels of a wanted task, or of no task at all.
    """
    if data.root is None:
        return list(TASKS if wanted is None else wanted)
    root = find_root(open_root(data.root))
    found = labeled_tasks(root)
    for task in wanted or ():
        if task not in found:
            raise SettingError(
                f"tasks: {task} is wanted, but {root} has no labels of it: expected {expected(task)}; it has labels "
                f"of {', '.join(found) or 'no task'}"
            )
    if not found:
        each = "; ".join(f"{task}: {expected(task)}" for task in TASKS)
        raise SettingError(
            f"data.root: {root} has labels of no task; expected some of: {each}. `sapiens2-lit convert` makes one "
            "from the files of a labeling tool (docs/labels.md)."
        )
    return list(wanted or found)


def expected(task: str) -> str:
    """Return the files and folders that hold a task's labels."""
    any_of, besides = PLACES[task]
    return " and ".join([" or ".join(any_of), *besides])


def label_sources(root: Path, task: str, data: ProbeData) -> list[LabelSource]:
    """Return the labels of a dense task in a folder.

    Args:
        root: The folder.
        task: Its name.
        data: The settings.
    """
    valids = ValidFolder(root / "valids") if (root / "valids").exists() else None
    cameras = find_cameras(root, "cameras", None) if (root / "cameras").exists() else None
    beside: list[LabelSource] = [] if cameras is None else [cameras]
    if task == "segmentation":
        return [MaskFolder(root / "masks", load_classes(data.classes))]
    if task == "normal":
        return [NormalFolder(root / "normals", "opencv", valids), *beside]
    if task == "albedo":
        return [AlbedoFolder(root / "albedos", valids)]
    if task == "depth":
        return [DepthFolder(root / "depths", None, valids=valids), *beside]
    assert cameras is not None, "choose_tasks looked for it"
    if (root / "pointmaps").exists():
        return [PointmapFolder(root / "pointmaps", cameras, "opencv", None, valids), cameras]
    return [UnprojectedFolder(root / "depths", None, valids=valids), cameras]


def folder_view(data: ProbeData, tasks: Mapping[str, ProbeTask]) -> SourceView:
    """Return whole images that have a label of one of the tasks.

    Raises:
        SettingError, DataError: A split is missing or shares pictures, subjects or videos with another.
    """
    assert data.root is not None
    root = find_root(open_root(data.root))
    folder = find_folder(root / "images", "data.images")
    found = images_by_stem(folder)
    group = group_among(data.group, found)
    sources = {name: label_sources(root, name, data) for name in tasks}
    given = [split for split in SPLITS if (root / SPLIT_FILES[split]).is_file()]
    listed = given if "train" in given else SPLITS  # split by hash if there are no files
    stems = {split: split_stems(root, found, SPLIT_FILES, split, group) for split in listed}
    stems = complete_splits(stems, group, str(root))
    known = sorted({stem for names in stems.values() for stem in names})
    labeled = {
        name: frozenset(known) - {stem for source in one for stem in source.unlabeled(known)}
        for name, one in sources.items()
    }
    useful = {stem for one in labeled.values() for stem in one}
    stems = {
        split: few([stem for stem in names if stem in useful], data.most(split))
        for split, names in stems.items()
    }
    expect_apart(str(root), stems, group)
    files = {split: [folder / found[stem] for stem in names] for split, names in stems.items()}
    expect_other_files(str(root), files)
    datasets: dict[str, Dataset[Sample]] = {
        split: Folder(folder, [found[stem] for stem in names], sources, labeled, tasks, data)
        for split, names in stems.items()
    }
    counts = {
        name: {split: sum(stem in one for stem in stems[split]) for split in SPLITS}
        for name, one in labeled.items()
    }
    return SourceView(datasets, files, counts)


def people_view(data: ProbeData, task: ProbeTask) -> SourceView:
    """Return people of `annotations/{train,val,test}.json`, of which only train is required.

    Raises:
        SettingError, DataError: A file is missing, or shares pictures, subjects or videos with another.
    """
    from sapiens2_lit.datamodules import PoseDataModule  # imports Lightning, which other tasks do not need

    assert data.root is not None
    root = open_root(data.root)
    places = {split: f"annotations/{split}.json" for split in SPLITS}
    given = [split for split in SPLITS if (root / places[split]).is_file()]
    val = places["val"] if "val" in given else None
    module = PoseDataModule(data.root, data.skeleton, data.image_size, val=val, augment=None, num_workers=0)
    for stage in ("fit", "test") if "test" in given else ("fit",):
        module.setup(stage)
    known = {
        split: [person_picture(inner, row)[1] for row in range(len(inner))]
        for split, inner in module.datasets.items()
    }
    group = group_among(data.group, (stem for one in known.values() for stem in one))
    chosen = complete_splits({split: dict.fromkeys(one) for split, one in known.items()}, group, str(root))
    sources = split_sources(known)
    datasets: dict[str, Dataset[Sample]] = {}
    files: dict[str, list[Path]] = {}
    stems: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for split in SPLITS:
        inner, own = module.datasets[sources[split]], set(chosen[split])
        rows = few([row for row, stem in enumerate(known[sources[split]]) if stem in own], data.most(split))
        pictures = dict(person_picture(inner, row) for row in rows)
        datasets[split] = People(inner, rows, task, data.label_stride)
        files[split], stems[split] = list(pictures), list(pictures.values())
        counts[split] = len(pictures)
    expect_apart(str(data.root), stems, group)
    expect_other_files(str(data.root), files)
    return SourceView(datasets, files, {task.name: counts})


def person_picture(inner: Any, row: int) -> tuple[Path, str]:
    """Return the image of a person of a PoseDataset, and its stem below the folder of images."""
    source = int(np.searchsorted(inner.ends, row, side="right"))
    people = inner.sources[source]
    row = row - int(inner.ends[source]) + len(people)
    return people.path(row), stem_of(str(people.file_name[people.image[row]]))


def few(items: list[Any], most: int | None) -> list[Any]:
    """Return at most `most` items, evenly spaced."""
    if most is None or len(items) <= most:
        return items
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, most)]
