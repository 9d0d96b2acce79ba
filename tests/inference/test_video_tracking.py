"""Predictions of consecutive frames: people found once, numbered and steady, each video by itself."""

from unittest.mock import Mock

import numpy as np
import pytest

from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction
from sapiens2_lit.inference.sources import Frame, frame_name
from sapiens2_lit.inference.video import VideoFile
from sapiens2_lit.inference.video_tracking import VideoTracking
from sapiens2_lit.vocabularies import load_skeleton

IMAGE = np.zeros((4, 4, 3), dtype=np.uint8)
VIDEO = Mock(spec=VideoFile)
HEADS = {name: HeadInfo(skeleton=load_skeleton("coco17")) for name in ("pose", "other")}
PERSON = np.random.default_rng(0).random((17, 3)).astype(np.float32) * [50, 100, 1]


def frame(index: int, video: str = "walk") -> Frame:
    return Frame(IMAGE, frame_name(video, index), f"{video}.mp4", index, index / 25, VIDEO)


def person(x: float, score: float = 0.9, head: str = "pose", noise: float = 0.0) -> Instance:
    keypoints = PERSON + np.float32([x, 0, 0])
    keypoints[:, :2] += noise
    return Instance(head, np.array([x, 0, 50, 100], np.float32), score, keypoints.astype(np.float32))


def predict(*people: Instance) -> Prediction:
    return Prediction((4, 4), list(people), heads=HEADS)


def ids(prediction: Prediction) -> list[int | None]:
    return [found.id for found in prediction.instances]


def test_people_found_twice_are_one() -> None:
    found = VideoTracking()(predict(person(0, 0.5), person(200, 0.3), person(0.1, 0.8)), frame(0))
    assert [one.score for one in found.instances] == [0.3, 0.8]
    assert ids(found) == [None, None]
    everyone = VideoTracking(nms=None)(predict(person(0), person(0)), frame(0))
    assert len(everyone.instances) == 2
    two_heads = VideoTracking()(predict(person(0), person(0, head="other")), frame(0))
    assert len(two_heads.instances) == 2, "heads do not take away each other's people"


def test_numbers_are_kept_and_shared_by_heads() -> None:
    timeline = VideoTracking(track=True)
    assert ids(timeline(predict(person(0), person(200), person(0, head="other")), frame(0))) == [1, 2, 1]
    assert ids(timeline(predict(person(203), person(2), person(2, head="other")), frame(1))) == [2, 1, 1]


def test_each_video_begins_anew_and_photographs_have_no_numbers() -> None:
    timeline = VideoTracking(track=True)
    assert ids(timeline(predict(person(0)), frame(0))) == [1]
    assert ids(timeline(predict(person(300)), frame(1))) == [2]
    assert ids(timeline(predict(person(300)), frame(0, "run"))) == [1]
    assert ids(timeline(predict(person(300)), Frame(IMAGE, "photo"))) == [None]


def test_smoothing_steadies_keypoints_and_leaves_scores() -> None:
    rng = np.random.default_rng(3)
    timeline = VideoTracking(smooth=True)
    before, after = [], []
    for index in range(200):
        prediction = predict(person(0, noise=rng.normal(0, 1)))
        found = timeline(prediction, frame(index)).instances[0]
        before.append(prediction.instances[0].keypoints[:, :2])
        after.append(found.keypoints[:, :2])
        np.testing.assert_array_equal(found.keypoints[:, 2], PERSON[:, 2].astype(np.float32))
        assert found.id == 1
    assert np.std(after, axis=0).mean() < 0.6 * np.std(before, axis=0).mean()


def test_nobody_is_nobody() -> None:
    timeline = VideoTracking(track=True, smooth=True)
    assert timeline(predict(), frame(0)).instances == []


def test_predictions_given_are_not_changed() -> None:
    timeline = VideoTracking(track=True, smooth=True)
    for index in range(2):
        prediction = predict(person(index))
        kept = prediction.instances[0].keypoints.copy()
        timeline(prediction, frame(index))
        assert prediction.instances[0].id is None
        np.testing.assert_array_equal(prediction.instances[0].keypoints, kept)


def test_the_nms_threshold_is_checked() -> None:
    with pytest.raises(ValueError, match="pose NMS: the threshold is 2"):
        VideoTracking(nms=2)
