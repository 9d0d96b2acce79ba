"""Videos come frame by frame, whole or broken, whatever their timing."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.inference.video import VideoFile

from .conftest import MakeVideo, number_of, spoil, turn


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_come_in_order_with_their_times(make_video: MakeVideo, codec: str) -> None:
    video = VideoFile(make_video(codec=codec))
    frames = list(video.frames())
    assert [index for index, _, _ in frames] == list(range(30))
    assert [time for _, time, _ in frames] == pytest.approx(np.arange(30) / 25)
    assert [number_of(image) for _, _, image in frames] == list(range(30))
    assert frames[0][2].shape == (48, 64, 3)
    assert frames[0][2][4:20, 4:28].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=6)
    assert video.problem is None
    assert video.num_frames == 30
    assert video.rate == 25


@pytest.mark.parametrize(
    ("name", "codec"),
    [("clip.mov", "libx264"), ("clip.webm", "libvpx-vp9"), ("clip.mkv", "libx264"), ("clip.avi", "mpeg4")],
)
def test_containers(make_video: MakeVideo, name: str, codec: str) -> None:
    video = VideoFile(make_video(name, 20, codec=codec))
    frames = list(video.frames())
    assert [index for index, _, _ in frames] == list(range(20))
    assert [number_of(image) for _, _, image in frames] == list(range(20))
    assert video.problem is None
    if name != "clip.avi":  # which has no times, but an order
        assert [time for _, time, _ in frames] == pytest.approx(np.arange(20) / 25, abs=0.0011)
        assert video.num_frames is None or abs(video.num_frames - 20) <= 1


def test_variable_frame_rates_keep_their_times(make_video: MakeVideo) -> None:
    times = [0, 40, 80, 500, 510, 520, 1000, 3000]
    frames = list(VideoFile(make_video(num=8, times=times)).frames())
    assert [time for _, time, _ in frames] == pytest.approx(np.array(times) / 1000)


def test_time_starts_with_the_video(make_video: MakeVideo) -> None:
    times = [7000 + 40 * index for index in range(5)]
    assert next(VideoFile(make_video("late.mkv", 5, times)).frames())[1] == 0


def test_turned_videos_are_upright(make_video: MakeVideo) -> None:
    path = make_video(num=3)
    turn(path)
    _, _, image = next(VideoFile(path).frames())
    assert image.shape == (64, 48, 3)
    assert image[4:28, -20:-4].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=6), "red is right above"


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("packet", [0, 5, 10, 17])
def test_a_corrupt_frame_is_counted_and_left_out(make_video: MakeVideo, codec: str, packet: int) -> None:
    path = make_video(codec=codec)
    spoil(path, packet)
    video = VideoFile(path)
    frames = list(video.frames())
    lost = sorted(set(range(30)) - {index for index, _, _ in frames})
    assert 1 <= len(lost) <= 10, "not beyond the next key frame"
    assert f"{len(lost)} frame" in str(video.problem)
    assert f"the first at {lost[0] / 25:.3f} s" in str(video.problem)
    assert str(path) in str(video.problem)
    # what refers to the lost frame may be concealed; from the next key frame on all is as it was
    whole = [(index, number_of(image)) for index, _, image in frames if index >= 20]
    assert whole == [(index, index) for index in range(20, 30)], "the others keep their numbers"


def test_broken_videos_are_a_problem_not_a_crash(make_video: MakeVideo, tmp_path: Path) -> None:
    whole = make_video("whole.mkv").read_bytes()
    for name, data in {
        "empty.mp4": b"",
        "text.mp4": b"no video\n" * 99,
        "half.mkv": whole[: len(whole) // 2],
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        video = VideoFile(path)
        frames = list(video.frames())
        assert len(frames) < 30
        if name != "half.mkv":
            assert str(path) in str(video.problem)
            assert video.num_frames == 0


def test_a_truncated_video_is_reported(make_video: MakeVideo) -> None:
    """An mp4 with its index in front says how many frames there were to be."""
    av = pytest.importorskip("av")
    path, fast = make_video(), make_video().with_name("fast.mp4")
    with av.open(path) as source, av.open(fast, "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    data = fast.read_bytes()
    fast.write_bytes(data[: len(data) - 400])
    video = VideoFile(fast)
    frames = list(video.frames())
    assert 0 < len(frames) < 30
    assert "truncated" in str(video.problem) or "breaks off" in str(video.problem)


def test_memory_does_not_grow_with_the_video(make_video: MakeVideo) -> None:
    video = VideoFile(make_video(num=600))
    tracemalloc.start()
    assert sum(image.nbytes for _, _, image in video.frames()) > 5_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000, "some frames, of all 600"
