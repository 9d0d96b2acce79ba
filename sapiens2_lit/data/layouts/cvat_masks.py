"""CVAT's Segmentation mask 1.1: JPEGImages, SegmentationClass, ImageSets/Segmentation/*.txt and labelmap.txt.

Page: https://docs.cvat.ai/docs/dataset_management/formats/format-smask. It is the layout of Pascal VOC.
"""

from pathlib import Path, PurePosixPath

from sapiens2_lit.data.layouts.layout import SPLIT_WORDS, Kind, Layout, Part, Tool, visible
from sapiens2_lit.data.readers.images import IMAGE_SUFFIXES
from sapiens2_lit.errors import DataError

IMAGES, MASKS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


def find(root: Path, kind: Kind) -> list[Layout]:
    """Return the dataset of a folder; its splits are the lists of names, else all its masks are one split.

    Raises:
        DataError: the pictures were not exported.
    """
    if kind != "masks" or not (root / MASKS).is_dir():
        return []
    parts = {}
    for path in visible(root / LISTS):
        split = SPLIT_WORDS.get(path.stem.lower(), None if path.stem.lower() == "trainval" else "train")
        if path.suffix == ".txt" and split and split not in parts:
            parts[split] = _part(root, path, _names(path))
    if not parts:
        names = [
            path.relative_to(root / MASKS).with_suffix("").as_posix()
            for path in (root / MASKS).rglob("*.png")
        ]
        parts["train"] = _part(root, root / MASKS, sorted(names))
    return [Layout(f"CVAT Segmentation mask ({MASKS})", parts, f"--data.train {parts['train'].path.relative_to(root)}"
                   if "train" in parts else "")]  # fmt: skip


def open_file(path: Path, kind: Kind) -> Layout | None:
    """Return the dataset of a list of names, or of the folder of masks, given by name."""
    if path.is_dir() and path.name == MASKS:
        found = find(path.parent, kind)
        return found[0] if found else None
    if path.suffix == ".txt" and path.is_file() and path.parent.as_posix().endswith(LISTS):
        return Layout(
            f"CVAT Segmentation mask ({path.name})", {"train": _part(path.parents[2], path, _names(path))}
        )
    return None


def _names(path: Path) -> list[str]:
    """Return the names in a list, without suffix."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _part(root: Path, path: Path, names: list[str]) -> Part:
    folder = next((root / name for name in (IMAGES, "images", "Images") if (root / name).is_dir()), None)
    if folder is None:
        raise DataError(
            f"{root}: {MASKS} exists, but not {IMAGES}: export with `Save images`, or put the pictures into "
            f"{root / IMAGES}."
        )
    stems = [PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
             else name for name in names]  # fmt: skip
    return Part(path, folder, masks=root / MASKS, stems=tuple(stems))


TOOL = Tool(
    "cvat-masks",
    "CVAT Segmentation mask",
    "https://docs.cvat.ai/docs/dataset_management/formats/format-smask",
    "SegmentationClass/*.png and JPEGImages/",
    find,
    open_file,
)
