"""Labels without geometry through one affine: what counts, classes and colors."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.data.labels.base import MaskFolder
from sapiens2_lit.data.labels.color import AlbedoFolder, AlphaFolder, ForegroundFolder
from sapiens2_lit.data.labels.depth import DepthFolder
from sapiens2_lit.data.labels.warp import read_rasters, warp_rasters
from sapiens2_lit.transforms.geometric import compose, mirror, resizing, translation
from sapiens2_lit.vocabularies import load_classes


def test_what_counts_does_not_grow_and_is_not_mixed_with_what_does_not(tmp_path):
    depth = np.full((60, 60), 2.0, np.float32)
    depth[:, 30:] = 0
    depth[10:14, 5:9] = np.inf
    (tmp_path / "depths").mkdir()
    np.save(tmp_path / "depths" / "a.npy", depth)
    folder = DepthFolder(tmp_path / "depths")
    label = folder.read(Path("a.jpg"), "a", (60, 60))
    assert label.invalid == 16
    for factor in (0.2, 0.7, 3.0):
        size = (round(60 * factor), round(60 * factor))
        sample = warp_rasters([folder], {"depth": label}, resizing(factor, factor), size)
        counted = sample["depth"][sample["valid"]]
        assert (counted - 2).abs().max() < 1e-5, "a mixture with zeros would be nearer"
        assert counted.numel() / (size[0] * size[1]) == pytest.approx(0.5 - 16 / 3600, abs=0.02)
        assert (sample["depth"][~sample["valid"]] == 0).all()


def test_classes_swap_beside_fields_and_mattes_say_where_the_image_ends(tmp_path):
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (40, 30), dtype=np.uint8)
    color = (rng.random((40, 30, 3)) * alpha[..., None]).astype(np.uint8)
    albedo = rng.integers(1, 256, (40, 30, 3), dtype=np.uint8)
    labels = rng.integers(0, 29, (40, 30), dtype=np.uint8)
    for name, values in {"alphas": alpha, "foregrounds": color, "albedos": albedo, "masks": labels}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(values).save(tmp_path / name / "a.png")
    body = load_classes("body29")
    alphas = AlphaFolder(tmp_path / "alphas")
    rasters = [
        MaskFolder(tmp_path / "masks", body), alphas, AlbedoFolder(tmp_path / "albedos"),
        ForegroundFolder(tmp_path / "foregrounds", alphas),
    ]  # fmt: skip
    affine = compose(translation(10, 0), mirror(30))
    sample = warp_rasters(rasters, read_rasters(rasters, Path("a.jpg"), "a", (40, 30)), affine, (40, 40))
    np.testing.assert_array_equal(sample["segmentation"][:, 10:], np.array(body.swap)[labels[:, ::-1]])
    assert (sample["segmentation"][:, :10] == 255).all()
    assert sample["alpha"][..., :10].isnan().all()
    np.testing.assert_allclose(sample["alpha"][0, :, 10:], alpha[:, ::-1] / 255, atol=1e-6)
    assert (sample["foreground"][..., :10] == 0).all()
    np.testing.assert_allclose(
        sample["foreground"][..., 10:].permute(1, 2, 0), color[:, ::-1] / 255, atol=1e-6
    )
    assert sample["valid"][..., 10:].all()
    assert not sample["valid"][..., :10].any()
    straight = ForegroundFolder(tmp_path / "foregrounds", alphas, premultiplied=False)
    values = straight.read(Path("a.jpg"), "a", (40, 30)).values
    np.testing.assert_allclose(values, color / 255 * alpha[..., None] / 255, atol=1e-6)
