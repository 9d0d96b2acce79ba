"""What a format is: how one head's results for one picture become a file, and where it lies."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Array, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.journal import Journal

Axes = Literal["opencv", "opengl"]
JPEG_QUALITY = 90  # no blocks are seen in flat colors
JPEG_SIDE = 65500  # pixels; libjpeg writes no longer ones


class Writer(ABC):
    """One format of one kind of result of one head.

    Attributes:
        name: of the format.
        kind: name of its folder below OUT/HEAD; the key unless the format says otherwise.
        photos, frames: whether it is of photographs, and of the single frames of videos.
        in_order: `write` must be called in the order of the pictures, by one thread; else by any, at any time.

    Args:
        head: name of the head whose results are written.
        key: which of its results.
    """

    name: ClassVar[str]
    kind: ClassVar[str | None] = None
    photos = True
    frames = True
    in_order = False

    def __init__(self, head: str, key: str) -> None:
        self.head = head
        self.key = key

    def start(self, folder: Path, resume: bool, shard: str | None = None) -> None:  # noqa: B027 - most need not
        """Called once, before the first picture.

        Args:
            folder: of the results.
            resume: whether earlier results count.
            shard: name of the part of the run that this one is; None for all of it.
        """

    @abstractmethod
    def is_finished(self, name: str, folder: Path) -> bool:
        """Whether all is there that a picture called `name` gets."""

    @abstractmethod
    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        """Write one picture's results below `folder`.

        Raises:
            SettingError: they cannot be written; what was written before stays whole.
        """

    def prepare(self, prediction: Prediction, frame: Frame) -> Any:
        """Return what of the work on a picture of a format that is written `in_order` needs no order."""
        return None

    def write_prepared(self, prepared: Any, prediction: Prediction, frame: Frame, folder: Path) -> None:
        """As `write`, after `prepare`."""
        self.write(prediction, frame, folder)

    def end_video(self, name: str, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Called behind the last frame of a video called `name`."""

    def close(self, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Called once, when all is written."""

    def abort(self) -> None:  # noqa: B027 - most need not do anything
        """Called instead of `close` where something went wrong: let go of what is not finished."""

    def about(self, prediction: Prediction) -> dict[str, Any]:
        """Return what a reader must know of the format: units, frame, what stands for nothing."""
        return {}


class RunWriter(Writer):
    """A format with one file for the whole run, which is made of a journal when all is done."""

    in_order = True
    numbered = False  # whether lines have an `id` that counts them

    def start(self, folder: Path, resume: bool, shard: str | None = None) -> None:
        self.shard = shard
        self.journal = Journal(self.journal_of(folder), shard)
        self.journal.open(resume)

    def is_finished(self, name: str, folder: Path) -> bool:
        return self.journal.has(name)

    def close(self, folder: Path) -> None:
        self.abort()
        if self.shard is None:
            self.make_whole(folder)

    def abort(self) -> None:
        self.journal.close()

    @abstractmethod
    def journal_of(self, folder: Path) -> Path:
        """Where the lines of the whole run lie."""

    @abstractmethod
    def make_whole(self, folder: Path) -> None:
        """Make the file of the whole run of its journal."""


class FileWriter(Writer):
    """A format with one file for each picture: OUT/HEAD/KIND/NAME.SUFFIX.

    The format's name is the suffix.
    """

    def path(self, name: str, folder: Path) -> Path:
        return folder / self.head / (self.kind or self.key) / f"{name}.{self.name}"

    def is_finished(self, name: str, folder: Path) -> bool:
        return self.path(name, folder).is_file()

    def map_of(self, prediction: Prediction) -> Array:
        return prediction.maps[self.head][self.key]


class BytesWriter(FileWriter):
    """A file that is made in memory."""

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        write_whole(self.path(frame.name, folder), self.encode(prediction, frame))

    @abstractmethod
    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        """Return the contents of the file."""


def encode_png(picture: npt.NDArray[Any]) -> bytes:
    """PNG of 8 or 16 bits: grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4)."""
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(np.ascontiguousarray(picture), order)
    done, data = cv2.imencode(".png", picture)
    assert done
    return data.tobytes()


def encode_jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """JPEG of RGB (H, W, 3), whose colors are as fine as its brightness: thin colored lines stay sharp.

    Raises:
        SettingError: a side is longer than JPEG allows.
    """
    if max(picture.shape) > JPEG_SIDE:
        height, width = picture.shape[:2]
        raise SettingError(
            f"--overlay_format: a jpg has sides of {JPEG_SIDE} pixels at most, found {width} x {height} (width x "
            "height); give png"
        )
    data: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(picture), quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="444"
    )
    return data


def in_axes(vectors: npt.NDArray[np.floating], axes: Axes) -> npt.NDArray[np.float32]:
    """Vectors (..., 3) of OpenCV's frame (y down, z forward) in the frame asked for; OpenGL has y up, z backward."""
    vectors = vectors.astype(np.float32)
    if axes == "opengl":
        vectors[..., 1:] *= -1
    return vectors


def to_integers(
    shares: npt.NDArray[np.floating], dtype: type[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger]:
    """Shares 0..1 as integers 0 to the largest, rounded; what is beyond is cut off, what is not finite becomes 0."""
    if not all_finite(shares):
        shares = np.where(np.isfinite(shares), shares, 0)
    scaled = np.clip(shares, 0, 1)
    scaled *= np.iinfo(dtype).max
    return np.rint(scaled, out=scaled).astype(dtype)


def all_finite(values: npt.NDArray[np.floating]) -> bool:
    """Whether none is NaN or infinite: a sum is one pass, and a finite one tells."""
    return bool(np.isfinite(np.add.reduce(values, axis=None))) or bool(np.isfinite(values).all())
