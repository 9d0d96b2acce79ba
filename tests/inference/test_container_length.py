"""A video file that was cut off anywhere is told, a whole one never."""

from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.inference.container_length import missing_bytes
from sapiens2_lit.inference.video import VideoFile

av = pytest.importorskip("av")
CODECS = {"mkv": "libx264", "webm": "libvpx-vp9", "avi": "mpeg4", "mp4": "libx264", "mov": "libx264"}


def make(file: Path, frames: int = 12) -> Path:
    rng = np.random.default_rng(0)
    with av.open(file, "w") as container:
        stream = container.add_stream(CODECS[file.suffix[1:]], rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file


@pytest.mark.parametrize("kind", CODECS)
def test_every_cut_is_told(kind: str, tmp_path: Path) -> None:
    whole = make(tmp_path / f"whole.{kind}")
    content = whole.read_bytes()
    assert missing_bytes(whole) == 0
    video = VideoFile(whole)
    assert len(list(video.frames())) == 12 and video.problem is None
    cut = tmp_path / f"cut.{kind}"
    for kept in (len(content) - 1, len(content) * 9 // 10, len(content) * 2 // 3, len(content) // 5):
        cut.write_bytes(content[:kept])
        assert missing_bytes(cut) > 0, f"{kept} of {len(content)}"
        video = VideoFile(cut)
        list(video.frames())
        assert video.problem is not None and "truncated" in video.problem, f"{kept} of {len(content)}"


def test_other_files_promise_nothing(tmp_path: Path) -> None:
    for content in (b"", b"\0" * 100, b"\x1a\x45\xdf\xa3", b"RIFF", b"\0\0\0\x08ftypno", b"text" * 20):
        file = tmp_path / "file"
        file.write_bytes(content)
        missing_bytes(file)
