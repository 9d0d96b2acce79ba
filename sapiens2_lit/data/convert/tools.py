"""Convert the folders of labeling tools that training can also read as they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sapiens2_lit.data.coco.image_folder import find_images_of
from sapiens2_lit.data.coco.image_names import with_local_names
from sapiens2_lit.data.convert.dataset import Converted, Maps, People
from sapiens2_lit.data.layouts.cvat_masks import MASKS
from sapiens2_lit.data.layouts.layout import Coco, Kind, Layout, Part, Tool
from sapiens2_lit.data.layouts.people import read_labels
from sapiens2_lit.data.layouts.pictures import read_pictures
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Classes, load_classes, make_classes
from sapiens2_lit.vocabularies.tool_classes import with_background

_KINDS: tuple[Kind, Kind] = ("pose", "masks")


def read_tool(source: Path, tool: Tool) -> Converted:
    """Read a dataset of a tool from a folder, or from the file that names it.

    Raises:
        DataError: there is no dataset of the tool, or there are several.
    """
    found = Converted()
    for kind in _KINDS:
        layout = _layout(source, tool, kind)
        if layout is None:
            continue
        root = source if source.is_dir() else source.parent
        if kind == "pose":
            _read_people(found, root, layout)
        else:
            _read_maps(found, root, layout)
    if not found.people and not found.maps:
        raise DataError(
            f"{source}: there is no dataset of {tool.title} in it, expected {tool.expects} ({tool.page})."
        )
    return found


def _layout(source: Path, tool: Tool, kind: Kind) -> Layout | None:
    if source.is_file():
        return tool.open(source, kind)
    layouts = tool.find(source, kind)
    if len(layouts) > 1:
        names = ", ".join(layout.title for layout in layouts)
        raise DataError(
            f"{source}: {len(layouts)} datasets may be meant ({names}): give one of the files as SRC."
        )
    return layouts[0] if layouts else None


def _read_people(found: Converted, root: Path, layout: Layout) -> None:
    for split, part in layout.parts.items():
        data = read_labels(part)
        if not any(any(one.get("keypoints") or []) for one in data["annotations"]):
            continue
        folder = part.folder or find_images_of(part.path, root, "images", "SRC")
        images, _ = with_local_names(data["images"], folder)
        names = {one["id"]: _name(one["file_name"]) for one in images}
        pictures = {names[one["id"]]: folder / one["file_name"] for one in images}
        renamed = [{**one, "file_name": names[one["id"]]} for one in images]
        named = _named(data)
        found.people[split] = People({**named, "images": renamed}, pictures)
        found.swaps = found.swaps or _swaps(named)


def _named(data: Coco) -> Coco:
    """Return the lists with a name for each point."""
    lengths = [len(one["keypoints"]) // 3 for one in data["annotations"] if one.get("keypoints")]
    names = [f"point_{number}" for number in range(1, max(lengths, default=0) + 1)]
    categories = [
        {**one, "keypoints": names} if one.get("keypoints") == [] else one for one in data["categories"]
    ]
    return {**data, "categories": categories}


def _swaps(data: Coco) -> list[list[str]]:
    """Return the mirror pairs that a data.yaml of YOLO gives."""
    for one in data["categories"]:
        if flip := one.get("flip_idx"):
            pairs = [(first, second) for first, second in enumerate(flip) if first < second]
            return [[one["keypoints"][first], one["keypoints"][second]] for first, second in pairs]
    return []


def _name(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("..", ""))


def _read_maps(found: Converted, root: Path, layout: Layout) -> None:
    classes = _classes(root, list(layout.parts.values()))
    if classes is None:
        return
    found.classes = classes
    for split, part in layout.parts.items():
        pictures = read_pictures(part, root, "images", classes, skip_bad=False)
        found.maps[split] = Maps(pictures.folder, pictures.names, pictures.labels[0])


def _classes(root: Path, parts: Sequence[Part]) -> Classes | None:
    """Return the vocabulary of all splits; None if no annotation has an outline."""
    names: dict[str, None] = {}
    outlines = False
    for part in parts:
        if part.masks is not None:
            return load_classes(_labelmap(part.masks))
        data: dict[str, list[Any]] = read_labels(part)
        outlines |= any(one.get("segmentation") for one in data["annotations"])
        names.update(dict.fromkeys(str(one.get("name")) for one in data["categories"]))
    return make_classes(with_background(list(names)), str(root)) if outlines else None


def _labelmap(masks: Path) -> Path:
    path = masks.parent / "labelmap.txt"
    if not path.is_file():
        raise DataError(f"{path} does not exist: expected the classes and colors of {MASKS}.")
    return path
