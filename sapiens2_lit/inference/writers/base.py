"""The interface of formats: how one head's results for one picture become a file, and where it lies."""

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
JPEG_QUALITY = 90  # flat colors show no blocks
JPEG_SIDE = 65500  # pixels; libjpeg writes no longer ones


class Writer(ABC):
    """One format of one kind of result of one head.

    Attributes:
        name: Of the format.
        kind: Name of its folder below OUT/HEAD; None for the key.
        photos: Whether it is written for photographs.
        frames: Whether it is written for single frames of videos.
        in_order: Whether `write` must be called in the order of the pictures, by one thread; else by any, at any time.

    Args:
        head: Name of the head whose results are written.
        key: Of the result.
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
        """Prepare to write; called once, before the first picture.

        Args:
            folder: Of the results.
            resume: Whether earlier results are kept.
            shard: Name of this part of the run; None for the whole run.
        """

    @abstractmethod
    def is_finished(self, name: str, folder: Path) -> bool:
        """Return whether all files of the picture called `name` exist."""

    @abstractmethod
    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        """Write one picture's results below `folder`.

        Raises:
            SettingError: They cannot be written; earlier results stay complete.
        """

    def prepare(self, prediction: Prediction, frame: Frame) -> Any:
        """Do the part of the work on a picture that needs no order, for a format that is written `in_order`."""
        return None

    def write_prepared(self, prepared: Any, prediction: Prediction, frame: Frame, folder: Path) -> None:
        """Write one picture's results, after `prepare`."""
        self.write(prediction, frame, folder)

    def end_video(self, name: str, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Finish a video; called after its last frame."""

    def close(self, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Finish; called once, when everything is written."""

    def abort(self) -> None:  # noqa: B027 - most need not do anything
        """Drop what is not finished; called instead of `close` after an error."""

    def about(self, prediction: Prediction) -> dict[str, Any]:
        """Return what a reader of the format must know: units, frame, the value for unknown."""
        return {}


class RunWriter(Writer):
    """A format with one file for the whole run, which is made from a journal at the end."""

    in_order = True
    numbered = False  # whether lines have a running `id`

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
        """Return the path of the whole run's journal."""

    @abstractmethod
    def make_whole(self, folder: Path) -> None:
        """Make the whole run's file from its journal."""


class FileWriter(Writer):
    """A format with one file for each picture: OUT/HEAD/KIND/NAME.SUFFIX.

    The format's name is the suffix.
    """

    def path(self, name: str, folder: Path) -> Path:
        """Return the path of a picture's file."""
        return folder / self.head / (self.kind or self.key) / f"{name}.{self.name}"

    def is_finished(self, name: str, folder: Path) -> bool:
        return self.path(name, folder).is_file()

    def map_of(self, prediction: Prediction) -> Array:
        """Return the map that is written, (H, W) or (H, W, C)."""
        return prediction.maps[self.head][self.key]


class BytesWriter(FileWriter):
    """A format whose files are made in memory."""

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        write_whole(self.path(frame.name, folder), self.encode(prediction, frame))

    @abstractmethod
    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        """Return the contents of the file."""


def encode_png(picture: npt.NDArray[Any]) -> bytes:
    """Encode a picture as PNG of 8 or 16 bits.

    Args:
        picture: Gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4).
    """
    if picture.ndim == 3:
        order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        picture = cv2.cvtColor(np.ascontiguousarray(picture), order)
    done, data = cv2.imencode(".png", picture)
    assert done
    return data.tobytes()


def encode_jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """Encode RGB (H, W, 3) as JPEG without color subsampling, so that thin colored lines stay sharp.

    Raises:
        SettingError: A side is longer than JPEG allows.
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
    """Return vectors (..., 3) of OpenCV's frame (y down, z forward) in a frame; OpenGL's has y up, z backward."""
    vectors = vectors.astype(np.float32)
    if axes == "opengl":
        vectors[..., 1:] *= -1
    return vectors


def to_integers(
    shares: npt.NDArray[np.floating], dtype: type[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger]:
    """Return shares of any shape, 0..1, as integers from 0 to the largest, rounded.

    Values beyond 0..1 are clipped; those that are not finite become 0.
    """
    if not all_finite(shares):
        shares = np.where(np.isfinite(shares), shares, 0)
    scaled = np.clip(shares, 0, 1)
    scaled *= np.iinfo(dtype).max
    return np.rint(scaled, out=scaled).astype(dtype)


def all_finite(values: npt.NDArray[np.floating]) -> bool:
    """Return whether no value of an array of any shape is NaN or infinite; usually from its sum, in one pass."""
    return bool(np.isfinite(np.add.reduce(values, axis=None))) or bool(np.isfinite(values).all())
