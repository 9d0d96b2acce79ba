"""Write pictures as an mp4, completely or not at all."""

from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.atomic_write import unwritable_is_error, whole_file
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.video import import_av

# The first one in this build of FFmpeg is used, with visually lossless settings.
CODECS = {"libx264": {"crf": "18", "preset": "veryfast"}, "mpeg4": {"qmin": "1", "qmax": "3"}}
# Frames that x264 holds back to plan its bits: most by its preset; fewer large pictures, limited by pixels.
_MOST_AHEAD, _FEWEST_AHEAD, _AHEAD = 10, 3, 40_000_000
_TICKS = 60_000  # a second; MPEG-4 allows no more than 65535
_MULTIPLE = 16  # widths and heights are multiples of it, so that a legend may grow a little
_BACKGROUND = 24
_BT709 = 1  # the color space that players expect of HD


class VideoEncoder:
    """An encoder that writes frames under a temporary name, which `close` replaces by `path`.

    Frames keep their times, so that a variable frame rate stays variable. All have the size of the first one, rounded
    up; smaller ones are padded at the right and bottom, larger ones cut there.

    Args:
        path: Of the mp4.
        rate: Average frames per second that the file announces; None for 25.

    Raises:
        SettingError: PyAV is not installed, has no encoder, or the file cannot be written.
    """

    def __init__(self, path: Path, rate: Fraction | None) -> None:
        self.path = path
        self.rate = rate or Fraction(25)
        self._av = import_av()
        self._last = -1
        self._stream: Any = None
        self._files = ExitStack()
        with self._failing():
            temporary = self._files.enter_context(whole_file(path))
            self._container = self._av.open(temporary, "w", format="mp4")

    def add(self, picture: npt.NDArray[np.uint8], time: float) -> None:
        """Append a frame.

        Args:
            picture: RGB uint8 (H, W, 3).
            time: When it is shown, in seconds, later than the frame before.
        """
        with self._failing():
            if self._stream is None:
                self._stream = self._new_stream(picture.shape[0], picture.shape[1])
            frame = self._av.VideoFrame.from_ndarray(self._fit(picture), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts = self._last = max(round(time * _TICKS), self._last + 1)
            frame.time_base = Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write the remaining frames and rename the file."""
        with self._failing():
            if self._stream is not None:
                self._container.mux(self._stream.encode())
            self._container.close()
            self._files.close()

    def abort(self) -> None:
        """Remove what was written; raises nothing."""
        with suppress(_AbortedError, OSError, self._av.error.FFmpegError), self._files.pop_all():
            with suppress(OSError, self._av.error.FFmpegError):
                self._container.close()
            raise _AbortedError

    def _new_stream(self, height: int, width: int) -> Any:
        codec = next((name for name in CODECS if name in self._av.codecs_available), None)
        if codec is None:
            raise SettingError(
                f"{self.path}: this PyAV encodes none of {', '.join(CODECS)}: install its own wheels"
            )
        height, width = (-(-side // _MULTIPLE) * _MULTIPLE for side in (height, width))
        ahead = max(_FEWEST_AHEAD, _AHEAD // (height * width))
        options = dict(CODECS[codec])
        if codec == "libx264" and ahead < _MOST_AHEAD:
            options["rc-lookahead"] = str(ahead)
        stream = self._container.add_stream(codec, rate=self.rate, options=options)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        return stream

    def _fit(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        canvas = np.full((self._stream.height, self._stream.width, 3), _BACKGROUND, dtype=np.uint8)
        part = picture[: canvas.shape[0], : canvas.shape[1]]
        canvas[: part.shape[0], : part.shape[1]] = part
        return canvas

    def _failing(self) -> ExitStack:
        """Return a context that turns FFmpeg errors into SettingError and then removes the unfinished file."""
        stack = ExitStack()
        stack.enter_context(unwritable_is_error(self.path))
        stack.push(self._abort_on_error)
        return stack

    def _abort_on_error(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and hasattr(self, "_container"):
            self.abort()


class _AbortedError(Exception):
    """Tell `whole_file` that the file is not wanted."""
