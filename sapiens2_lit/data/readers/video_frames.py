"""Write frames of videos as files: every n-th, without those that look like the frame before."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import unwritable_is_error
from sapiens2_lit.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
FOLDER = ".frames"
QUALITY = 95  # quality of JPEG

_log = logging.getLogger(__name__)


def find_videos(place: Path) -> list[Path]:
    """Return the video, or those of a folder and the folders in it except hidden ones; sorted."""
    if place.is_file():
        return [place] if place.suffix.lower() in VIDEO_SUFFIXES else []
    return sorted(
        path
        for path in place.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(place).parts)
    )


def frames_folder(video: Path, frames: Path | None, step: int, distance: int) -> Path:
    """Return the folder of a video's frames: beside it, or under `frames`.

    Args:
        video: the file.
        frames: folder for the frames of all videos; None for beside the video.
        step: as in `write_frames`; part of the name.
        distance: as in `write_frames`; part of the name.
    """
    name = f"{video.name}-every{step}-distance{distance}"
    return (video.parent / FOLDER if frames is None else frames / video.parent.name) / name


def write_frames(video: Path, folder: Path, step: int, distance: int) -> int:
    """Write every `step`-th frame as a JPEG into `folder`, unless it exists; return the number of frames.

    Args:
        video: the file.
        folder: for the frames.
        step: one of so many frames is used.
        distance: a frame is dropped if its 64-bit difference hash differs from that of the last kept one in so many
            bits or fewer.

    Raises:
        DataError: the video cannot be read.
        SettingError: the folder is not writable.
    """
    if folder.is_dir():
        return len(list(folder.glob("*.jpg")))
    part = folder.with_name(f".{folder.name}.part")
    with unwritable_is_error(folder):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        count = 0
        for index, frame in different_frames(video, step, distance):
            done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            assert done
            (part / f"{index:08d}.jpg").write_bytes(data.tobytes())
            count += 1
        if not count:
            shutil.rmtree(part)
            raise DataError(f"{video}: no frame can be read; expected a video")
        part.rename(folder)
    _log.info("%s: %d frames (every %d-th, without near-duplicates) in %s", video, count, step, folder)
    return count


def different_frames(video: Path, step: int, distance: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield numbers and pixels (H, W, 3), BGR, of every `step`-th frame that differs from the last yielded one.

    Args:
        video: the file.
        step: one of so many frames is used.
        distance: largest number of different hash bits of equal frames.
    """
    capture = cv2.VideoCapture(str(video))
    last: npt.NDArray[np.bool_] | None = None
    try:
        index = 0
        while capture.grab():
            if index % step == 0:
                read, found = capture.retrieve()
                if read:
                    frame = np.asarray(found, dtype=np.uint8)
                    own = difference_hash(frame)
                    if last is None or int((own != last).sum()) > distance:
                        last = own
                        yield index, frame
            index += 1
    finally:
        capture.release()


def difference_hash(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return 64 bits (64,): whether each pixel of a gray 8 x 9 picture is darker than the next."""
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
    return np.asarray(small[:, :-1] < small[:, 1:]).ravel()
