"""Boxes of people in images without labels, from a JSON file."""

from pathlib import Path
from typing import Any

from sapiens2_lit.data.files import Problems, read_json
from sapiens2_lit.transforms.views import Region

PADDING = 1.25  # the same as for the crops of pose: boxes leave out hair and fingertips


def read_boxes(path: Path) -> dict[str, list[Region]]:
    """Return boxes by the file name of their image, enlarged by a quarter.

    Args:
        path: COCO annotations (`images` with id and file_name, `annotations` with image_id and bbox), or an object of
            lists, `{"FILE": [[x, y, width, height], ...], ...}`.

    Raises:
        DataError: the file is wrong; the message lists all problems.
    """
    content, problems = read_json(path), Problems(path)
    if not isinstance(content, dict):
        problems.add("file", f"found a JSON {type(content).__name__}, expected an object")
        problems.raise_if_any()
    boxes: dict[str, list[Region]] = {}
    for where, name, box in entries(content, problems):
        numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(one, int | float) for one in box)
        if not numbers or box[2] <= 0 or box[3] <= 0:
            problems.add(where, f"bbox is {box!r:.60}, expected [x, y, width, height], both above 0")
        else:
            boxes.setdefault(name, []).append(padded(box))
    problems.raise_if_any()
    return boxes


def entries(content: dict[str, Any], problems: Problems) -> list[tuple[str, str, Any]]:
    """Return for each box its place in the file, the file name of its image, and the box."""
    if "annotations" not in content:
        return [
            (f"{name}, box {index}", name, box)
            for name, own in content.items()
            for index, box in enumerate(own if isinstance(own, list) else [own])
        ]
    names = {one.get("id"): str(one.get("file_name")) for one in content.get("images", [])}
    found = []
    for index, one in enumerate(content["annotations"]):
        if one.get("image_id") in names:
            found.append((f"annotation {one.get('id', index)}", names[one["image_id"]], one.get("bbox")))
        else:
            problems.add(
                f"annotation {one.get('id', index)}", f"image_id {one.get('image_id')} belongs to no image"
            )
    return found


def padded(box: list[float]) -> Region:
    """Return a box x, y, width, height with both sides enlarged by `PADDING` around its middle."""
    x, y, width, height = map(float, box)
    more = (PADDING - 1) / 2
    return x - more * width, y - more * height, PADDING * width, PADDING * height
