"""Class maps painted from the outlines that tools write: polygons, and masks in run lengths."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval.core import mask as coco_mask

from sapiens2_lit.data.files import Problems
from sapiens2_lit.data.labels.base import MaskFolder, stem_of
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import IGNORED, Classes

Size = tuple[int, int]


class ShapeMasks(MaskFolder):
    """The class maps of the pictures of one file of outlines; later outlines cover earlier ones.

    Pixels outside all outlines have the background class, or are ignored if there is none.

    Args:
        path: the file, for messages.
        data: its COCO lists; `segmentation` of an annotation is polygons or run lengths. Annotations with `painted` are
            painted in that order; of the others the larger ones are painted first.
        classes: the vocabulary; categories are found in it by name.

    Raises:
        DataError: there are categories without a class; it names the nearest classes.
    """

    def __init__(self, path: Path, data: Mapping[str, Sequence[Any]], classes: Classes) -> None:
        self.file = path
        self.folder = path.parent
        self.classes = classes
        self._swap = classes.swap_table()
        of_category = _classes_of(path, data["categories"], data["annotations"], classes)
        stems = {image["id"]: stem_of(image["file_name"]) for image in data["images"]}
        self._sizes = {
            stem_of(one["file_name"]): (one.get("height"), one.get("width")) for one in data["images"]
        }
        self._shapes: dict[str, list[tuple[int, Any]]] = {stem: [] for stem in stems.values()}
        ordered = sorted(data["annotations"], key=lambda one: 0.0 if one.get("painted") else -_area(one))
        for one in ordered:
            if one.get("image_id") in stems and one.get("segmentation"):
                index = of_category[one["category_id"]]
                self._shapes[stems[one["image_id"]]].append((index, one["segmentation"]))

    def path(self, stem: str) -> Path:
        return self.file

    def check(self, stems: Iterable[str]) -> None:
        """Check that the file names every picture; a picture may have no outlines.

        Raises:
            DataError: it names the pictures that are not in the file.
        """
        self._problems(stems).raise_if_any()

    def unlabeled(self, stems: Iterable[str]) -> dict[str, str]:
        return dict(self._problems(stems).entries)

    def without_image(self, stems: Iterable[str]) -> list[str]:
        return []

    def _problems(self, stems: Iterable[str]) -> Problems:
        problems = Problems(self.file)
        for stem in sorted(set(stems) - self._shapes.keys()):
            problems.add(stem, "the file names no such picture")
        return problems

    def read(self, image: Path, stem: str, size: Size) -> npt.NDArray[np.uint8]:
        """Return the class indices (h, w) uint8, IGNORED for ignored pixels."""
        height, width = self._sizes[stem]
        if height and width and (height, width) != size:
            raise DataError(
                f"{self.file}: {stem} is declared as {width} x {height}, its image {image} is {size[1]} x {size[0]} "
                "(width x height): use the image that was labeled."
            )
        return self._paint(stem, size)

    def indices(self, stem: str) -> None:
        """Return None: outlines have no values."""

    def count(self, stem: str) -> npt.NDArray[np.int64]:
        """Return the number of pixels of each class (C,) in a stem's map, in its declared size."""
        height, width = self._sizes[stem]
        found = self._paint(stem, (height or 1, width or 1))
        return np.bincount(found.ravel(), minlength=256)[: self.classes.num_classes].astype(np.int64)

    def _paint(self, stem: str, size: Size) -> npt.NDArray[np.uint8]:
        nothing = IGNORED if self.classes.background is None else self.classes.background
        found = np.full(size, nothing, dtype=np.uint8)
        for index, shape in self._shapes[stem]:
            try:
                found[_fill(shape, size)] = index
            except (TypeError, ValueError, RuntimeError) as error:
                raise DataError(f"{self.file}: an outline of {stem} cannot be painted: {error}") from error
        return found


def _fill(shape: Any, size: Size) -> npt.NDArray[np.bool_]:
    """Return where an outline is, (h, w)."""
    if isinstance(shape, list):
        polygons = [polygon for polygon in shape if len(polygon) >= 6]
        if not polygons:
            return np.zeros(size, dtype=np.bool_)
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
    elif isinstance(shape.get("counts"), list):
        if tuple(shape["size"]) != size:
            raise ValueError(f"its mask is of {shape['size']}, expected {list(size)} (height, width)")
        runs = coco_mask.frPyObjects(shape, *size)
    else:
        runs = shape
    filled = np.asarray(coco_mask.decode(runs), dtype=np.bool_)
    if filled.shape != size:
        raise ValueError(f"its mask is of {list(filled.shape)}, expected {list(size)} (height, width)")
    return filled


def _area(one: Mapping[str, Any]) -> float:
    """Return the area of an outline, or of its box."""
    if isinstance(one.get("area"), int | float) and one["area"] > 0:
        return float(one["area"])
    box = one.get("bbox") or (0, 0, 0, 0)
    return float(box[2]) * float(box[3])


def _classes_of(
    path: Path, categories: Sequence[Any], annotations: Sequence[Any], classes: Classes
) -> dict[Any, int]:
    """Return the class of each category that occurs.

    Raises:
        DataError: a category has no class; it names the nearest ones.
    """
    used = {one.get("category_id") for one in annotations if one.get("segmentation")}
    names = {one["id"]: str(one.get("name")) for one in categories if one["id"] in used}
    if lost := sorted(used - names.keys(), key=str):
        raise DataError(
            f"{path}: `category_id` {lost[0]!r} is none of `categories` {sorted(names, key=str)}."
        )
    found = {number: classes.find(name) for number, name in names.items()}
    unknown = [names[number] for number, index in found.items() if index is None]
    if unknown:
        shown = ", ".join(f"'{name}' (nearest: '{classes.nearest(name)}')" for name in unknown[:5])
        count = "1 class is" if len(unknown) == 1 else f"{len(unknown)} classes are"
        raise DataError(
            f"{path}: {count} none of {classes.name}: {shown}. For the classes of the file, "
            f"--model.heads.NAME.classes {path}; else name them in a classes file: aliases: {{{unknown[0]}: "
            f"{classes.nearest(unknown[0])}}}, or `ignore` to ignore it."
        )
    return {number: index for number, index in found.items() if index is not None}
