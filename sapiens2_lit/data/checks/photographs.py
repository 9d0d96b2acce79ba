"""Checks of photographs: damaged, of another size than declared, turned, or nearly black."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding
from sapiens2_lit.errors import DataError

_ORIENTATION = 0x112  # EXIF
_DEEP = (".png", ".tif", ".tiff")  # formats of 16 bits
_TWELVE_BITS = 1 << 12


@dataclass(frozen=True)
class Photographs:
    """The images of one split.

    Attributes:
        where: the split and its folder or file, for messages.
        folder: folder that names are relative to.
        names: of the images.
        sizes: (n, 2) declared (width, height), 0 if the labels do not declare it; None if labels have sizes of their
            own.
        read: reads an image as the dataset does, or raises DataError.
        on_bad: `data.on_bad`: whether damaged images stop or are left out.
    """

    where: str
    folder: Path
    names: Sequence[str]
    sizes: npt.NDArray[np.int64] | None
    read: Callable[[Path], npt.NDArray[np.uint8]]
    on_bad: str = "error"

    def pick(self, sampling: Sampling) -> list[tuple[Path, tuple[int, int]]]:
        """Return paths of images that may be opened, with their declared (width, height)."""
        places = sampling.pick(range(len(self.names)))
        sizes = np.zeros((len(self.names), 2), dtype=np.int64) if self.sizes is None else self.sizes
        return [
            (self.folder / str(self.names[place]), (int(sizes[place, 0]), int(sizes[place, 1])))
            for place in places
        ]


class DamagedImages(Check[Photographs]):
    """Images that cannot be decoded, or whose decoder warns of damage."""

    name = "damaged_images"
    looks_at = Photographs
    severity = "error"
    can_be_meant = False

    def look(self, subject: Photographs, sampling: Sampling) -> Iterator[Finding]:
        bad = []
        picked = subject.pick(sampling)
        for path, _ in picked:
            try:
                subject.read(path)
            except DataError as error:
                bad.append(Example(str(path), found=str(error).removeprefix(f"{path}: ")))
        if bad:
            skips = subject.on_bad == "skip"
            yield self.finding(
                subject,
                f"{len(bad)} of {len(picked)} images that were opened are damaged"
                + ("; others take their places in training." if skips else "."),
                "download or copy them again"
                + ("" if skips else ", or leave them out by --data.on_bad skip"),
                count=len(bad),
                total=len(picked),
                examples=bad,
                severity="warning" if skips else "error",
            )


class WrongSizes(Check[Photographs]):
    """Images of another size than their labels say: the labels would not fit."""

    name = "image_sizes"
    looks_at = Photographs
    severity = "error"
    can_be_meant = False

    def look(self, subject: Photographs, sampling: Sampling) -> Iterator[Finding]:
        bad = []
        picked = subject.pick(sampling)
        for path, declared in picked:
            header = _header(path)
            if header is None or not all(declared) or header.upright == declared:
                continue
            turned = ", stored turned with an EXIF orientation" if header.stored == declared else ""
            found = "{} x {}".format(*header.upright)
            said = "{} x {}".format(*declared)
            bad.append(
                Example(str(path), found=f"is {found} (width x height, upright){turned}; labels say {said}")
            )
        if bad:
            skips = subject.on_bad == "skip"
            yield self.finding(
                subject,
                f"{len(bad)} of {len(picked)} images that were opened have another size than their annotation file "
                "says: their labels would not fit" + ("; others take their places." if skips else "."),
                "use the images that were labeled, or correct `width` and `height`",
                count=len(bad),
                total=len(picked),
                examples=bad,
                severity="warning" if skips else "error",
            )


class TurnedImages(Check[Photographs]):
    """Photographs that are stored turned, if nothing tells which orientation the labels use."""

    name = "turned_images"
    looks_at = Photographs

    def look(self, subject: Photographs, sampling: Sampling) -> Iterator[Finding]:
        if subject.sizes is None:
            return
        picked = [path for path, declared in subject.pick(sampling) if not all(declared)]
        turned = []
        for path in picked:
            header = _header(path)
            if header is not None and header.orientation > 1:
                found = "{} x {}".format(*header.stored)
                turned.append(
                    Example(
                        str(path), found=f"is stored as {found} with EXIF orientation {header.orientation}"
                    )
                )
        if turned:
            yield self.finding(
                subject,
                f"{len(turned)} of {len(picked)} images that were opened are stored turned, and the annotation file "
                "declares no sizes: labels are used for the upright picture.",
                "write `width` and `height` of the picture that was labeled into `images`; if its labels ignore the "
                "EXIF orientation, remove that from the photographs",
                count=len(turned),
                total=len(picked),
                examples=turned,
            )


class TwelveBits(Check[Photographs]):
    """16-bit images that use only the lowest 12 bits or fewer: they are read as nearly black."""

    name = "twelve_bits"
    looks_at = Photographs

    def look(self, subject: Photographs, sampling: Sampling) -> Iterator[Finding]:
        deep = [path for path, _ in subject.pick(sampling) if path.suffix.lower() in _DEEP]
        bad, count = [], 0
        for path in deep:
            if not _is_deep(path):
                continue
            image = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), cv2.IMREAD_UNCHANGED)
            if image is None or image.dtype != np.uint16:
                continue
            count += 1
            if 0 < (most := int(image.max())) < _TWELVE_BITS:
                bad.append(Example(str(path), found=f"has 16 bits, but its largest value is {most}"))
        if bad and len(bad) > 0.5 * count:
            yield self.finding(
                subject,
                f"{len(bad)} of {count} images of 16 bits that were opened hold 12 bits or fewer: they are read as "
                "nearly black.",
                "scale them to 16 bits (times 16 for 12) or save them with 8 bits",
                count=len(bad),
                total=count,
                examples=bad,
            )


@dataclass(frozen=True)
class _Header:
    stored: tuple[int, int]
    orientation: int

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) when turned as EXIF says."""
        return self.stored[::-1] if self.orientation >= 5 else self.stored


def _header(path: Path) -> _Header | None:
    """Return size and EXIF orientation without decoding; None if the file cannot be opened."""
    try:
        with path.open("rb") as file, Image.open(file) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            return _Header(image.size, orientation if orientation in range(1, 9) else 1)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):  # damaged, which another check reports
        return None


def _is_deep(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            start = file.read(32)
    except OSError:
        return False
    return (
        start[24] == 16 if start.startswith(b"\x89PNG") and len(start) > 24 else path.suffix.lower() != ".png"
    )
