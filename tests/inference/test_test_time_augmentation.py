"""What resizing, mirroring and several scales do to predictions."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.test_time_augmentation import scaled_sizes
from sapiens2_lit.models.multi_scale import resample_heatmaps

SIZE = (64, 48)


def test_four_times_the_image_is_four_times_the_prediction(
    maps_of: Any, every_head: InferenceModel, picture: Any
) -> None:
    small = picture(*SIZE)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    predictor = Predictor(every_head, detector=None)
    first, second = predictor.predict([small, large])
    moved = 4 * (first.instances[0].keypoints[:, :2] + 0.5) - 0.5
    np.testing.assert_allclose(second.instances[0].keypoints[:, :2], moved, atol=1e-3)
    assert first.focal is not None and second.focal == pytest.approx(4 * first.focal, rel=1e-5)
    for (head, key), values in maps_of(first).items():
        found = second.maps[head][key]
        if key == "segmentation":
            with torch.no_grad():
                logits = every_head(torch.from_numpy(small).permute(2, 0, 1)[None])["seg"]
            wanted = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
            assert (
                found == wanted[0].argmax(dim=0).numpy()
            ).mean() > 0.995  # but for classes between two others
            continue
        tensor = torch.from_numpy(np.atleast_3d(values)).permute(2, 0, 1)[None]
        wanted = F.interpolate(tensor, scale_factor=4, mode="bilinear", align_corners=False)
        if key == "normal":
            wanted = F.normalize(wanted, dim=1)
        np.testing.assert_allclose(
            np.atleast_3d(found), wanted[0].permute(1, 2, 0), rtol=1e-4, atol=1e-4, err_msg=f"{head} {key}"
        )


def test_a_mirrored_image_gives_a_mirrored_prediction(every_head: InferenceModel, picture: Any) -> None:
    image = picture(*SIZE)
    predictor = Predictor(every_head, flip=True, detector=None)
    first, second = predictor.predict([image, np.ascontiguousarray(image[:, ::-1])])
    swap = first.heads["pose"].skeleton.swap
    mirrored = first.instances[0].keypoints[list(swap)] * [-1, 1, 1] + [SIZE[1] - 1, 0, 0]
    np.testing.assert_allclose(second.instances[0].keypoints, mirrored, atol=1e-3)
    for head, key in (("normal", "normal"), ("pointmap", "pointmap"), ("albedo", "albedo")):
        sign = 1 if key == "albedo" else np.array([-1, 1, 1])
        np.testing.assert_allclose(
            second.maps[head][key], first.maps[head][key][:, ::-1] * sign, atol=1e-4, err_msg=key
        )


def test_several_scales_keep_shapes_and_say_which_heads_cannot(
    maps_of: Any, every_head: InferenceModel, picture: Any, caplog: pytest.LogCaptureFixture
) -> None:
    image = picture(90, 70)
    once = Predictor(every_head, detector=None).predict(image)
    several = Predictor(every_head, detector=None, scales=(0.75, 1.0, 1.34)).predict(image)
    assert "the head pointmap predicts only at the size of the input" in caplog.text
    first, second = maps_of(once), maps_of(several)
    assert {key: value.shape for key, value in first.items()} == {
        key: value.shape for key, value in second.items()
    }
    assert not np.allclose(first["normal", "normal"], second["normal", "normal"])
    np.testing.assert_array_equal(first["pointmap", "pointmap"], second["pointmap", "pointmap"])
    np.testing.assert_allclose(np.linalg.norm(second["normal", "normal"], axis=2), 1, atol=1e-5)


def test_heatmaps_of_another_size_keep_their_keypoints() -> None:
    """An input resized by s shows pixel x at s (x + 0.5) - 0.5, its heatmaps follow UDP."""
    torch.manual_seed(0)
    sizes = (128, 96), (160, 112)
    maps = (32, 24), (40, 28)
    target, other = (UDPHeatmapCodec(size, grid, 2.0) for size, grid in zip(sizes, maps, strict=True))
    points = torch.cat([20 + 50 * torch.rand(1, 9, 2), torch.ones(1, 9, 1)], dim=2)
    scale = torch.tensor([112 / 96, 160 / 128])
    moved = torch.cat([scale * (points[..., :2] + 0.5) - 0.5, points[..., 2:]], dim=2)
    heatmaps, _ = other.encode(moved)
    found = target.decode(resample_heatmaps(heatmaps, sizes[1], sizes[0]))
    assert (found - points)[..., :2].abs().max() < 0.15
    same = resample_heatmaps(heatmaps, sizes[1], sizes[1])
    torch.testing.assert_close(same, heatmaps, rtol=0, atol=1e-5)


def test_sizes_are_multiples_of_the_patch() -> None:
    assert scaled_sizes((1024, 768), (1, 1.25, 1.001), 16) == [(1024, 768), (1280, 960)]
