"""Images that claim more pixels than the limit are refused by their headers, in every reader of photographs."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.cli.main import main
from sapiens2_lit.data.pixel_limit import MAX_PIXELS, VARIABLE, max_pixels, set_max_pixels
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import DataError, SettingError


def png_that_claims(path: Path, width: int, height: int) -> Path:
    """The start of a png: its header, and no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    idat = b"IDAT" + zlib.compress(b"")
    data = struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
    return path


@pytest.mark.parametrize(("width", "height"), [(15000, 14000), (30000, 30000)])
def test_a_header_is_enough_to_refuse(tmp_path: Path, width: int, height: int) -> None:
    path = png_that_claims(tmp_path / "a.png", width, height)
    with pytest.raises(DataError) as raised:
        read_image(path)
    message = str(raised.value)
    assert str(path) in message and f"{width * height:,} pixels" in message and f"{MAX_PIXELS:,}" in message


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_the_limit_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(path)
    monkeypatch.setenv(VARIABLE, "1200")
    assert read_image(path).shape == (40, 30, 3)
    set_max_pixels(1199)
    with pytest.raises(DataError, match=r"30 x 40 = 1,200 pixels, expected 1,199 at most"):
        read_image(path)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1e6"])
def test_a_limit_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(SettingError, match=f"{VARIABLE}: found '{value}'"):
        max_pixels()


def test_the_option_is_checked(capsys: pytest.CaptureFixture) -> None:
    assert main(["predict", "--model", "a/b", "--images", "x.png", "--max_pixels", "0"]) == 1
    assert "--max_pixels: found 0" in capsys.readouterr().err


def test_an_upload_is_limited_by_bytes_and_by_pixels(tmp_path: Path) -> None:
    pytest.importorskip("gradio")
    from sapiens2_lit.app.page import read_upload

    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "good.png")
    assert np.array_equal(read_upload(tmp_path / "good.png", 1), noise)
    with pytest.raises(DataError, match=r"good\.png: the file has 0\.0 MB, expected 0\.01 MB at most"):
        read_upload(tmp_path / "good.png", 0.01)
    with pytest.raises(DataError, match="pixels, expected"):
        read_upload(png_that_claims(tmp_path / "a.png", 15000, 14000), 1)
