"""Write all files of one run, picture by picture, and find them again when a run is resumed."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.errors import DataError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.about import refuse_other_model, write_about
from sapiens2_lit.inference.prediction import Array, Prediction
from sapiens2_lit.inference.sharded_run import ShardedRun
from sapiens2_lit.inference.sources import Frame, Source
from sapiens2_lit.inference.streams import Stream
from sapiens2_lit.inference.video import VideoFile
from sapiens2_lit.inference.writers.base import Writer
from sapiens2_lit.inference.writers.formats import (
    DEFAULT_FORMATS,
    OTHER_FORMATS,
    FormatOptions,
    build_writer,
    build_writers,
    formats_of,
    keys_of,
)
from sapiens2_lit.inference.writers.overlay import OverlayVideo
from sapiens2_lit.vocabularies import IGNORED
from sapiens2_lit.vocabularies.tasks import MapKind, map_kind


def open_output(
    formats: Sequence[str] | None,
    out: Path,
    heads: Mapping[str, Head],
    source: Source,
    *,
    options: FormatOptions | None = None,
    resume: bool = False,
    sequential: bool = False,
    part: ShardedRun | None = None,
    model: str | None = None,
) -> "Output":
    """Return the output of a run.

    Args:
        formats: Names as in `writers.formats.all_formats`, also `overlay` (jpg or png of photographs, mp4 of videos)
            and
            `overlay-frames` (a picture of each frame, too); None for json, png, ply and overlay, each where it applies.
        out: The folder; created if it does not exist.
        heads: By name, those whose predictions are written.
        source: Of the pictures.
        options: Of the formats; None for the defaults.
        resume: Whether to continue an earlier run with the same settings.
        sequential: Whether frames of a video depend on earlier ones, as in tracking; then a video is done as a whole.
        part: The sharded run that this one is a part of; None if it is none.
        model: Fingerprint of the weights, which about.json names; None to name none.

    Raises:
        SettingError: A format is unknown, fits no head, or lacks a package; or the folder cannot be written to, or
            holds results of other weights that this run would add to.
    """
    options = options or FormatOptions()
    if formats is None:
        writers = [
            writer
            for name in DEFAULT_FORMATS
            if name == "overlay"
            or any(name in formats_of(key) for head in heads.values() for key in keys_of(head))
            for writer in build_writers((name,), heads, options, videos=bool(source.videos))
        ]
        names: tuple[str, ...] = DEFAULT_FORMATS
    else:
        names = tuple(formats)
        writers = build_writers(names, heads, options, videos=bool(source.videos))
    check_writable(out, "--output")
    return Output(
        writers, out, names, source, options, resume=resume, sequential=sequential, part=part, model=model
    )


@dataclass(frozen=True)
class Made:
    """A picture whose own files are written.

    Attributes:
        prediction: With empty maps for heads that saw nobody.
        prepared: What writers that write in order have prepared.
    """

    prediction: Prediction
    prepared: dict[Writer, Any]


class Output:
    """The files of a run; a context manager, which keeps finished files and drops unfinished ones on an exception.

    Attributes:
        whole: Whether it was closed and all parts of the run are done.

    Args:
        writers: One for each format of each result.
        out: The folder.
        formats: Names of the formats.
        source: Of the pictures.
        options: For formats of results that are known only after the first prediction.
        resume: Whether earlier results are kept.
        sequential: Whether a video is done as a whole.
        part: The sharded run that this one is a part of; None if it is none.
        model: Fingerprint of the weights; None if it is unknown.

    Raises:
        SettingError: The folder holds results of other weights that this run would add to.
    """

    def __init__(
        self,
        writers: Sequence[Writer],
        out: Path,
        formats: tuple[str, ...],
        source: Source,
        options: FormatOptions,
        *,
        resume: bool = False,
        sequential: bool = False,
        part: ShardedRun | None = None,
        model: str | None = None,
    ) -> None:
        self.writers = list(writers)
        self.out = out
        self.formats = formats
        self.source = source
        self.options = options
        self.resume = resume
        self.sequential = sequential or any(isinstance(writer, OverlayVideo) for writer in writers)
        self.described = False
        self.whole = False
        self._video: tuple[str, VideoFile | Stream] | None = None
        self._num_frames = 0
        self._lock = threading.Lock()
        self.part = part
        self.model = model
        self._unchanged = True
        if resume:
            refuse_other_model(out, self.writers, model)
        if part is not None:
            part.start(self.writers, resume)
        else:
            for writer in self.writers:
                writer.start(out, resume)

    def done(self, name: str) -> bool:
        """Return whether a picture or a whole video is finished, so that `Source.frames` may skip it."""
        if not self.resume or not self.writers:
            return False
        if name in self.source.videos:
            return self._video_done(name)
        of_video = name.rpartition("/")[0] in self.source.videos
        if of_video and self.sequential:
            return False
        writers = [writer for writer in self.writers if (writer.frames if of_video else writer.photos)]
        return all(writer.is_finished(name, self.out) for writer in writers)

    def write(self, frame: Frame, prediction: Prediction) -> None:
        """Write one picture's results.

        Raises:
            SettingError: A file cannot be written, such as on a full disk.
        """
        self.add(frame, self.make(frame, prediction))

    def make(self, frame: Frame, prediction: Prediction) -> "Made":
        """Write the picture's own files, in any thread and any order; return what `add` writes in order.

        Raises:
            SettingError: A file cannot be written, such as on a full disk.
        """
        with self._lock:
            self._unchanged = False
            prediction = self._complete(prediction)
            self._describe(prediction)
            writers = [writer for writer in self.writers if _is_of(writer, frame)]
        prepared: dict[Writer, Any] = {}
        for writer in writers:
            if writer.in_order:
                prepared[writer] = writer.prepare(prediction, frame)
            else:
                writer.write(prediction, frame, self.out)
        return Made(prediction, prepared)

    def add(self, frame: Frame, made: "Made") -> None:
        """Write videos and lists of the whole run; in one thread, in the order of the pictures.

        Raises:
            SettingError: A file cannot be written, such as on a full disk.
        """
        video = None if frame.video is None else (frame.name.rpartition("/")[0], frame.video)
        if self._video is not None and (video is None or video[0] != self._video[0]):
            self._end_video()
        if video is not None:
            self._video = video
            self._num_frames += 1
        for writer, prepared in made.prepared.items():
            writer.write_prepared(prepared, made.prediction, frame, self.out)

    def close(self) -> None:
        """Finish the last video and the lists of all pictures; a sharded run's lists when all parts are done."""
        self._end_video()
        for writer in self.writers:
            writer.close(self.out)
        self.whole = self.part is None or self.part.finish(self.writers, self._unchanged)

    def abort(self) -> None:
        """Drop unfinished files; `resume` makes them again."""
        for writer in self.writers:
            writer.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _complete(self, prediction: Prediction) -> Prediction:
        """Add empty maps for heads that saw nobody, and writers for what custom heads predict."""
        maps = {head: dict(found) for head, found in prediction.maps.items()}
        for writer in self.writers:
            if kind := map_kind(writer.key):
                maps.setdefault(writer.head, {}).setdefault(writer.key, blank(kind, prediction.image_size))
        for head, found in maps.items():
            for key in found:
                self._add_writers(head, key)
        return replace(prediction, maps=maps)

    def _add_writers(self, head: str, key: str) -> None:
        if formats_of(key) or any((writer.head, writer.key) == (head, key) for writer in self.writers):
            return
        for name in self.formats:
            if name in OTHER_FORMATS:
                self.writers.insert(0, build_writer(head, key, name, self.options))

    def _describe(self, prediction: Prediction) -> None:
        """Write OUT/HEAD/about.json once."""
        if self.described:
            return
        self.described = True
        write_about(self.out, self.writers, prediction, self.model)

    def _end_video(self) -> None:
        if self._video is None:
            return
        name, video = self._video
        for writer in self.writers:
            writer.end_video(name, self.out)
        summary = {
            "file": video.label,
            "frames": self._num_frames,
            "problem": video.problem,
            "formats": sorted(self.formats),
        }
        if isinstance(video, Stream):
            summary["left_out"] = video.num_left_out
        write_whole(self._summary(name), json.dumps(summary, indent=1).encode())
        self._video, self._num_frames = None, 0

    def _video_done(self, name: str) -> bool:
        if not (path := self._summary(name)).is_file():
            return False
        try:
            formats = json.loads(path.read_text(encoding="utf-8"))["formats"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not what this command wrote ({error}); delete it to go on.") from error
        videos = [writer for writer in self.writers if isinstance(writer, OverlayVideo)]
        return set(self.formats) <= set(formats) and all(
            writer.is_finished(name, self.out) for writer in videos
        )

    def _summary(self, video: str) -> Path:
        return self.out / "videos" / f"{video}.json"


def _is_of(writer: Writer, frame: Frame) -> bool:
    return writer.photos if frame.video is None else writer.frames


def blank(kind: MapKind, size: tuple[int, int]) -> Array:
    """Return a map of a size without known values, (H, W) or (H, W, C)."""
    if kind.values == "classes":
        return np.full(size, IGNORED, dtype=np.uint8)
    return np.full((*size, kind.channels) if kind.has_channel_axis else size, np.nan, dtype=np.float32)
