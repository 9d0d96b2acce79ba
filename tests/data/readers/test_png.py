"""Plain png files are read as OpenCV and Pillow read them; all others are left to those."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sapiens2_lit.data.readers.arrays import read_array
from sapiens2_lit.data.readers.png import read_unfiltered
from sapiens2_lit.errors import DataError

PLAIN = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE]
FILTERED = [cv2.IMWRITE_PNG_COMPRESSION, 3, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH]


def values(dtype: type, channels: int, height: int = 13) -> npt.NDArray[np.integer]:
    shape = (height, 7, channels) if channels > 1 else (height, 7)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def encode(stored: npt.NDArray[np.integer], settings: list[int] = PLAIN) -> bytes:
    """Of RGB(A), which OpenCV takes the other way round."""
    turned = stored if stored.ndim == 2 else stored[..., [2, 1, 0, 3][: stored.shape[2]]]
    return cv2.imencode(".png", np.ascontiguousarray(turned), settings)[1].tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("height", [1, 13])
def test_numbers_are_those_that_were_written(dtype: type, channels: int, height: int, tmp_path: Path) -> None:
    stored = values(dtype, channels, height)
    found = read_unfiltered(encode(stored))
    assert found is not None
    assert found.dtype == dtype
    assert found.flags.writeable
    np.testing.assert_array_equal(found, stored)
    for name, settings in (("plain", PLAIN), ("filtered", FILTERED)):
        (tmp_path / f"{name}.png").write_bytes(encode(stored, settings))
        np.testing.assert_array_equal(read_array(tmp_path / f"{name}.png", "normal"), stored)


def test_palettes_are_left_to_others() -> None:
    picture = Image.fromarray(values(np.uint8, 1) % 4, mode="L").convert("P", palette=Image.Palette.ADAPTIVE)
    buffer = io.BytesIO()
    picture.save(buffer, "png", bits=8)
    assert read_unfiltered(buffer.getvalue()) is None


def transparent(data: bytes) -> bytes:
    """With a chunk that makes a color transparent, of which OpenCV makes a channel."""
    body = b"tRNS" + bytes(6)
    chunk = (6).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    place = data.index(b"IDAT") - 4
    return data[:place] + chunk + data[place:]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-20],
        lambda data: data[:30],
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"IDAT", b"IDAS", 1),
        lambda data: data[:60] + bytes([data[60] ^ 255]) + data[61:],
        lambda data: b"",
        lambda data: b"\xff\xd8" + data,
        transparent,
    ],
)
def test_damaged_and_unusual_files_are_left_to_others(spoil, tmp_path: Path) -> None:
    data = spoil(encode(values(np.uint8, 3)))
    assert read_unfiltered(data) is None
    (tmp_path / "a.png").write_bytes(data)
    if spoil is not transparent:
        with pytest.raises(DataError, match=r"a\.png"):
            read_array(tmp_path / "a.png", "albedo")
