"""Photographs of every kind come out as upright RGB, and broken ones as errors with their names."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import DataError


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth, so that JPEG keeps it, and without symmetry, so that turns show."""
    rows, columns = np.mgrid[:64, :96]
    return np.stack([rows * 3, columns * 2, 250 - rows - columns], axis=2).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif"])
def test_color_survives(tmp_path, picture, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture).save(path, quality=98)
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - picture).mean() < 2


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, picture, suffix, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    # how a camera held so would have stored the upright picture
    undo = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.ascontiguousarray(undo)).save(path, exif=exif, quality=98)
    assert np.abs(read_image(path).astype(int) - picture).mean() < 3


def test_grey_palette_bilevel_and_cmyk_become_rgb(tmp_path, picture):
    image = Image.fromarray(picture)
    for name, converted in (
        ("grey.png", image.convert("L")),
        ("grey.jpg", image.convert("L")),
        ("palette.png", image.quantize(256)),
        ("bilevel.png", image.convert("1")),
        ("cmyk.jpg", image.convert("CMYK")),
    ):
        converted.save(tmp_path / name)
        expected = np.asarray(converted.convert("RGB")).astype(int)
        read = read_image(tmp_path / name)
        assert read.shape == (64, 96, 3), name
        assert np.abs(read - expected).mean() < 4, name


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bit_is_scaled_to_8(tmp_path, picture, channels):
    deep = picture[..., :channels].astype(np.uint16) * 257
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep[..., ::-1])
    read = read_image(tmp_path / "deep.png")
    np.testing.assert_array_equal(read, np.broadcast_to(picture[..., :channels], picture.shape))


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_alpha_is_dropped_not_composited(tmp_path, picture, suffix):
    alpha = np.full((64, 96, 1), 100, dtype=np.uint8)
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(path, lossless=True, exact=True)
    np.testing.assert_array_equal(read_image(path), picture)


def encode(picture: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    thumbnail = {"exif": b"Exif\0\0" + b"\xff\xd8\xff\xd9"} if kind == "JPEG" else {}
    Image.fromarray(picture).save(buffer, kind, **thumbnail)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_truncated_files_are_errors(tmp_path, kind, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encode(noise, kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"cut.img: .*truncated"):
        read_image(path)


def test_missing_empty_and_foreign_files_are_errors(tmp_path):
    with pytest.raises(DataError, match=r"none.jpg: the image does not exist"):
        read_image(tmp_path / "none.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(DataError, match=r"empty.jpg: the image is empty \(0 bytes\)"):
        read_image(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(DataError, match=r"text.jpg: 26 bytes that cannot be decoded"):
        read_image(tmp_path / "text.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("damage", ["zeros", "lost", "flipped"])
def test_what_a_jpeg_decoder_warns_of_is_damage(tmp_path, capfd, settings, damage):
    """OpenCV's decoder prints that it warns and gives another picture: just then it is an error here."""
    rng = np.random.default_rng(0)
    path = tmp_path / "a.jpg"
    refused = 0
    for _ in range(30):
        noise = cv2.resize(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), (256, 192))
        data = bytearray(encode_jpeg(noise, settings))
        place = int(rng.integers(data.rfind(b"\xff\xda") + 20, len(data) - 250))
        if damage == "zeros":
            data[place : place + 200] = bytes(200)
        elif damage == "lost":
            del data[place : place + 40]
        else:
            data[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(data))
        capfd.readouterr()
        cv2.imdecode(np.frombuffer(bytes(data), dtype=np.uint8), cv2.IMREAD_COLOR)
        warned = "Corrupt JPEG data" in capfd.readouterr().err
        try:
            read_image(path)
            raised = False
        except DataError as error:
            raised = True
            assert "a.jpg: the JPEG is damaged: " in str(error)
        assert raised == warned
        refused += raised
    assert refused > 0


def encode_jpeg(picture, settings):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=90, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_truncated_bmp_and_tiff_are_errors(tmp_path, kind, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    data = encode(noise, kind)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"cut.img"):
        read_image(path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_damaged_tiff_is_an_error(tmp_path, compression):
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    Image.fromarray(noise).save(path, compression=compression)
    data = bytearray(path.read_bytes())
    data[500] ^= 0x10
    path.write_bytes(bytes(data))
    try:
        damaged = read_image(path)
    except DataError as error:
        assert "damaged" in str(error) or "decoded" in str(error)
    else:
        assert compression == "tiff_lzw"  # which has no check sum
        assert damaged.shape == noise.shape


def test_jpegs_come_out_as_opencv_decodes_them(tmp_path):
    rng = np.random.default_rng(0)
    for number, settings in enumerate([{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}]):
        picture = cv2.resize(rng.integers(0, 256, (20, 31, 3), dtype=np.uint8), (203, 155))
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(picture).save(path, quality=80 + number, **settings)
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[..., ::-1])


def test_pictures_of_people_agree_with_pillow(coco_people):
    paths = sorted((coco_people / "images").glob("*.jpg"))
    assert len(paths) >= 4
    for path in paths:
        expected = np.asarray(Image.open(path).convert("RGB"))
        assert np.abs(read_image(path).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("seed", range(5))
def test_photos_with_a_video_behind_them_are_whole(tmp_path, picture, seed):
    path = tmp_path / "motion.jpg"
    Image.fromarray(picture).save(path, quality=98)
    whole = read_image(path)
    path.write_bytes(path.read_bytes() + np.random.default_rng(seed).bytes(500_000))
    assert np.array_equal(read_image(path), whole)
