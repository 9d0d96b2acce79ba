"""Masks from disk: every coding of a png that holds indices, and clear errors for the rest."""

import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.data.labels.base import MaskFolder, stem_of
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.geometric import compose, mirror, translation
from sapiens2_lit.vocabularies import Classes, load_classes

BODY = load_classes("body29")
INDICES = np.random.default_rng(0).integers(0, 29, (20, 30), dtype=np.uint8)


def read(folder: Path, values: np.ndarray | Image.Image, classes: Classes = BODY) -> np.ndarray:
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(folder / "a.png")
    return MaskFolder(folder, classes).read(Path("a.jpg"), "a", (20, 30))


def palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, mode="P")
    image.putpalette(np.random.default_rng(1).integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("coding", ["grey", "palette", "grey16"])
def test_indices_come_as_they_were_written(tmp_path, coding):
    written = {"grey": INDICES, "palette": palette(INDICES), "grey16": INDICES.astype(np.uint16)}[coding]
    np.testing.assert_array_equal(read(tmp_path, written), INDICES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_not_stretched(tmp_path, bits):
    values = INDICES % 2**bits
    shifts = np.arange(8 - bits, -1, -bits)
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % len(shifts))))
    packed = (padded.reshape(20, -1, len(shifts)) << shifts).sum(axis=2).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 30, 20, bits, 0, 0, 0, 0)
    png = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    np.testing.assert_array_equal(MaskFolder(tmp_path, BODY).read(Path("a.jpg"), "a", (20, 30)), values)


def test_other_codings_are_remapped(tmp_path):
    (tmp_path / "two.yaml").write_text(
        "{classes: [background, person], remap: {0: background, 38: person, 75: ignore}}"
    )
    two = load_classes(tmp_path / "two.yaml")
    values = np.random.default_rng(0).choice(np.array([0, 38, 75, 255], np.uint8), (20, 30))
    found = read(tmp_path, values, two)
    for value, index in {0: 0, 38: 1, 75: 255, 255: 255}.items():
        assert (found[values == value] == index).all()
    values[3, 4] = 5
    with pytest.raises(
        DataError, match=r"a.png: the mask has the values 5; two expects only values that its `remap`"
    ):
        read(tmp_path, values, two)


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 30, 3), np.uint8), r"a.png: the mask has 3 channels \(RGB\), expected one"),
        (np.zeros((20, 30, 4), np.uint8), r"4 channels \(RGBA\)"),
        (np.full((20, 30), 29, np.uint8), r"has the values 29; body29 expects 0..28, or 255"),
        (np.arange(600, dtype=np.uint8).reshape(20, 30), r"29, 30, 31, 32, 33, 34, 35, 36 and 218 more"),
        (np.full((20, 30), 300, np.uint16), r"has values up to 300, expected classes of 0..255"),
        (palette(np.full((20, 30), 77, np.uint8)), r"has the values 77"),
        (np.zeros((30, 20), np.uint8), r"is 20 x 30 \(turned: .*\), its image a.jpg is 30 x 20"),
        (np.zeros((10, 15), np.uint8), r"is 15 x 10, its image a.jpg is 30 x 20 .* by nearest neighbor"),
    ],
)
def test_what_is_no_mask_is_said(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, values)


def test_broken_and_absent_files(tmp_path):
    masks = MaskFolder(tmp_path, BODY)
    with pytest.raises(DataError, match=r"a.png: the mask does not exist"):
        masks.read(Path("a.jpg"), "a", (20, 30))
    read(tmp_path, INDICES)
    whole = (tmp_path / "a.png").read_bytes()
    for broken in (b"", b"no image", whole[: len(whole) // 2], whole[:40]):
        (tmp_path / "a.png").write_bytes(broken)
        with pytest.raises(DataError, match=r"a.png: the mask cannot be read as png"):
            masks.read(Path("a.jpg"), "a", (20, 30))
    with pytest.raises(DataError, match=r"nowhere does not exist: `data.masks` must be a folder"):
        MaskFolder(tmp_path / "nowhere", BODY)


def test_every_image_must_have_its_mask(tmp_path):
    (tmp_path / "deep").mkdir()
    for stem in ("a", "deep/b", "c.v1"):
        Image.fromarray(INDICES).save(tmp_path / f"{stem}.png")
    masks = MaskFolder(tmp_path, BODY)
    masks.check([stem_of(name) for name in ("a.jpg", "deep/b.png", "c.v1.webp")])
    with pytest.raises(DataError) as caught:
        masks.check(["a", "b", "deep/a", "other/a"])
    assert "3 problems" in str(caught.value)
    assert "deep/a: the image has no `segmentation` label, expected deep/a.png here" in str(caught.value)
    assert "splits/*.txt with only the stems that have one" in str(caught.value)
    (tmp_path / "deep" / "a.bmp").touch()
    with pytest.raises(DataError, match=r"expected deep/a.png here, found a.bmp: convert or rename it"):
        masks.check(["a", "deep/a"])


def test_outside_is_ignored_and_mirrors_swap(tmp_path):
    masks = pickle.loads(pickle.dumps(MaskFolder(tmp_path, BODY)))
    moved = masks.warp(INDICES, translation(10, 0), (20, 30)).numpy()
    assert moved.dtype == np.int64
    assert (moved[:, :10] == 255).all()
    np.testing.assert_array_equal(moved[:, 10:], INDICES[:, :20])
    flipped = masks.warp(INDICES, compose(translation(10, 0), mirror(30)), (20, 30)).numpy()
    assert (flipped[:, :10] == 255).all()
    np.testing.assert_array_equal(flipped[:, 10:], np.array(BODY.swap)[INDICES[:, ::-1]][:, :20])
