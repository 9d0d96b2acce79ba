"""Skeletons that cannot be right are said to be doubtful, and not drawn, where nothing vouches for them."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from sapiens2_lit.cli.predict_tally import Tally
from sapiens2_lit.heads.pose import PoseHead
from sapiens2_lit.inference.people.doubts import mark_doubts
from sapiens2_lit.inference.prediction import Instance, PeopleFrom, Prediction, info_of
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.overlay import draw_overlay
from sapiens2_lit.inference.writers.pose import PoseJson

IMAGE = np.full((120, 160, 3), 90, dtype=np.uint8)
HEAD = PoseHead(32, "coco17")


def person(score: float = 0.8, outside: int = 0) -> Instance:
    rng = np.random.default_rng(0)
    keypoints = np.column_stack([rng.uniform(20, 140, 17), rng.uniform(20, 100, 17), np.full(17, 0.9)])
    keypoints[:outside, 1] = -23
    return Instance("pose", np.array([0, 0, 160, 120], np.float32), score, keypoints.astype(np.float32))


def prediction(*people: Instance, source: PeopleFrom = "picture", least: float | None = None) -> Prediction:
    found = Prediction((120, 160), list(people), heads={"pose": info_of(HEAD)}, people_from=source)
    mark_doubts(found, {"pose": HEAD}, least)
    return found


def test_low_scores_and_points_outside_are_doubtful() -> None:
    people = (person(), person(0.316), person(outside=2), person(outside=1), person(np.nan))
    assert [one.doubt for one in prediction(*people).instances] == [None, "score", "outside", None, "score"]
    weak = person(outside=3)
    weak.keypoints[:3, 2] = 0.1  # would not be drawn
    assert prediction(weak).instances[0].doubt is None


def test_who_is_vouched_for_is_not_doubted_and_thresholds_are_settings() -> None:
    for source in ("boxes", "detector"):
        assert prediction(person(0.1), source=source).instances[0].doubt is None
    assert prediction(person(0.1), source="mask").instances[0].doubt == "score"
    assert prediction(person(0.316), least=0.2).instances[0].doubt is None
    assert prediction(person(0.8), least=0.9).instances[0].doubt == "score"


def test_the_doubtful_are_in_the_json_but_not_in_the_picture() -> None:
    found = prediction(person(0.2))
    np.testing.assert_array_equal(draw_overlay(HEAD, "pose", found, IMAGE), IMAGE)
    assert (draw_overlay(HEAD, "pose", prediction(person()), IMAGE) != IMAGE).any()
    written = json.loads(PoseJson("pose", "keypoints").encode(found, Frame(IMAGE, "a", "a.jpg")))
    assert written["people_from"] == "picture"
    assert [one["doubt"] for one in written["people"]] == ["score"]


def test_each_photograph_is_told_of_and_the_end_counts(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    tally = Tally(people=True)
    with caplog.at_level(logging.WARNING):
        tally.add(Frame(IMAGE, "a", "a.jpg"), prediction(person(0.2)))
        tally.add(Frame(IMAGE, "b", "b.jpg"), prediction(person(), person()))
        tally.add(Frame(IMAGE, "c", "c.jpg"), prediction())
    assert caplog.messages == ["a.jpg: 1 skeleton is doubtful and not drawn: score 0.200"]
    assert tally.summary() == (
        "results of 3 images: 2 people, nobody on 2 images; "
        '1 skeleton on 1 image is doubtful and not drawn ("doubt" in json)'
    )
