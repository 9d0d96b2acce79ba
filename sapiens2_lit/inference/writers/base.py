"""What a format is: how one head's results for one picture become a file, and where it lies."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import write_whole
from sapiens2_lit.inference.prediction import Array, Prediction
from sapiens2_lit.inference.sources import Frame

Axes = Literal["opencv", "opengl"]


class Writer(ABC):
    """One format of one kind of result of one head.

    Attributes:
        name: of the format.
        kind: name of its folder below OUT/HEAD; the key unless the format says otherwise.
        photos, frames: whether it is of photographs, and of the single frames of videos.

    Args:
        head: name of the head whose results are written.
        key: which of its results.
    """

    name: ClassVar[str]
    kind: ClassVar[str | None] = None
    photos = True
    frames = True

    def __init__(self, head: str, key: str) -> None:
        self.head = head
        self.key = key

    def start(self, folder: Path, resume: bool) -> None:  # noqa: B027 - most need not do anything
        """Called once, before the first picture."""

    @abstractmethod
    def is_finished(self, name: str, folder: Path) -> bool:
        """Whether all is there that a picture called `name` gets."""

    @abstractmethod
    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        """Write one picture's results below `folder`.

        Raises:
            SettingError: they cannot be written; what was written before stays whole.
        """

    def end_video(self, name: str, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Called behind the last frame of a video called `name`."""

    def close(self, folder: Path) -> None:  # noqa: B027 - most need not do anything
        """Called once, when all is written."""

    def abort(self) -> None:  # noqa: B027 - most need not do anything
        """Called instead of `close` where something went wrong: let go of what is not finished."""

    def about(self, prediction: Prediction) -> dict[str, Any]:
        """What a reader must know of the format: units, frame, what stands for nothing."""
        return {}


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
        """The contents of the file."""


def encode_png(picture: npt.NDArray[np.unsignedinteger]) -> bytes:
    """PNG of 8 or 16 bits: grey (H, W), RGB (H, W, 3) or RGBA (H, W, 4)."""
    if picture.ndim == 3:
        picture = picture[..., [2, 1, 0, 3][: picture.shape[2]]]
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    assert done
    return data.tobytes()


def in_axes(vectors: npt.NDArray[np.floating], axes: Axes) -> npt.NDArray[np.float32]:
    """Vectors (..., 3) of OpenCV's frame (y down, z forward) in the frame asked for; OpenGL has y up, z backward."""
    signs = np.array([1, 1, 1] if axes == "opencv" else [1, -1, -1], dtype=np.float32)
    return vectors.astype(np.float32) * signs


def to_integers(
    shares: npt.NDArray[np.floating], dtype: type[np.unsignedinteger]
) -> npt.NDArray[np.unsignedinteger]:
    """Shares 0..1 as integers 0 to the largest, rounded; what is beyond is cut off, what is not finite becomes 0."""
    top = np.iinfo(dtype).max
    finite = np.where(np.isfinite(shares), shares, 0)
    return np.rint(np.clip(finite, 0, 1) * np.float64(top)).astype(dtype)
