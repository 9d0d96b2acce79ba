"""Read cameras and streams as endless videos, through PyAV."""

import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sapiens2_lit.data.shards.paths import STORES
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.video import TimedImage, import_av, upright

ADDRESS = re.compile(r"([a-z][a-z0-9+]*)://", re.IGNORECASE)
PROTOCOLS = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp", "srt", "rtp")
LIVE = ("rtsp", "rtsps", "rtmp", "udp", "srt", "rtp")  # they do not wait for the reader
_DEVICE = re.compile(r"/dev/video\d+")
_SECONDS = (10.0, 10.0)  # to open, and to the next packet
_TCP = {"rtsp_transport": "tcp"}  # frames arrive complete
READ = f"a number or /dev/videoN of a camera (Linux), or an address that begins with {', '.join(PROTOCOLS)}"


def is_stream(place: str) -> bool:
    """Return whether `--images` means a camera or an address.

    An existing file or folder such as `0` takes precedence.
    """
    if (address := ADDRESS.match(place)) is not None:
        return address[1].lower() not in STORES  # these hold packed folders
    if _DEVICE.fullmatch(place):
        return True
    return place.isascii() and place.isdigit() and not Path(place).exists()


def open_stream(place: str) -> "Stream":
    """Return the camera or stream at a place.

    Raises:
        SettingError: Cameras or streams of this kind cannot be read.
        DataError: There is no such camera.
    """
    found = ADDRESS.match(place)
    if found is not None:
        protocol = found[1].lower()
        if protocol not in PROTOCOLS:
            raise SettingError(
                f"--images {without_secrets(place)}: streams of {protocol} are not read; expected {READ}"
            )
        rtsp = protocol.startswith("rtsp")
        return Stream(place, name_of(place), live=protocol in LIVE, options=_TCP if rtsp else {})
    device = f"/dev/video{int(place)}" if place.isdigit() else place
    if not sys.platform.startswith("linux"):
        raise SettingError(
            f"--images {place}: cameras are read only on Linux; expected a file, or the address of a stream, which "
            "programs such as FFmpeg or OBS can make of a camera"
        )
    if not Path(device).exists():
        there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "none"
        raise DataError(f"{place}: there is no camera {device}; found {there}.")
    return Stream(device, f"camera{device.removeprefix('/dev/video')}", live=True, format="v4l2")


def without_secrets(address: str) -> str:
    """Return an address without user, password and query, for messages and results."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def name_of(address: str) -> str:
    """Return the name of a stream's results: the last part of its path, else its host."""
    parts = urlsplit(address)
    name = PurePosixPath(parts.path).stem or parts.netloc.rpartition("@")[2]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._") or "stream"


@dataclass
class Stream:
    """A camera or a stream. If it does not wait, frames that arrive during other work are left out.

    Attributes:
        address: That PyAV opens.
        name: Of its results.
        live: Whether it continues while nobody reads.
        format: Of a camera's driver; None for streams.
        options: Of the protocol.
        rate: Frames per second, as far as the stream tells; known while it is read.
        num_left_out: Frames of the last iteration that were left out for lack of time.
        problem: What went wrong in the last iteration, in a sentence; None if nothing did.
    """

    address: str
    name: str
    live: bool
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    rate: Fraction | None = field(default=None, init=False)
    num_left_out: int = field(default=0, init=False)
    problem: str | None = field(default=None, init=False)
    num_frames: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        import_av()

    @property
    def label(self) -> str:
        """Its name in messages and results."""
        return without_secrets(self.address) if ADDRESS.match(self.address) else self.address

    def frames(self, wanted: Callable[[int], bool] = lambda index: True) -> Iterator[TimedImage]:
        """Yield index, time in seconds and RGB uint8 (H, W, 3) of each frame, until the stream ends.

        Frames that cannot be decoded are left out, which is usual when one joins a stream. Closing the iterator closes
        the connection.
        """
        self.num_left_out, self.problem = 0, None
        frames = self._decoded()
        for index, time, frame in _Newest(frames, self) if self.live else frames:
            if wanted(index):
                yield index, time, upright(frame)

    def _decoded(self) -> Iterator[tuple[int, float, Any]]:
        av = import_av()
        index = 0
        try:
            with av.open(
                self.address, format=self.format, options=dict(self.options), timeout=_SECONDS
            ) as container:
                if not container.streams.video:
                    self.problem = f"{self.label}: there is no video in it."
                    return
                stream = container.streams.video[0]
                self.rate = stream.average_rate
                start: int | None = None
                for packet in container.demux(stream):
                    try:
                        frames = stream.decode(packet)
                    except av.error.InvalidDataError:
                        continue
                    for frame in frames:
                        if frame.pts is not None and start is None:
                            start = frame.pts
                        yield index, _seconds(frame, start, index, stream), frame
                        index += 1
        except (OSError, av.error.FFmpegError) as error:
            after = f" after {index} frames" if index else ""
            self.problem = f"{self.label}: the stream cannot be read{after}: {error.strerror or error}."


class _Newest:
    """The newest frame that a thread has read; frames that are replaced before they are asked for are counted.

    Args:
        frames: Read in a separate thread until they end, or this iteration does.
        stream: Its `num_left_out` is the counter.
    """

    def __init__(self, frames: Iterator[Any], stream: Stream) -> None:
        self.frames = frames
        self.stream = stream
        self.changed = threading.Condition()
        self.newest: Any = None
        self.ended = False
        self.stopped = False
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        thread = threading.Thread(target=self._read, daemon=True)
        thread.start()
        try:
            while (frame := self._take()) is not None:
                yield frame
        finally:
            self.stopped = True
            thread.join(sum(_SECONDS))
        if self.error is not None:
            raise self.error

    def _read(self) -> None:
        try:
            for frame in self.frames:
                with self.changed:
                    self.stream.num_left_out += self.newest is not None and not self.stopped
                    self.newest = frame
                    self.changed.notify()
                if self.stopped:
                    return
        except BaseException as error:  # raised in the thread that iterates
            self.error = error
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify()

    def _take(self) -> Any:
        with self.changed:
            self.changed.wait_for(lambda: self.newest is not None or self.ended)
            frame, self.newest = self.newest, None
        return frame


def _seconds(frame: Any, start: int | None, index: int, stream: Any) -> float:
    """Return the time since the first frame."""
    if frame.pts is not None and start is not None and stream.time_base is not None:
        return float((frame.pts - start) * stream.time_base)
    return float(index / (stream.average_rate or Fraction(25)))
