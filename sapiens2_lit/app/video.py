"""Run one head of one model on a video, and draw the result as another video."""

from collections.abc import Callable
from pathlib import Path

from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import open_source
from sapiens2_lit.inference.video_tracking import VideoTracking
from sapiens2_lit.inference.writers.overlay import draw_overlay
from sapiens2_lit.inference.writers.video import VideoEncoder


def overlay_video(
    predictor: Predictor, head: str, file: Path, out: Path, progress: Callable[[int, int | None], None]
) -> Path:
    """Draw a head's results on every frame; people are numbered.

    Args:
        predictor: The model.
        head: Name of the head.
        file: The video.
        out: The mp4 to write.
        progress: Called with the number of finished frames, and of all frames if the video tells.

    Raises:
        DataError: The file is not a video, or no frame of it can be read.
        SettingError: PyAV is not installed.
    """
    source = open_source(file)
    if not source.videos:
        raise DataError(f"{file.name}: it is not a video.")
    (video,) = source.videos.values()
    network = dict(predictor.model.named_heads())[head]
    mend, encoder, done = VideoTracking(track=True), None, 0
    try:
        for frame in source:
            prediction = mend(predictor.predict(frame.image), frame)
            if encoder is None:
                encoder = VideoEncoder(out, video.rate)
            assert frame.time is not None
            encoder.add(draw_overlay(network, head, prediction, frame.image), frame.time)
            done += 1
            progress(done, source.total)
        if encoder is None:
            raise DataError("; ".join(source.problems) or f"{file.name}: there is no frame in it.")
        encoder.close()
    except BaseException:
        if encoder is not None:
            encoder.abort()
        raise
    return out
