"""Errors of mattes on shapes whose errors can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from sapiens2_lit.metrics.matting import MattingErrors, gradient_magnitude


def square(height=60, width=50, value=1.0):
    """Alpha `value` on 20 x 20 pixels, 0 elsewhere."""
    alpha = torch.zeros(1, 1, height, width)
    alpha[..., 5:25, 5:25] = value
    return alpha


def everywhere(alpha):
    return torch.ones_like(alpha, dtype=torch.bool)


def errors(prediction, target, valid=None, unknown=None):
    metric = MattingErrors()
    metric.update(prediction, target, everywhere(target) if valid is None else valid, unknown)
    return {name: value.item() for name, value in metric.compute().items()}


def test_a_perfect_matte_has_no_error():
    alpha = torch.rand(2, 1, 30, 40, generator=torch.Generator().manual_seed(0))
    assert errors(alpha, alpha) == dict.fromkeys(("sad", "mse", "gradient", "connectivity"), 0.0)


def test_differences_are_summed_in_thousands_and_averaged_over_images():
    target = torch.cat([square(), square()])
    prediction = torch.cat([square(value=0.5), square()])
    found = errors(prediction, target)
    assert found["sad"] == pytest.approx(0.5 * 400 / 1000 / 2)
    assert found["mse"] == pytest.approx(0.25 * 400 / 3000 / 2)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.0, math.pi / 2])
def test_gradient_of_a_ramp_is_its_slope_in_every_direction(angle):
    """The filter's energy is one, so that a slope of 1 measures sigma^2 sqrt(8 pi)."""
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    ramp = 0.01 * (math.cos(angle) * x + math.sin(angle) * y)
    inside = gradient_magnitude(ramp[None, None].double())[..., 4:-4, 4:-4]
    expected = torch.full_like(inside, 0.01 * 1.4**2 * math.sqrt(8 * math.pi))
    torch.testing.assert_close(inside, expected, rtol=0.02, atol=0)


def test_gradient_error_of_a_missed_matte_is_the_energy_of_its_edges():
    found = errors(torch.zeros(1, 1, 60, 50), square())
    energy = gradient_magnitude(square().double()).square().sum().item()
    assert found["gradient"] == pytest.approx(energy / 1000) and energy > 0
    assert errors(square(value=0.5), square())["gradient"] == pytest.approx(energy / 4000)


def with_island(value):
    alpha = square()
    alpha[..., 40:50, 30:40] = value
    return alpha


def test_loose_regions_are_disconnected_and_trifles_are_not():
    assert errors(with_island(0.5), square())["connectivity"] == pytest.approx(0.5 * 100 / 1000)
    assert errors(with_island(0.1), square())["connectivity"] == 0  # within the tolerance
    assert errors(with_island(0.5), with_island(0.5))["connectivity"] == 0  # loose in both
    # 0.75 and 1 hang together up to 0.7: the label exceeds that by 0.3, the prediction by a trifle
    assert errors(square(value=0.75), square())["connectivity"] == pytest.approx(0.3 * 400 / 1000)


def test_regions_that_touch_by_a_corner_are_apart():
    """Apart, the tenth that a region of the prediction lacks counts; hanging together, it is a trifle."""
    for column, expected in ((10, 0.1 * 9 / 1000), (5, 0.0)):
        target = torch.zeros(1, 1, 20, 20)
        target[..., 2:10, 2:10] = 1
        prediction = target.clone()
        target[..., 10:13, column : column + 3] = 1
        prediction[..., 10:13, column : column + 3] = 0.9
        assert errors(prediction, target)["connectivity"] == pytest.approx(expected, abs=1e-7)


def test_unknown_regions_are_scored_apart():
    unknown = torch.zeros(2, 1, 60, 50, dtype=torch.bool)
    unknown[0, :, :10] = True
    target = torch.cat([square(), square()])
    prediction = torch.cat([square(value=0.5), square(value=0.8)])
    found = errors(prediction, target, unknown=unknown)
    assert found["unknown_sad"] == pytest.approx(0.5 * 100 / 1000)
    assert found["unknown_mse"] == pytest.approx(0.25 * 100 / 500)
    assert 0 < found["unknown_gradient"] < found["gradient"] * 2
    assert 0 < found["unknown_connectivity"] < found["connectivity"] * 2
    assert not any(name.startswith("unknown") for name in errors(prediction, target))


def test_invalid_pixels_may_hold_anything_and_cost_nothing():
    valid = everywhere(square())
    valid[..., 5:25, 5:15] = False
    target = torch.where(valid, square(), torch.nan)
    found = errors(square(), target, valid)
    assert found == dict.fromkeys(("sad", "mse", "gradient", "connectivity"), 0.0)
    half = errors(square(value=0.5), target, valid)
    assert half["sad"] == pytest.approx(0.5 * 200 / 1000)
    assert np.isfinite(list(half.values())).all()


def test_images_without_a_valid_pixel_do_not_count():
    valid = everywhere(torch.cat([square(), square()]))
    valid[1] = False
    both = torch.cat([square(value=0.5), square(value=0.5)])
    found = errors(both, torch.cat([square(), square()]), valid)
    assert found["sad"] == pytest.approx(0.5 * 400 / 1000)
    nothing = errors(square(), square(), ~everywhere(square()))
    assert all(np.isnan(value) for value in nothing.values())


def test_predictions_that_are_not_numbers_give_none():
    prediction = square()
    prediction[..., 10, 10] = torch.nan
    assert all(np.isnan(value) for value in errors(prediction, square()).values())


def test_connectivity_can_be_left_out():
    metric = MattingErrors(connectivity=False)
    metric.update(square(), square(), everywhere(square()))
    assert set(metric.compute()) == {"sad", "mse", "gradient"}


def test_gradients_after_stretching_are_asked_for_by_name():
    """As public code measures them; by a reference in NumPy. Mattes that span 0..1 have the same by both."""
    generator = torch.Generator().manual_seed(0)
    target, prediction = torch.rand((2, 1, 1, 30, 40), generator=generator)

    def found(low, high):
        metric = MattingErrors(connectivity=False, minmax_gradient=True)
        metric.update(low + (high - low) * prediction, low + (high - low) * target, everywhere(target))
        return {name: value.item() for name, value in metric.compute().items()}

    def reference(alpha):
        x = np.arange(-4, 5)
        smooth = np.exp(-0.5 * (x / 1.4) ** 2)
        filters = [f / np.linalg.norm(f) for f in (smooth, smooth * x)]
        padded = np.pad((alpha - alpha.min()) / (alpha.max() - alpha.min()), 4, mode="edge")
        sides = []
        for rows, columns in (filters, filters[::-1]):
            tall = np.apply_along_axis(np.correlate, 0, padded, rows, mode="valid")
            sides.append(np.apply_along_axis(np.correlate, 1, tall, columns, mode="valid"))
        return np.hypot(*sides)

    expected = ((reference(prediction[0, 0].numpy()) - reference(target[0, 0].numpy())) ** 2).sum() / 1000
    narrow = found(0.2, 0.7)
    assert narrow["minmax_gradient"] == pytest.approx(expected, rel=1e-4)
    assert narrow["gradient"] == pytest.approx(0.25 * found(0.0, 1.0)["gradient"], rel=1e-4)
    prediction[..., 0, :2], target[..., 0, :2] = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])
    whole = found(0.0, 1.0)
    assert whole["minmax_gradient"] == pytest.approx(whole["gradient"], rel=1e-6)
