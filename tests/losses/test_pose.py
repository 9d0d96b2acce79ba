"""Heatmap losses on factored targets against the plain formula on drawn ones."""

import pytest
import torch
from helpers import GOLDEN, assert_golden_loss
from safetensors.torch import load_file

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.errors import SettingError
from sapiens2_lit.losses import KeypointMSE, KeypointOHKM
from sapiens2_lit.losses import pose as pose_module
from sapiens2_lit.losses.pose import heatmap_squared_error


def problem(batch=2, keypoints=5, size=(16, 12), dtype=torch.float32, error=0.3):
    """Targets' factors and weights, a prediction near the targets, and the drawn targets."""
    generator = torch.Generator().manual_seed(0)
    codec = UDPHeatmapCodec((size[0] * 4, size[1] * 4), size, 1.5)
    points = torch.rand(batch, keypoints, 3, generator=generator, dtype=torch.float64)
    points *= torch.tensor([size[1] * 4, size[0] * 4, 1])
    points[:, 0, 2] = 0
    gx, gy, weight = codec.encode_separable(points)
    target = gy[..., :, None] * gx[..., None, :]
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    prediction = (target + error * noise).to(dtype).requires_grad_()
    kind = dtype if dtype == torch.float64 else torch.float32
    return prediction, gx.to(kind), gy.to(kind), weight.to(kind), target


def direct(prediction, target, weight):
    return 10 * (weight[..., None, None] * (prediction - target) ** 2).mean()


def test_mse_is_golden_in_value_and_gradient():
    golden = load_file(GOLDEN / "pose_codec.safetensors")
    keypoints = torch.cat([golden["keypoints"], golden["visible"][:, None]], dim=1)[None]
    factors = UDPHeatmapCodec((256, 192), (64, 48), 2.0).encode_separable(keypoints)
    prediction = golden["noisy"][None].requires_grad_()
    assert_golden_loss("pose.KeypointMSE", KeypointMSE()(prediction, *factors), prediction)


def test_squared_error_has_the_right_gradient():
    prediction, gx, gy, _, target = problem(keypoints=2, size=(5, 4), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: heatmap_squared_error(p, gx, gy), prediction)
    torch.testing.assert_close(
        heatmap_squared_error(prediction, gx, gy), ((prediction - target) ** 2).sum(dim=(2, 3))
    )


@pytest.mark.parametrize("error", [1.0, 1e-2, 1e-4, 1e-6])
def test_mse_is_accurate_down_to_convergence(error):
    prediction, gx, gy, weight, _ = problem(size=(64, 48), error=error)
    loss = KeypointMSE()(prediction, gx, gy, weight)
    (gradient,) = torch.autograd.grad(loss, prediction)
    exact = prediction.detach().double().requires_grad_()
    # the factors as the loss had them: float32
    target = gy.double()[..., :, None] * gx.double()[..., None, :]
    expected = direct(exact, target, weight.double())
    (expected_gradient,) = torch.autograd.grad(expected, exact)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (gradient - expected_gradient).norm() < 1e-5 * expected_gradient.norm() + 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_predictions_are_summed_in_float32(dtype):
    prediction, gx, gy, weight, target = problem(size=(64, 48), dtype=dtype)
    loss = KeypointMSE()(prediction, gx, gy, weight)
    loss.backward()
    exact = prediction.detach().double().requires_grad_()
    expected = direct(exact, target, weight.double())
    expected.backward()
    assert loss.dtype == torch.float32 and prediction.grad.dtype == dtype
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    error = (prediction.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < torch.finfo(dtype).eps


def test_chunks_and_memory_layout_change_nothing(monkeypatch):
    prediction, gx, gy, weight, _ = problem(batch=3, keypoints=7)
    loss = KeypointMSE()(prediction, gx, gy, weight)
    (gradient,) = torch.autograd.grad(loss, prediction)
    for elements in (1, 16 * 12 * 3, 16 * 12 * 7 * 2):
        monkeypatch.setattr(pose_module, "_CHUNK", elements)
        layout = prediction.detach().to(memory_format=torch.channels_last).requires_grad_()
        again = KeypointMSE()(layout, gx, gy, weight)
        (same,) = torch.autograd.grad(again, layout)
        torch.testing.assert_close(again, loss)
        torch.testing.assert_close(same, gradient)
        assert same.stride() == layout.stride()


def test_ohkm_is_the_mean_of_the_worst():
    prediction, gx, gy, weight, target = problem(dtype=torch.float64)
    errors = weight * ((prediction - target) ** 2).mean(dim=(2, 3))
    expected = 10 * errors.sort(dim=1, descending=True).values[:, :3].mean()
    loss = KeypointOHKM(weight=10.0, top_k=3)(prediction, gx, gy, weight)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, prediction, retain_graph=True)
    (expected_gradient,) = torch.autograd.grad(expected, prediction)
    torch.testing.assert_close(gradient, expected_gradient)
    assert (gradient.flatten(2).abs().sum(dim=2) > 0).sum(dim=1).tolist() == [3, 3]


def test_ohkm_over_all_keypoints_is_the_mse():
    prediction, gx, gy, weight, _ = problem()
    all_of_them = KeypointOHKM(weight=10.0, top_k=5)(prediction, gx, gy, weight)
    torch.testing.assert_close(all_of_them, KeypointMSE()(prediction, gx, gy, weight))


@pytest.mark.parametrize("term", [KeypointMSE(), KeypointOHKM(top_k=2)])
def test_without_labels_loss_and_gradient_are_zero(term):
    prediction, gx, gy, weight, _ = problem()
    loss = term(prediction, gx * 0, gy * 0, weight * 0)
    loss.backward()
    assert loss.item() == 0 and torch.equal(prediction.grad, torch.zeros_like(prediction))


@pytest.mark.parametrize("term", [KeypointMSE(), KeypointOHKM(top_k=2)])
@pytest.mark.parametrize("keypoint", [0, 3])
def test_nan_predictions_are_not_masked(term, keypoint):
    """Keypoint 0 is unlabelled: a network that went wrong there went wrong all the same."""
    prediction, gx, gy, weight, _ = problem()
    with torch.no_grad():
        prediction[0, keypoint, 2, 2] = torch.nan
    assert term(prediction, gx, gy, weight).isnan()


def test_ohkm_wants_no_more_keypoints_than_there_are():
    prediction, gx, gy, weight, _ = problem()
    with pytest.raises(SettingError, match=r"top_k.*128.*5"):
        KeypointOHKM()(prediction, gx, gy, weight)
    with pytest.raises(SettingError, match=r"top_k.*0"):
        KeypointOHKM(top_k=0)


def test_traces_as_one_graph():
    prediction, gx, gy, weight, _ = problem()
    compiled = torch.compile(KeypointMSE(), backend="aot_eager", fullgraph=True)
    (gradient,) = torch.autograd.grad(compiled(prediction, gx, gy, weight), prediction)
    (expected,) = torch.autograd.grad(KeypointMSE()(prediction, gx, gy, weight), prediction)
    torch.testing.assert_close(gradient, expected)
