"""What the One-Euro filter promises: rest is rest, noise shrinks, lag is bounded, at any frame rate and resolution."""

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.smooth import OneEuro, SmoothPoints

SIZE = 200.0


def run(points: np.ndarray, rate: float = 25.0, size: float = SIZE, **settings: float) -> np.ndarray:
    """Filter points (T, K, 2)."""
    state = SmoothPoints(OneEuro(**settings))
    return np.stack([state.update(now, place / rate, size) for place, now in enumerate(points)])


def test_what_rests_stays_exactly() -> None:
    points = np.tile(np.array([[3.0, 4.0], [5.5, 6.25]]), (20, 1, 1))
    np.testing.assert_array_equal(run(points), points)


def test_noise_shrinks() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1.0, (500, 3, 2))
    left = run(noise + 100) - 100
    assert left[50:].std() < 0.5 * noise[50:].std()
    assert abs(left[50:].mean()) < 0.1, "and stays where it was"


@pytest.mark.parametrize("rate", [12.5, 25, 60])
@pytest.mark.parametrize("speed", [0.2, 1.0, 4.0])
def test_lag_is_bounded(rate: float, speed: float) -> None:
    """Of a steady movement it is speed / (2 pi cutoff), less than 1 / (2 pi beta) of the person's size."""
    place = speed * SIZE * np.arange(int(20 * rate)) / rate
    points = np.stack([place, np.zeros_like(place)], axis=1)[:, None]
    lag = (points - run(points, rate))[-1, 0, 0] / SIZE
    assert lag == pytest.approx(speed / (2 * np.pi * (1 + 10 * speed)), rel=1e-3)
    assert lag < 1 / (2 * np.pi * 10)


def test_frame_rates_agree() -> None:
    def curve(time: np.ndarray) -> np.ndarray:
        return np.stack([100 + 50 * np.sin(2 * time), 80 * np.cos(time)], axis=1)[:, None]

    slow = run(curve(np.arange(0, 6, 1 / 30)), 30)
    fast = run(curve(np.arange(0, 6, 1 / 120)), 120)
    assert np.abs(slow[30:] - fast[::4][30:]).max() < 0.01 * SIZE


def test_resolution_scales_along() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(0, 5, (50, 4, 2)).cumsum(axis=0)
    np.testing.assert_allclose(run(3 * points, size=3 * SIZE), 3 * run(points), rtol=1e-9)


def test_turning_the_picture_turns_the_result() -> None:
    rng = np.random.default_rng(2)
    points = rng.normal(0, 5, (50, 4, 2)).cumsum(axis=0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    np.testing.assert_allclose(run(points @ turn.T), run(points) @ turn.T, atol=1e-9)


def test_points_come_and_go() -> None:
    points = np.full((6, 1, 2), 10.0)
    points[2:4] = np.nan
    points[4:] = 90.0
    found = run(points)
    np.testing.assert_array_equal(found[[0, 1, 4, 5]], points[[0, 1, 4, 5]])
    assert np.isnan(found[2:4]).all()


def test_at_the_same_time_nothing_moves() -> None:
    state = SmoothPoints(OneEuro())
    first = state.update(np.array([[1.0, 2.0]]), 1.0, SIZE)
    np.testing.assert_array_equal(state.update(np.array([[5.0, 9.0]]), 1.0, SIZE), first)


@pytest.mark.parametrize("setting", [{"min_cutoff": 0.0}, {"beta": -1.0}, {"speed_cutoff": 0.0}])
def test_settings_are_checked(setting: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"smoothing: {next(iter(setting))} is"):
        OneEuro(**setting)
