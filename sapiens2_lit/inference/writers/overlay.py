"""Draw predictions on the picture: jpg or png for photographs, video for videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.prediction import Array, Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import BytesWriter, Writer, encode_jpeg, encode_png
from sapiens2_lit.inference.writers.pose import people_of
from sapiens2_lit.inference.writers.video import VideoEncoder

_COLORS = ((255, 200, 0), (0, 190, 255), (255, 90, 160), (130, 230, 60), (190, 130, 255), (255, 130, 40))


def draw_overlay(
    head: Head, name: str, prediction: Prediction, image: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Draw a head's results on a picture by `Head.draw`: its maps, or its people without doubtful ones.

    Args:
        head: Whose results are drawn.
        name: Of the head, in the prediction.
        prediction: Of the picture.
        image: RGB uint8 (H, W, 3), of the prediction's size.

    Returns:
        RGB uint8 (H, W, 3), possibly wider than the image.
    """
    if name in prediction.maps:
        return head.draw(image, as_tensors(prediction.maps[name]))
    picture = image
    for person in people_of(prediction, name):
        if person.doubt is not None:
            continue
        values = {key: torch.from_numpy(np.asarray(value)) for key, value in person.values.items()}
        picture = head.draw(picture, {**values, "keypoints": torch.from_numpy(person.keypoints)})
        if person.id is not None:
            picture = draw_id(picture, person)
    return picture


def as_tensors(maps: Mapping[str, Array]) -> dict[str, Tensor]:
    """Return maps (H, W) or (H, W, C) in the form that heads predict: classes (H, W), all others (C, H, W)."""
    tensors = {}
    for key, values in maps.items():
        tensor = torch.from_numpy(np.ascontiguousarray(values))
        if values.ndim == 3:
            tensor = tensor.permute(2, 0, 1)
        elif values.dtype.kind == "f":
            tensor = tensor[None]
        tensors[key] = tensor
    return tensors


def draw_id(image: npt.NDArray[np.uint8], person: Instance) -> npt.NDArray[np.uint8]:
    """Draw a person's box with the person's number, in a color by number, on a copy of the image (H, W, 3)."""
    assert person.id is not None
    picture = image.copy()
    color = _COLORS[person.id % len(_COLORS)]
    # clipped before they become integers: a box may extend far beyond the image
    x, y, width, height = np.clip(person.box, -1e5, 1e5).tolist()
    thickness = max(1, round(max(image.shape) / 600))
    cv2.rectangle(picture, (round(x), round(y)), (round(x + width), round(y + height)), color, thickness)
    scale = max(0.4, max(image.shape) / 1000)
    (across, up), _ = cv2.getTextSize(str(person.id), cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    left, top = max(0, round(x)), max(0, round(y))
    margin = max(2, up // 3)
    cv2.rectangle(picture, (left, top), (left + across + 2 * margin, top + up + 2 * margin), color, -1)
    at = (left + margin, top + margin + up)
    cv2.putText(
        picture, str(person.id), at, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), thickness, cv2.LINE_AA
    )
    return picture


class OverlayPicture(BytesWriter):
    """RGB of what `Head.draw` draws; a legend or a second view may make it wider than the image.

    Args:
        head: Name of the head.
        key: Of the result.
        network: The head itself.
        frames: Whether to write a picture for each frame of a video, too.
    """

    kind: ClassVar[str | None] = "overlay"

    def __init__(self, head: str, key: str, network: Head, frames: bool = False) -> None:
        super().__init__(head, key)
        self.network = network
        self.frames = frames

    def draw(self, prediction: Prediction, frame: Frame) -> npt.NDArray[np.uint8]:
        """Return the overlay, RGB uint8 (H, W, 3)."""
        return draw_overlay(self.network, self.head, prediction, frame.image)


class OverlayJpg(OverlayPicture):
    """Overlay as JPEG: a tenth of the bytes and of the time of a PNG."""

    name: ClassVar[str] = "jpg"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return encode_jpeg(self.draw(prediction, frame))


class OverlayPng(OverlayPicture):
    """Overlay as PNG, lossless."""

    name: ClassVar[str] = "png"

    def encode(self, prediction: Prediction, frame: Frame) -> bytes:
        return encode_png(self.draw(prediction, frame))


class OverlayVideo(Writer):
    """mp4 of what `Head.draw` draws on each frame of a video, with the video's times; OUT/HEAD/overlay/VIDEO.mp4.

    The file appears when the video is done. It has no sound.

    Args:
        head: Name of the head.
        key: Of the result.
        network: The head itself.

    Raises:
        SettingError: PyAV is not installed.
    """

    name: ClassVar[str] = "mp4"
    kind: ClassVar[str | None] = "overlay"
    photos = False
    in_order = True

    def __init__(self, head: str, key: str, network: Head) -> None:
        super().__init__(head, key)
        self.network = network
        self.encoder: VideoEncoder | None = None

    def path(self, name: str, folder: Path) -> Path:
        """Return the path of a video's overlay."""
        return folder / self.head / "overlay" / f"{name}.{self.name}"

    def is_finished(self, name: str, folder: Path) -> bool:
        return self.path(name, folder).is_file()

    def prepare(self, prediction: Prediction, frame: Frame) -> npt.NDArray[np.uint8]:
        return draw_overlay(self.network, self.head, prediction, frame.image)

    def write(self, prediction: Prediction, frame: Frame, folder: Path) -> None:
        self.write_prepared(self.prepare(prediction, frame), prediction, frame, folder)

    def write_prepared(
        self, prepared: npt.NDArray[np.uint8], prediction: Prediction, frame: Frame, folder: Path
    ) -> None:
        assert frame.video is not None
        assert frame.time is not None
        if self.encoder is None:
            name = frame.name.rsplit("/", 1)[0]
            self.encoder = VideoEncoder(self.path(name, folder), frame.video.rate)
        self.encoder.add(prepared, frame.time)

    def end_video(self, name: str, folder: Path) -> None:
        if self.encoder is not None:
            self.encoder.close()
            self.encoder = None

    def abort(self) -> None:
        if self.encoder is not None:
            self.encoder.abort()
            self.encoder = None
