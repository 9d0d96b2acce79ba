"""People keep their numbers while their boxes overlap, over short gaps, and no longer."""

import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.track import IouTracker

A, B = np.array([0, 0, 10, 20.0]), np.array([100, 0, 10, 20.0])


def test_numbers_stay_whatever_the_order() -> None:
    tracker = IouTracker()
    assert tracker.update(np.stack([A, B]), 0.0) == [1, 2]
    assert tracker.update(np.stack([B + [1, 0, 0, 0], A + [2, 1, 0, 0]]), 0.04) == [2, 1]
    assert tracker.update(np.stack([A + [4, 2, 0, 0]]), 0.08) == [1]


def test_a_gap_is_bridged_in_seconds_not_frames() -> None:
    for step in (0.01, 0.1):
        tracker = IouTracker(gap=0.5)
        tracker.update(A[None], 0.0)
        for time in np.arange(step, 0.45, step):
            assert tracker.update(np.empty((0, 4)), time) == []
        assert tracker.update(A[None], 0.5) == [1]
        assert tracker.update(A[None], 1.01) == [2], "who was away for too long is somebody else"


def test_those_who_pass_each_other_are_paired_by_the_largest_overlap() -> None:
    tracker = IouTracker()
    left, right = np.array([0, 0, 10, 10.0]), np.array([6, 0, 10, 10.0])
    assert tracker.update(np.stack([left, right]), 0) == [1, 2]
    assert tracker.update(np.stack([right + [-1, 0, 0, 0], left + [1, 0, 0, 0]]), 1 / 25) == [2, 1]


def test_little_overlap_is_somebody_else() -> None:
    tracker = IouTracker(iou=0.5)
    assert tracker.update(A[None], 0) == [1]
    assert tracker.update(A[None] + [6, 0, 0, 0], 0.04) == [2]


def test_forgotten_tracks_take_no_memory() -> None:
    tracker = IouTracker()
    for frame in range(200):
        tracker.update(A[None] + [100 * frame, 0, 0, 0], frame / 25)
    assert len(tracker.tracks) < 20


@pytest.mark.parametrize("setting", [{"iou": 0}, {"iou": 1.5}, {"gap": -1}])
def test_settings_are_checked(setting: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=f"tracking: {next(iter(setting))} is"):
        IouTracker(**setting)
