"""Decode frames of a video with PyAV, one at a time, upright, with their times; PyAV is imported only when needed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.container_length import missing_bytes

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")

TimedImage = tuple[int, float, npt.NDArray[np.uint8]]


def import_av() -> Any:
    """Import PyAV.

    Raises:
        SettingError: It is not installed.
    """
    try:
        import av
        import av.error
    except ImportError as error:
        raise SettingError("videos need PyAV: pip install 'sapiens2-lit[video]'") from error
    return av


@dataclass
class VideoFile:
    """One video on disk. Each iteration decodes it again; one frame is in memory at a time.

    Attributes:
        path: Of the file.
        problem: What went wrong in the last iteration, in a sentence that names the file; None if nothing did.
    """

    path: Path
    problem: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        import_av()

    @property
    def label(self) -> str:
        """Its name in results."""
        return self.path.name

    @property
    def rate(self) -> Fraction | None:
        """The average number of frames per second; None if the video does not tell.

        Raises:
            OSError: It cannot be opened.
        """
        with import_av().open(self.path) as container:
            return container.streams.video[0].average_rate

    @property
    def num_frames(self) -> int | None:
        """The number of frames by the container, else by its duration.

        None if it tells neither, 0 if it cannot be opened.
        """
        av = import_av()
        try:
            with av.open(self.path) as container:
                if not container.streams.video:
                    return 0
                stream = container.streams.video[0]
                if stream.frames:
                    return int(stream.frames)
                if container.duration and stream.average_rate:
                    return round(container.duration / av.time_base * stream.average_rate)
        except (OSError, av.error.FFmpegError):
            return 0  # frames() says why
        return None

    def frames(self, wanted: Callable[[int], bool] = lambda index: True) -> Iterator[TimedImage]:
        """Yield index, time in seconds and RGB uint8 (H, W, 3) of each frame whose index `wanted` accepts.

        Frames that cannot be decoded are left out but counted in the index; afterwards `problem` reports them.
        """
        av = import_av()
        self.problem = None
        try:
            with av.open(self.path) as container:
                if not container.streams.video:
                    self.problem = f"{self.path}: there is no video in it."
                    return
                stream = container.streams.video[0]
                stream.thread_type = "AUTO"
                count = _Count(stream.start_time)
                count.exact = "mp4" in container.format.name and stream.frames > 0
                yield from self._decode(container, stream, count, wanted)
                self.problem = self._lost(count, stream)
        except (OSError, av.error.FFmpegError) as error:
            self.problem = f"{self.path}: the video cannot be read: {error.strerror or error}{self._cut()}."

    def _cut(self) -> str:
        """Return the part of a message that says that the end of the file is missing; empty if it is not."""
        missing = missing_bytes(self.path) if self.path.is_file() else 0
        return f"; it is truncated, {missing:,} bytes are missing at its end" if missing else ""

    def _decode(
        self, container: Any, stream: "VideoStream", count: "_Count", wanted: Callable[[int], bool]
    ) -> Iterator[TimedImage]:
        av = import_av()
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:  # the container ends early
                count.broken_off = error.strerror or str(error)
                packet = None
            if packet is not None:
                count.sent(packet)
            try:
                frames = stream.decode(packet)  # None flushes the decoder
            except av.error.FFmpegError:
                count.failed += 1
                continue
            for frame in frames:
                index = count.arrived(frame)
                if index is not None and wanted(index):
                    yield index, count.seconds(frame, index, stream), upright(frame)
            if packet is None:
                return

    def _lost(self, count: "_Count", stream: "VideoStream") -> str | None:
        """Return a message on missing frames; None if there are none."""
        count.finish()
        lost = []
        if count.num_lost:
            first, unit = count.first_lost, stream.time_base
            place = ""
            if first is not None and unit is not None:
                place = f", the first at {float((first - (count.start or 0)) * unit):.3f} s"
            what = "1 frame" if count.num_lost == 1 else f"{count.num_lost} frames"
            lost.append(f"{what} could not be decoded and left out{place}")
        if count.broken_off is not None:
            lost.append(f"it breaks off after {count.num_packets} frames: {count.broken_off}{self._cut()}")
        elif count.exact and count.num_packets < stream.frames:
            lost.append(f"it ends after {count.num_packets} of {stream.frames} frames: it is truncated")
        elif missing := missing_bytes(self.path):
            lost.append(
                f"it ends after {count.num_packets} frames, {missing:,} bytes too early: it is truncated"
            )
        return f"{self.path}: {'; '.join(lost)}." if lost else None


@dataclass
class _Count:
    """The frames of a stream that came out of the decoder, in the order in which they are shown.

    Decoders drop some frames without an error, and after an error return some late. Each packet holds one frame; a
    frame is lost if it was due before one that came, but did not come. Without time stamps, errors are counted
    instead.
    """

    start: int | None
    num_packets: int = 0
    num_arrived: int = 0
    failed: int = 0
    missing: int = 0
    first_lost: int | None = None
    broken_off: str | None = None
    exact: bool = False  # the container's number of frames is reliable, unlike AVI's
    consistent: bool = True
    latest: int | None = None
    due: set[int] = field(default_factory=set)

    def sent(self, packet: Any) -> None:
        if not packet.size:  # the end
            return
        self.num_packets += 1
        if packet.pts is None:
            self.consistent = False
        elif not packet.is_discard:
            self.due.add(packet.pts)

    def arrived(self, frame: "VideoFrame") -> int | None:
        """Return the frame's index.

        None if it came after a later one, as happens after errors, and is counted as lost.
        """
        if self.start is None:
            self.start = frame.pts
        late = self.latest is not None and frame.pts is not None and frame.pts <= self.latest
        if late and self.consistent and (self.failed or self.missing):
            return None
        if self.consistent and not late and frame.pts in self.due:
            self._lose({pts for pts in self.due if pts < frame.pts})
            self.due.discard(frame.pts)
            self.latest = frame.pts
        else:
            self.consistent = False
            self.due.clear()
        index = self.num_arrived + self.num_lost
        self.num_arrived += 1
        return index

    def finish(self) -> None:
        self._lose(set(self.due))

    @property
    def num_lost(self) -> int:
        return self.missing if self.consistent else max(self.missing, self.failed)

    def seconds(self, frame: "VideoFrame", index: int, stream: "VideoStream") -> float:
        if frame.pts is not None and stream.time_base is not None:
            return float((frame.pts - (self.start or 0)) * stream.time_base)
        return float(index / (stream.average_rate or Fraction(25)))

    def _lose(self, lost: set[int]) -> None:
        if lost and self.consistent:
            self.missing += len(lost)
            self.first_lost = min(lost) if self.first_lost is None else min(self.first_lost, *lost)
            self.due -= lost


def upright(frame: "VideoFrame") -> npt.NDArray[np.uint8]:
    """Return a frame as RGB uint8 (H, W, 3), rotated by the video's display matrix."""
    image = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90)  # counterclockwise, as np.rot90 turns
    return np.ascontiguousarray(np.rot90(image, turns))
