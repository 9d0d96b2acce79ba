"""Cameras and streams: local ones, over HTTP, TCP and UDP, are predicted on like videos."""

import http.server
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.sources import open_source
from sapiens2_lit.inference.streams import Stream, is_stream, name_of, open_stream, without_secrets

from .conftest import MakeVideo
from .test_command import models as models  # the fixture


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def address(make_video: MakeVideo, tmp_path: Path) -> Iterator[str]:
    """A video of 12 frames, served on the loopback."""
    video = make_video("walk.mp4", 12)
    handler = partial(Quiet, directory=str(video.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/walk.mp4"
        server.shutdown()


def mpegts(video: Path) -> bytes:
    """The same pictures as a transport stream."""
    import av

    out = video.with_suffix(".ts")
    with av.open(video) as source, av.open(out, "w", format="mpegts") as target:
        stream = target.add_stream("mpeg2video", rate=25)
        shown = source.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode(None))
    return out.read_bytes()


@pytest.mark.parametrize(
    "place", ["rtsp://camera/live", "HTTP://host/a.mp4", "udp://127.0.0.1:9", "7", "/dev/video0"]
)
def test_streams_are_told_from_files(place: str) -> None:
    assert is_stream(place)


def test_files_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    assert not is_stream("0")
    assert not is_stream("photos/a.jpg")
    assert not is_stream("C:/photos")


def test_names_and_messages_hold_no_secrets() -> None:
    address = "rtsp://me:secret@camera.local:554/live/door.sdp?token=abc"
    assert without_secrets(address) == "rtsp://camera.local:554/live/door.sdp"
    assert name_of(address) == "door"
    assert name_of("rtsp://camera.local:554") == "camera.local_554"
    assert open_stream(address).label == "rtsp://camera.local:554/live/door.sdp"


def test_what_is_not_read_is_said() -> None:
    with pytest.raises(
        SettingError, match=r"--images ftp://host/a: streams of ftp are not read; expected a number"
    ):
        open_source("ftp://host/a")
    with pytest.raises(DataError, match=r"4711: there is no camera /dev/video4711; found"):
        open_source("4711")
    with pytest.raises(
        DataError, match=r"nothing: no such file, folder or pattern; other sources are a number"
    ):
        open_source("nothing")


def test_a_file_over_http_is_read_whole(address: str) -> None:
    source = open_source(address)
    frames = list(source)
    assert [frame.name for frame in frames] == [f"walk/{index:06}" for index in range(12)]
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 25)
    assert {frame.file for frame in frames} == {address}
    assert (source.problems, source.total) == ([], None)


def test_a_transport_stream_over_tcp(make_video: MakeVideo) -> None:
    content = mpegts(make_video("walk.mp4", 12))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(content)

        threading.Thread(target=serve, daemon=True).start()
        source = open_source(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert len(list(source)) == 12
    assert source.problems == []


def test_of_a_live_stream_the_newest_frame_comes(make_video: MakeVideo) -> None:
    """By UDP nobody waits: a slow reader gets fewer frames, in their order, and knows how many are left out."""
    content = mpegts(make_video("walk.mp4", 30))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stream = open_stream(f"udp://127.0.0.1:{port}?timeout=1000000")
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():  # a channel that shows the same again and again
                for start in range(0, len(content), 1316):
                    sender.sendto(content[start : start + 1316], ("127.0.0.1", port))
                    time.sleep(0.0005)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    indices = []
    for index, _, _ in stream.frames():
        indices.append(index)
        if stream.num_left_out > 5 and len(indices) > 3:
            break
        time.sleep(0.02)
    stop.set()
    thread.join()
    assert stream.live
    assert indices == sorted(set(indices))
    assert stream.num_left_out > 5


def test_nobody_there_is_a_problem_and_no_traceback(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"http://me:secret@127.0.0.1:{port}/live.mp4"
    assert predict(models["pose"], address, tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert "results of 0 images" in out
    assert err.count(f"http://127.0.0.1:{port}/live.mp4: the stream cannot be read") == 1
    assert "secret" not in out + err


def test_results_are_written_as_of_videos(models: dict[str, str], address: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(models["pose"], address, out, "--formats", "json", "overlay", "--track") == 0
    assert len(list((out / "pose/keypoints/walk").glob("*.json"))) == 12
    assert (out / "pose/overlay/walk.mp4").is_file()
    summary = json.loads((out / "videos/walk.json").read_text())
    assert (summary["file"], summary["frames"], summary["left_out"]) == (address, 12, 0)
    assert predict(models["pose"], address, out, "--resume") == 1  # a stream does not begin again


def test_ctrl_c_ends_a_stream_in_order(
    models: dict[str, str], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fifth frame brings the signal: what came before is there, the overlay is whole, the status is 0."""
    original = Stream.frames

    def frames(self: Stream, wanted: Any) -> Iterator[Any]:
        for found in original(self, wanted):
            if found[0] == 5:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)
            yield found

    monkeypatch.setattr(Stream, "frames", frames)
    out = tmp_path / "out"
    options = ["--formats", "json", "overlay", "--batch_size", "2"]
    assert predict(models["pose"], address, out, *options) == 0
    assert len(list((out / "pose/keypoints/walk").glob("*.json"))) == 5
    assert (out / "pose/overlay/walk.mp4").is_file()
    assert json.loads((out / "videos/walk.json").read_text())["frames"] == 5


def predict(model: str, address: str, out: Path, *options: str) -> int:
    return main(
        ["predict", "--model", model, "--images", address, "--output", str(out), "--device", "cpu", *options]
    )
