"""Dense labels on disk: folders with one file for each image, matched by stem, and how they follow an affine.

One class a kind of label. A further kind is a subclass with its own `key`, `suffixes`, `read` and `warp`; what is not
a class map but numbers (normals, depth) is a `FieldFolder` (fields.py).
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
_HINTS = 10  # labels that are looked for under other suffixes: each looks through the folder


class LabelSource(ABC):
    """The labels of one kind, one for each image.

    Attributes:
        key: of the batch.
    """

    key: ClassVar[str]

    @abstractmethod
    def read(self, image: Path, stem: str, size: tuple[int, int]) -> Any:
        """Return the label of an image of `size` (height, width), upright, in its own pixels.

        Raises:
            DataError: naming the file, what was found and what was expected.
        """

    @abstractmethod
    def warp(self, label: Any, affine: Affine, size: tuple[int, int]) -> Tensor:
        """Return the label as the network sees it: `affine` leads from its pixels to those of an input of `size`."""

    def count_valid(self, label: Any) -> int | None:
        """How many pixels of a label that `read` gave count; None where that is no question."""
        return None

    @abstractmethod
    def check(self, stems: Iterable[str]) -> None:
        """Check that each stem has its label.

        Raises:
            DataError: naming those that are missing.
        """

    def unlabeled(self, stems: Iterable[str]) -> dict[str, str]:
        """Return the stems without a label that can be told, and why; `data.on_bad: skip` leaves them out."""
        return {}


class RasterFolder(LabelSource):
    """The labels of one kind in a folder, a file each.

    Attributes:
        suffixes: of its files, the preferred one first.

    Args:
        folder: where they are.
        setting: what led here, for messages.

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
        """Return the file of a stem, the first that exists; where none does, the one that is expected."""
        places = [self.folder / file for file in self._files(stem)]
        return next((place for place in places if place.is_file()), places[0])

    def check(self, stems: Iterable[str]) -> None:
        """Check that each stem has its file, and not two; raises DataError naming those that have not."""
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
        """Return what to do about a label that is missing; `look` whether it is there in another format."""
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
        """Files whose name holds that of an image's, with a prefix, a suffix such as _mask, or in another case."""
        if not place.parent.is_dir():
            return []
        alike = re.compile(rf"(^|.*[^a-z0-9]){re.escape(place.name.lower())}([^a-z0-9].*|$)")
        names = sorted(name for name in names_in(place.parent) if not name.startswith("."))
        found = [name for name in names if alike.match(stem_of(name).lower())]
        return found[:_SHOWN_NAMES]

    def without_image(self, stems: Iterable[str]) -> list[str]:
        """Return the stems of files here whose image is not among `stems`, sorted."""
        files = (path for path in self.folder.rglob("*") if path.suffix in self.suffixes)
        used = {name for stem in stems for name in self.names(stem)}
        return sorted({stem_of(path.relative_to(self.folder).as_posix()) for path in files} - used)

    def _files(self, stem: str) -> list[str]:
        return [f"{name}{suffix}" for name in self.names(stem) for suffix in self.suffixes]


class MaskFolder(RasterFolder):
    """Class maps: png of one channel, each value a class (or what the vocabulary's `remap` says).

    Palette images are read as their indices, whatever the colors, but where the vocabulary says `palettes: colors`.
    Pictures in colors are read by the colors of the vocabulary.

    Args:
        folder: where they are.
        classes: their vocabulary.
        setting: what led here, for messages.
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
        )  # which OpenCV looks up ten times as fast as numpy
        self._swap = classes.swap_table()

    def read(self, image: Path, stem: str, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """(h, w) uint8 class indices, IGNORED where pixels do not count."""
        path = self.path(stem)
        classes = read_colors(path, self.classes)
        values = read_indices(path) if classes is None else classes
        if values.shape != size:
            turned = " (turned: photographs count as upright)" if values.shape == size[::-1] else ""
            raise DataError(
                f"{path}: the mask is {values.shape[1]} x {values.shape[0]}{turned}, its image {image} is "
                f"{size[1]} x {size[0]} (width x height): make the mask of the image's size, by nearest neighbour."
            )
        return self._to_classes(path, values) if classes is None else classes

    def indices(self, stem: str) -> npt.NDArray[np.uint8] | None:
        """(h, w) values of a stem's file, None where its labels are colors or outlines, not values."""
        path = self.path(stem)
        return read_indices(path) if read_colors(path, self.classes) is None else None

    def count(self, stem: str) -> npt.NDArray[np.int64]:
        """(C,) number of pixels of each class in a stem's mask, whatever the size of its image."""
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
        """(H, W) int64; outside the image nothing counts, left and right are swapped where the affine mirrors."""
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
                f"0 and 1. If {unknown[0]} is '{one}', say so in the classes file: remap: {{0: {zero}, {unknown[0]}: "
                f"{one}}}"
            )
        elif self.classes.remap:
            expected = "only values that its `remap` lists, or its `ignore_index`: add them there"
        else:
            ignored = ", ".join(map(str, self.classes.ignored_values))
            expected = (
                f"0..{self.classes.num_classes - 1}, or {ignored} where nothing counts. Masks of another coding need a "
                "classes file with `remap` (docs/segmentation.md)"
            )
        raise DataError(
            f"{path}: the mask has the values {shown}{rest}; {self.classes.name} expects {expected}."
        )


def read_indices(path: Path) -> npt.NDArray[np.uint8]:
    """Return the values (h, w) of an image of one channel, or the indices of a palette image.

    Raises:
        DataError: the file is missing, broken, not of one channel, or its values do not fit into 8 bits.
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
            "colors stand for classes, say which: `color: [red, green, blue]` of each class in the classes file, or "
            "--model.heads.NAME.classes labelmap.txt of CVAT (docs/labels.md)."
        )
    if mode == "L":  # Pillow stretches grey of 2 and 4 bits to 0..255
        values = values // {2: 85, 4: 17}.get(_grey_bits(data), 1)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0:
        raise DataError(
            f"{path}: the mask ({mode}) has values up to {values.max()}, expected classes of 0..255."
        )
    return np.ascontiguousarray(values, dtype=np.uint8)


def _grey_bits(data: bytes) -> int:
    """Bits of a pixel as a png's header says; 8 for any other file."""
    return data[24] if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" else 8


def stem_of(name: str | Path) -> str:
    """Return a file's name without its suffix, folders included: what labels are matched by."""
    return PurePosixPath(name).with_suffix("").as_posix()
