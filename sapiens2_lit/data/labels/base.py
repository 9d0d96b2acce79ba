"""Dense labels on disk: folders with one file per image, matched by stem, and how an affine warps them.

There is one class per kind of label. A new kind is a subclass with its own `key`, `suffixes`, `read` and `warp`; a
label of numbers (normals, depth) is a `FieldFolder` (field.py).
"""

import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from sapiens2_lit.data.files import Problems, absent_files, find_folder
from sapiens2_lit.data.labels.color_masks import read_colors
from sapiens2_lit.data.shards.files import names_in
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.geometric import Affine, warp_labels
from sapiens2_lit.vocabularies import IGNORED, Classes

_SHOWN_VALUES = 8
_SHOWN_NAMES = 3
_HINTS = 10  # missing labels that are looked up under other suffixes: each look-up goes through the folder


class LabelSource(ABC):
    """The labels of one kind, one for each image.

    Attributes:
        key: key of the label in a batch.
    """

    key: ClassVar[str]

    @abstractmethod
    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Any:
        """Return the label of an upright image of `size` (height, width), in the image's pixels.

        Raises:
            DataError: the file is wrong; the message names it, what was found and what was expected.
        """

    @abstractmethod
    def warp(self, label: Any, affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return the label as the network sees it, (H, W) or (C, H, W).

        Args:
            label: as `read` returns it.
            affine: image pixel -> input pixel.
            size: (height, width) of the input.
        """

    def count_valid(self, label: Any) -> int | None:
        """Return how many pixels of a label from `read` are valid; None if this kind has no invalid pixels."""
        return None

    @abstractmethod
    def check(self, stems: Iterable[str]) -> None:
        """Check that each stem has its label.

        Raises:
            DataError: labels are missing; the message names them.
        """

    def unlabeled(self, stems: Iterable[str]) -> dict[str, str]:
        """Return the stems that are known to have no label, with the reason; `data.on_bad: skip` leaves them out."""
        return {}


class RasterFolder(LabelSource):
    """The labels of one kind in a folder, one file each.

    Attributes:
        suffixes: of its files, the preferred one first.

    Args:
        folder: of the files.
        setting: setting of the folder, for messages.

    Raises:
        DataError: there is no such folder.
    """

    suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path, setting: str) -> None:
        self.folder = find_folder(folder, setting)

    def names(self, stem: str) -> list[str]:
        """Return the names, without suffix, of files that may hold a stem's label, the preferred one first."""
        return [stem]

    def path(self, stem: str) -> Path:
        """Return the file of a stem: the first that exists, else the expected one."""
        places = [self.folder / file for file in self._files(stem)]
        return next((place for place in places if place.is_file()), places[0])

    def check(self, stems: Iterable[str]) -> None:
        """Check that each stem has exactly one file.

        Raises:
            DataError: it names the stems with none or two.
        """
        self._problems(stems).raise_if_any()

    def unlabeled(self, stems: Iterable[str]) -> dict[str, str]:
        return dict(self._problems(stems).entries)

    def _problems(self, stems: Iterable[str]) -> Problems:
        stems = sorted(set(stems))
        names = sorted({name for stem in stems for name in self.names(stem)})
        found: dict[str, list[str]] = {name: [] for name in names}
        for suffix in self.suffixes:
            missing = absent_files(self.folder, [f"{name}{suffix}" for name in names])
            for name in names:
                if f"{name}{suffix}" not in missing:
                    found[name].append(f"{name}{suffix}")
        problems = Problems(self.folder)
        for stem in stems:
            files = next((found[name] for name in self.names(stem) if found[name]), [])
            if not files:
                look = len(problems.found) < _HINTS
                problems.add(
                    stem, f"the image has no `{self.key}` label, expected {self._expected(stem, look)}"
                )
            elif len(files) > 1:
                problems.add(
                    stem,
                    f"the image has the `{self.key}` labels {' and '.join(files)}, expected one: delete the others",
                )
        return problems

    def _expected(self, stem: str, look: bool) -> str:
        """Return what to do about a missing label; `look` tells whether to look for it in another format."""
        wanted = " or ".join(self._files(stem)) + " here"
        place = self.folder / stem
        named = place.parent.glob(f"{escape(place.name)}.*") if look else ()
        others = sorted(entry.name for entry in named if stem_of(entry.name) == place.name)
        if others:
            return f"{wanted}, found {', '.join(others)}: convert or rename it"
        if look and (near := self._named_alike(place)):
            return f"{wanted}, found {', '.join(near)}: rename it, a label has its image's name"
        return f"{wanted}, or splits/*.txt with only the stems that have one"

    def _named_alike(self, place: Path) -> list[str]:
        """Return files whose name contains an image's name: with a prefix, a suffix like _mask, or in another case."""
        if not place.parent.is_dir():
            return []
        alike = re.compile(rf"(^|.*[^a-z0-9]){re.escape(place.name.lower())}([^a-z0-9].*|$)")
        names = sorted(name for name in names_in(place.parent) if not name.startswith("."))
        found = [name for name in names if alike.match(stem_of(name).lower())]
        return found[:_SHOWN_NAMES]

    def without_image(self, stems: Iterable[str]) -> list[str]:
        """Return the stems of files whose image is not among `stems`, sorted."""
        files = (path for path in self.folder.rglob("*") if path.suffix in self.suffixes)
        used = {name for stem in stems for name in self.names(stem)}
        return sorted({stem_of(path.relative_to(self.folder).as_posix()) for path in files} - used)

    def _files(self, stem: str) -> list[str]:
        return [f"{name}{suffix}" for name in self.names(stem) for suffix in self.suffixes]


class MaskFolder(RasterFolder):
    """Class maps: png of one channel, each value a class (or the value that the vocabulary's `remap` gives).

    Palette images are read by index, unless the vocabulary sets `palettes: colors`. Color images are read by the colors
    of the vocabulary.

    Args:
        folder: of the files.
        classes: their vocabulary.
        setting: setting of the folder, for messages.
    """

    key = "segmentation"
    suffixes = (".png",)

    def __init__(self, folder: Path, classes: Classes, setting: str = "data.masks") -> None:
        super().__init__(folder, setting)
        self.classes = classes
        self._lookup = classes.lookup()
        self._unknown = (self._lookup < 0).astype(np.uint8)
        self._table = self._lookup.clip(0).astype(
            np.uint8
        )  # OpenCV looks values up ten times as fast as numpy
        self._swap = classes.swap_table()

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Return the class indices (h, w) uint8, IGNORED for ignored pixels."""
        path = self.path(stem)
        classes = read_colors(path, self.classes)
        values = read_indices(path) if classes is None else classes
        if values.shape != size:
            turned = " (turned: photographs are used upright)" if values.shape == size[::-1] else ""
            raise DataError(
                f"{path}: the mask is {values.shape[1]} x {values.shape[0]}{turned}, its image {image} is "
                f"{size[1]} x {size[0]} (width x height): resize the mask to the image's size, by nearest neighbor."
            )
        return self._to_classes(path, values) if classes is None else classes

    def indices(self, stem: str) -> npt.NDArray[np.uint8] | None:
        """Return the 2-D values (h, w) of a stem's file; None if its labels are colors or outlines, not values."""
        path = self.path(stem)
        return read_indices(path) if read_colors(path, self.classes) is None else None

    def count(self, stem: str) -> npt.NDArray[np.int64]:
        """Return the number of pixels of each class (C,) in a stem's mask, for any size of its image."""
        path = self.path(stem)
        found = read_colors(path, self.classes)
        if found is None:
            found = self._to_classes(path, read_indices(path))
        return np.bincount(found.ravel(), minlength=256)[: self.classes.num_classes].astype(np.int64)

    def _to_classes(self, path: Path, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if values.size and cv2.LUT(values, self._unknown).any():
            self._fail_on_values(path, np.unique(values[self._lookup[values] < 0]))
        return np.asarray(cv2.LUT(values, self._table), dtype=np.uint8) if values.size else values

    def warp(self, label: npt.NDArray[Any], affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return the classes (H, W) int64; ignored outside the image, left and right swapped if the affine mirrors."""
        warped = warp_labels(label, affine, size, self._swap, outside=IGNORED)
        return torch.from_numpy(warped.astype(np.int64))

    def count_valid(self, label: npt.NDArray[Any]) -> int:
        return int(np.count_nonzero(label != IGNORED))

    def _fail_on_values(self, path: Path, unknown: npt.NDArray[np.uint8]) -> None:
        shown = ", ".join(map(str, unknown[:_SHOWN_VALUES].tolist()))
        rest = f" and {len(unknown) - _SHOWN_VALUES} more" if len(unknown) > _SHOWN_VALUES else ""
        if len(unknown) == 1 and self.classes.num_classes == 2 and not self.classes.remap:
            zero, one = self.classes.names
            expected = (
                f"0 and 1. If {unknown[0]} is '{one}', set in the classes file: remap: {{0: {zero}, {unknown[0]}: "
                f"{one}}}"
            )
        elif self.classes.remap:
            expected = "only values that its `remap` lists, or its `ignore_index`: add them there"
        else:
            ignored = ", ".join(map(str, self.classes.ignored_values))
            expected = (
                f"0..{self.classes.num_classes - 1}, or {ignored} for ignored pixels. Masks of another coding need a "
                "classes file with `remap` (docs/segmentation.md)"
            )
        raise DataError(
            f"{path}: the mask has the values {shown}{rest}; {self.classes.name} expects {expected}."
        )


def read_indices(path: Path) -> npt.NDArray[np.uint8]:
    """Return the 2-D values (h, w) uint8 of an image of one channel, or the indices of a palette image.

    Raises:
        DataError: the file is missing or broken, has several channels, or its values do not fit into 8 bits.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            mode, values = image.mode, np.asarray(image)
    except FileNotFoundError:
        raise DataError(f"{path}: the mask does not exist.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path}: the mask cannot be read as png, truncated or not an image: {error}"
        ) from error
    if values.ndim != 2:
        raise DataError(
            f"{path}: the mask has {values.shape[2]} channels ({mode}), expected one, whose values are classes. If its "
            "colors stand for classes, list them: `color: [red, green, blue]` of each class in the classes file, or "
            "--model.heads.NAME.classes labelmap.txt of CVAT (docs/labels.md)."
        )
    if mode == "L":  # Pillow stretches gray of 2 and 4 bits to 0..255
        values = values // {2: 85, 4: 17}.get(_grey_bits(data), 1)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        raise DataError(
            f"{path}: the mask ({mode}) has values up to {values.max()}, expected classes of 0..255."
        )
    return np.ascontiguousarray(values, dtype=np.uint8)


def _grey_bits(data: bytes) -> int:
    """Return the bits per pixel in a png's header; 8 for any other file."""
    return data[24] if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" else 8


def stem_of(name: str | Path) -> str:
    """Return a file's name with its folders, without suffix: labels are matched by it."""
    return PurePosixPath(name).with_suffix("").as_posix()
