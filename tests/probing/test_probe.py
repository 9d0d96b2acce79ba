"""Whole runs, tiny: equal backbones score equally, scales play no part, controls learn positions alone."""

import json
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.probing import ProbeData, ProbeResults, ProbeSettings, probe

DATA = ProbeData(
    image_size=(96, 64), classes="body3", train_images=24, val_images=10, test_images=20, num_workers=0
)
SETTINGS = ProbeSettings(
    data=DATA,
    tasks=("segmentation", "normal"),
    seeds=2,
    steps=16,
    batch_size=8,
    learning_rates=(2e-2, 5e-2),
    bootstrap=200,
)
LARGE = "a hundred times"
pytestmark = pytest.mark.slow  # one run serves all


class Multiplied(Sapiens2):
    """A backbone whose maps are a hundred times as large."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [100 * found for found in super().forward(images)]


@pytest.fixture(scope="module")
def results() -> ProbeResults:
    torch.manual_seed(1)
    backbone = Sapiens2("test", (96, 64))
    multiplied = Multiplied("test", (96, 64))
    multiplied.load_state_dict(backbone.state_dict())
    return probe({"one": backbone, "other": deepcopy(backbone), LARGE: multiplied}, SETTINGS)


def numbers(row: dict[str, Any]) -> dict[str, float]:
    return {
        f"{task}/{name}": score["mean"]
        for task, metrics in row.items()
        if task != "permuted"
        for name, score in metrics.items()
    }


def test_the_same_backbone_under_two_names_has_the_same_row_bit_for_bit(results: ProbeResults) -> None:
    rows = results.as_dict()["backbones"]
    assert rows["one"] == rows["other"]
    assert numbers(rows["one"]) != numbers(rows["random"])
    facts = results.facts["backbones"]
    assert facts["one"]["fingerprint"] == facts["other"]["fingerprint"] != facts["random"]["fingerprint"]


def test_the_scale_of_features_plays_no_part(results: ProbeResults) -> None:
    rows = results.as_dict()["backbones"]
    assert numbers(rows[LARGE]) == pytest.approx(numbers(rows["one"]), abs=0.002)
    facts = results.facts["backbones"]
    assert facts[LARGE]["effective_rank"] == pytest.approx(facts["one"]["effective_rank"], rel=1e-3)


def test_controls_are_no_better_than_position_alone(results: ProbeResults) -> None:
    found = results.as_dict()["controls"]
    assert {one["backbone"] for one in found} == {"one", "other", LARGE, "random"}
    assert all(one["passes"] for one in found)
    position = results.scores["position"]["normal"]["mean_angle"]
    assert results.permuted["one"]["normal"]["mean_angle"].mean > position.interval[0]


def test_results_have_every_row_with_intervals_around_their_means(results: ProbeResults) -> None:
    found = json.loads(results.to_json())
    assert [*found["backbones"]] == ["one", "other", LARGE, "random", "pixels", "position"]
    for row in found["backbones"].values():
        assert {"segmentation", "normal", "retrieval"} <= row.keys()
        for metrics in (row["segmentation"], row["normal"]):
            for score in metrics.values():
                low, high = score["interval"]
                assert low <= score["mean"] <= high
                assert score["std"] >= 0
    assert {"mIoU", "mAcc", "small/mIoU", "small/mAcc"} == found["backbones"]["one"]["segmentation"].keys()
    assert found["facts"]["seeds"] == [0, 1]
    assert found["facts"]["data"]["images"]["normal"] == {"train": 24, "val": 10, "test": 20}
    assert found["facts"]["backbones"]["one"]["tflop"] > 0
    assert len(results.pictures) == len(results.pca["one"]) > 0


def test_a_ranking_needs_intervals_apart(results: ProbeResults) -> None:
    for one in results.as_dict()["comparisons"]:
        metric = results.scores[one["better"]][one["task"]][one["metric"]]
        other = results.scores[one["worse"]][one["task"]][one["metric"]]
        overlap = metric.interval[0] <= other.interval[1] and other.interval[0] <= metric.interval[1]
        assert one["separate"] is not overlap
    same = [
        one for one in results.as_dict()["comparisons"] if {one["better"], one["worse"]} == {"one", "other"}
    ]
    assert all(one["difference"] == 0 and one["interval"] == [0, 0] and not one["separate"] for one in same)
