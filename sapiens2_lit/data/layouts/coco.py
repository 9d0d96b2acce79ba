"""COCO files in the layouts of COCO, Roboflow, CVAT, Label Studio and Supervisely.

Pages: https://cocodataset.org/#format-data, https://roboflow.com/formats/coco-keypoint,
https://docs.cvat.ai/docs/dataset_management/formats/format-coco-keypoints, https://labelstud.io/guide/export,
https://raw.githubusercontent.com/supervisely-ecosystem/import-wizard-docs/master/converter_docs/images/coco.md.
Images are found beside the files by `coco.image_folder`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from sapiens2_lit.data.layouts.layout import SPLIT_WORDS, Kind, Layout, Part, Tool, read_head, visible
from sapiens2_lit.data.shards.files import mapped

_ROBOFLOW = "_annotations.coco.json"
_SPLIT = re.compile(
    rf"(?:(?P<before>.*?)[_.-])?(?P<split>{'|'.join(SPLIT_WORDS)})(?P<year>20\d\d)?(?:[_.-](?P<after>.*))?",
    re.IGNORECASE,
)
_WANTED = {"pose": b'"keypoints"', "masks": b'"segmentation"'}
_MOST_FOLDERS = 200  # folders in a folder that are searched for datasets


def find(root: Path, kind: Kind) -> list[Layout]:
    """Return the COCO datasets in a folder.

    These are Roboflow's, those of `annotations`, of the folder itself, or of folders in it.
    """
    if roboflow := _roboflow(root, kind):
        return [roboflow]
    if found := _groups(root, (*visible(root / "annotations"), *visible(root)), kind):
        return found
    below = [path for path in visible(root) if path.is_dir()][:_MOST_FOLDERS]
    by_split: dict[str, Part] = {}
    datasets = []
    for folder in below:
        layouts = _groups(root, (*visible(folder / "annotations"), *visible(folder)), kind)
        split = SPLIT_WORDS.get(folder.name.lower())
        if split and len(layouts) == 1 and split not in by_split:
            by_split[split] = next(iter(layouts[0].parts.values()))
        else:
            datasets += layouts
    if by_split:
        datasets.insert(0, _layout(root, by_split))
    return datasets


def open_file(path: Path, kind: Kind) -> Layout | None:
    """Return a JSON file given by name as the only split."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    head = read_head(path)
    if b'"shapes"' in head and b'"images"' not in head:  # a file of LabelMe
        return None
    return Layout("COCO", {"train": Part(path)})


def is_coco(path: Path, kind: Kind | None = None) -> bool:
    """Whether a file has the lists of COCO, and labels of a kind; large files are not parsed for that."""
    if path.suffix.lower() != ".json" or not path.is_file() or not path.stat().st_size:
        return False
    wanted = [b'"images"', b'"annotations"', b'"categories"'] + ([_WANTED[kind]] if kind else [])
    with mapped(path) as data:
        return all(data.find(word) >= 0 for word in wanted)


def _roboflow(root: Path, kind: Kind) -> Layout | None:
    parts: dict[str, Part] = {}
    for word, split in SPLIT_WORDS.items():
        path = root / word / _ROBOFLOW
        if split not in parts and is_coco(path, kind):
            parts[split] = Part(path, path.parent)
    return _layout(root, parts) if parts else None


def _groups(root: Path, files: Iterable[Path], kind: Kind) -> list[Layout]:
    """Group files whose names differ only in the split, such as person_keypoints_train2017.json, ..._val2017.json."""
    groups: dict[tuple[str, str, str], dict[str, Part]] = {}
    for path in files:
        if not is_coco(path, kind):
            continue
        match = _SPLIT.fullmatch(path.stem)
        if match is None:
            groups[str(path.parent), path.stem, ""] = {"train": Part(path)}
            continue
        key = str(path.parent), match["before"] or "", match["after"] or ""
        groups.setdefault(key, {}).setdefault(SPLIT_WORDS[match["split"].lower()], Part(path))
    if kind == "masks":  # in COCO itself: keypoint files also have the outlines of people
        instances = {key: parts for key, parts in groups.items() if key[1].startswith("instances")}
        groups = instances or groups
    return [_layout(root, parts) for parts in groups.values()]


def _layout(root: Path, parts: dict[str, Part]) -> Layout:
    names = {split: part.path.relative_to(root).as_posix() for split, part in parts.items()}
    choose = " ".join(f"--data.{split} {name}" for split, name in names.items())
    return Layout(f"COCO ({', '.join(dict.fromkeys(names.values()))})", parts, choose)


TOOL = Tool(
    "coco",
    "COCO",
    "https://cocodataset.org/#format-data",
    "annotations/*.json, *.json, or train/_annotations.coco.json",
    find,
    open_file,
)
