"""Trimaps, per cent and other numbers that are no mattes."""

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.datamodules import AlbedoDataModule, MattingDataModule


def data_of(root, kind=MattingDataModule, **settings):
    data = kind(str(root), (64, 48), **{"val": None, "augment": None, "num_workers": 0, **settings})
    data.setup("fit")
    return data


def store(root, pictures, make, suffix=".png"):
    for index, one in enumerate(pictures):
        path = root / f"alphas/{index:04d}"
        path.with_suffix(".png").unlink()
        values = make(one.alpha)
        if suffix == ".png":
            cv2.imwrite(str(path) + suffix, values)
        else:
            np.save(str(path) + suffix, values)


def trimap(alpha):
    """0, 1, 2: nobody, unknown, a person."""
    return np.digitize(alpha, [0.02, 0.98])


def wide(alpha):
    """A trimap of 8 bits whose unknown part is some pixels wide."""
    unknown = cv2.dilate((trimap(alpha) == 1).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.where(unknown, 128, levels(0, 128, 255)(alpha)).astype(np.uint8)


def levels(*values, kind=np.uint8):
    return lambda alpha: np.array(values, kind)[trimap(alpha)]


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (levels(0, 128, 255), ".png"),
        (levels(0, 127, 255), ".png"),
        (levels(0, 64, 255), ".png"),
        (levels(0, 1, 2), ".png"),
        (levels(0, 32768, 65535, kind=np.uint16), ".png"),
        (levels(0, 0.5, 1, kind=np.float32), ".npy"),
        (lambda alpha: cv2.GaussianBlur(wide(alpha), (0, 0), 0.6), ".png"),
    ],
)
def test_trimaps_stop(folder, eight, make, suffix):
    root = folder(eight)
    store(root, eight, make, suffix)
    with pytest.raises(LabelError, match=r"trimaps.*8 of 8 mattes(.|\n)*data.alphas"):
        data_of(root)
    data_of(root, allow=["trimaps", "matte_range"])


@pytest.mark.parametrize(
    ("full", "kind", "what"),
    [
        (100, np.uint8, "percent"),
        (255, np.uint16, "8 bits"),
        (4095, np.uint16, "12 bits"),
        (1 / 255, np.float32, "mattes"),
    ],
)
def test_a_range_that_is_not_the_formats_stops(folder, eight, full, kind, what):
    root = folder(eight)
    suffix = ".npy" if kind is np.float32 else ".png"
    store(
        root,
        eight,
        lambda alpha: (alpha / alpha.max() * full + (0.5 if full > 1 else 0)).astype(kind),
        suffix,
    )
    with pytest.raises(LabelError, match=rf"matte_range.*{what}(.|\n)*multiply the values by"):
        data_of(root)


def test_masks_as_mattes_are_a_note(folder, eight):
    root = folder(eight)
    store(root, eight, lambda alpha: ((alpha > 0.5) * 255).astype(np.uint8))
    (found,) = data_of(root).report.findings
    assert (found.check, found.severity) == ("hard_mattes", "note")


def test_albedo_of_12_bits_in_16_stops(folder, eight):
    root = folder(eight)
    (root / "albedos").mkdir()
    for index, one in enumerate(eight):
        path = str(root / f"albedos/{index:04d}.png")
        cv2.imwrite(path, one.image.astype(np.uint16) * 16)
    with pytest.raises(LabelError, match=r"color_range.*nearly black"):
        data_of(root, AlbedoDataModule)
    for index, one in enumerate(eight):
        cv2.imwrite(str(root / f"albedos/{index:04d}.png"), one.image.astype(np.uint16) * 257)
    assert not data_of(root, AlbedoDataModule).report.findings
