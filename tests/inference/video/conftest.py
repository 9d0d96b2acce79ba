"""Small videos whose frames tell their own number: frame i is uniformly of brightness 20 + 6 i but for a red corner."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

SIZE = (48, 64)
MakeVideo = Callable[..., Path]


def numbered_frame(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGB uint8 of a frame; its left upper quarter is red."""
    image = np.full((*size, 3), 20 + 6 * (index % 36), dtype=np.uint8)
    image[: size[0] // 2, : size[1] // 2] = (255, 0, 0)
    return image


def number_of(image: np.ndarray) -> int:
    """The number of a frame, from its right lower quarter."""
    height, width = image.shape[:2]
    return round((float(np.mean(image[height // 2 + 4 :, width // 2 + 4 :])) - 20) / 6)


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """`make_video(name, num, times=None, codec="libx264")`: `times` in milliseconds, else 25 frames a second."""
    av = pytest.importorskip("av")

    def make(
        name: str = "clip.mp4", num: int = 30, times: Sequence[int] | None = None, codec: str = "libx264"
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(path, "w") as container:
            stream = container.add_stream(
                codec, rate=25, options={"g": "10", "bf": "2", "preset": "veryfast"}
            )
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = 4_000_000
            stream.codec_context.time_base = Fraction(1, 1000)
            for index in range(num):
                frame = av.VideoFrame.from_ndarray(numbered_frame(index), format="rgb24")
                frame.pts = times[index] if times is not None else 40 * index
                frame.time_base = Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return make


def spoil(path: Path, packet: int) -> None:
    """Overwrite one packet of a video, in the order of the file, with noise."""
    import av

    with av.open(path) as container:
        places = [(found.pos, found.size) for found in container.demux(video=0) if found.size]
    position, size = places[packet]
    data = bytearray(path.read_bytes())
    data[position + 5 : position + size] = np.random.default_rng(0).bytes(size - 5)
    path.write_bytes(data)


def turn(path: Path) -> None:
    """Let the display matrix of an mp4 say: turn a quarter clockwise to show."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    values = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)
