"""Views of an image: rectangles of the asked aspect, and colors that never meet a global one."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.datasets.unlabeled import Picture, UnlabeledDataset, Views
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.geometric import apply_affine, invert
from sapiens2_lit.transforms.views import (
    ColorAugmentation,
    MultiCropAugmentation,
    cut_view,
    draw_view,
    plain_view,
)

SETTINGS = MultiCropAugmentation()
STRONG = ColorAugmentation(photometric=1, gray=1, blur=1, solarize=1)


@pytest.mark.parametrize("region", [(0.0, 0.0, 400.0, 300.0), (50.0, 20.0, 100.0, 260.0)])
@pytest.mark.parametrize("scale", [(0.5, 1.0), (0.2, 0.7)])
def test_crops_lie_in_the_region_and_keep_its_share(region: Any, scale: tuple[float, float]) -> None:
    rng, size = np.random.default_rng(0), (64, 48)
    corners = np.array([[-0.5, -0.5], [47.5, 63.5]])
    shares = []
    for _ in range(50):
        affine = draw_view(region, size, scale, SETTINGS, rng)
        low, high = np.sort(apply_affine(invert(affine), corners), axis=0)
        assert (low >= np.array(region[:2]) - 0.5 - 1e-6).all()
        assert (high <= np.array(region[:2]) + region[2:] - 0.5 + 1e-6).all()
        width, height = high - low
        assert 3 / 4 - 1e-6 <= (width / height) / (48 / 64) <= 4 / 3 + 1e-6
        shares.append(width * height / (region[2] * region[3]))
    assert max(shares) <= scale[1] + 1e-6
    assert max(shares) > min(shares)


def test_the_plain_view_is_the_middle() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 15:45] = 200
    view = cut_view(image, plain_view((0, 0, 60, 40), (64, 48)), (64, 48))
    assert (view[:, 2:-2] == 200).all()
    assert view.mean() > 190, "between two pixels of the image there are mixtures"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """Of two colors that occur nowhere else: a view without color operations has these alone, and mixtures of them."""
    found = []
    for index in range(4):
        image = np.full((90, 70, 3), (10, 200, 60), np.uint8)
        cv2.imwrite(str(tmp_path / f"{index}.png"), image[..., ::-1])
        found.append(Picture(tmp_path / f"{index}.png", None, str(index)))
    return found


def dataset(pictures: list[Picture], colors: ColorAugmentation) -> UnlabeledDataset:
    views = Views((64, 48), (32, 32), 2, 4, MultiCropAugmentation(colors=colors))
    return UnlabeledDataset(pictures, views, 16, seed=0, training=True)


def test_no_color_operation_ever_meets_a_global_view(pictures: list[Picture]) -> None:
    data = dataset(pictures, STRONG)
    asked: list[tuple[int, ...]] = []
    vary = data.colors
    data.colors = lambda image, rng: asked.append(image.shape) or vary(image, rng)  # type: ignore[assignment, func-returns-value, return-value]
    for epoch in range(5):
        for index in range(4):
            sample = data[epoch, index]
            assert sample["image"].shape == (2, 3, 64, 48)
            for view in sample["image"]:
                assert (view.flatten(1).float().std(dim=1) == 0).all()
                assert view[:, 0, 0].tolist() == [10, 200, 60]
            assert all(view[:, 0, 0].tolist() != [10, 200, 60] for view in sample["local"])
    assert set(asked) == {(32, 32, 3)}
    assert len(asked) == 5 * 4 * 4


def test_views_are_the_samples_alone_and_new_in_every_epoch(pictures: list[Picture]) -> None:
    data = dataset(pictures, ColorAugmentation())
    first, again, later = data[0, 1], data[0, 1], data[1, 1]
    assert (first["local"] == again["local"]).all()
    assert first["seed"] == again["seed"] != later["seed"]
    assert (first["local"] != later["local"]).any()


def test_settings_out_of_range_are_errors() -> None:
    with pytest.raises(SettingError, match="global_scale"):
        MultiCropAugmentation(global_scale=(0.9, 0.5))
    with pytest.raises(SettingError, match="hue"):
        ColorAugmentation(hue=0.7)
