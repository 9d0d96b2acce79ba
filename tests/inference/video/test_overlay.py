"""Videos of overlays: the same frames at the same times, and never half a file."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.video import VideoFile
from sapiens2_lit.inference.writers import video as writer_module
from sapiens2_lit.inference.writers.video import VideoEncoder

av = pytest.importorskip("av")


def picture(value: int, height: int = 50, width: int = 70) -> np.ndarray:
    return np.full((height, width, 3), (value, 255 - value, 90), dtype=np.uint8)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_keep_their_times_and_colors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    monkeypatch.setattr(writer_module, "CODECS", {codec: writer_module.CODECS[codec]})
    path, times = tmp_path / "new" / "out.mp4", [0, 0.04, 0.08, 0.5, 1.0, 1.001]
    encoder = VideoEncoder(path, Fraction(30000, 1001))
    for place, time in enumerate(times):
        encoder.add(picture(40 * place), time)
        assert not path.exists()
    encoder.close()
    video = VideoFile(path)
    frames = list(video.frames())
    assert [time for _, time, _ in frames] == pytest.approx(times, abs=1e-4)
    for place, (_, _, image) in enumerate(frames):
        assert image.shape == (64, 80, 3), "up to multiples of 16"
        assert np.abs(image[2:48, 2:68].astype(int) - picture(40 * place)[2:48, 2:68]).max() < 16
        assert image[56:, :].mean() < 40, "padded"
    assert video.problem is None
    assert list(path.parent.iterdir()) == [path]


def test_a_steady_rate_stays(tmp_path: Path) -> None:
    encoder = VideoEncoder(tmp_path / "out.mp4", Fraction(25))
    for index in range(10):
        encoder.add(picture(90), index / 25)
    encoder.close()
    assert VideoFile(tmp_path / "out.mp4").rate == 25


def test_pictures_of_other_sizes_are_cut_or_padded(tmp_path: Path) -> None:
    encoder = VideoEncoder(tmp_path / "out.mp4", None)
    for index, (height, width) in enumerate([(48, 64), (40, 60), (100, 90)]):
        encoder.add(picture(100, height, width), index / 25)
    encoder.close()
    images = [image for _, _, image in VideoFile(tmp_path / "out.mp4").frames()]
    assert {image.shape for image in images} == {(48, 64, 3)}
    assert images[1][44:].mean() < 60
    assert abs(images[2][44:, :, 0].mean() - 100) < 10


def test_aborting_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    encoder = VideoEncoder(path, None)
    encoder.add(picture(3), 0.0)
    encoder.abort()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 20 kB, as on a full disk. As a fixture it would limit pytest's own output, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    encoder = VideoEncoder(tmp_path / "out.mp4", None)
    with (
        small_files(),
        pytest.raises(SettingError, match=r"out\.mp4 cannot be written: File too large"),
    ):
        for index in range(200):
            encoder.add(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), index / 25)
        encoder.close()
    assert list(tmp_path.iterdir()) == []


def test_no_encoder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "CODECS", {"none": {}})
    encoder = VideoEncoder(tmp_path / "out.mp4", None)
    with pytest.raises(SettingError, match="encodes none of none"):
        encoder.add(picture(0), 0.0)
    assert list(tmp_path.iterdir()) == []
