"""What counts in an evaluation over several processes."""

import math
from functools import partial

import pytest
import torch

from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    LinearHead,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.heads.base import bounded
from sapiens2_lit.training import validation_metrics as scoring
from sapiens2_lit.training.validation_metrics import Scores, evaluated_only


def test_samples_of_other_processes_are_left_out_and_what_the_batch_shares_stays() -> None:
    """Also of one of several datasets, whose batches carry its name."""
    batch = {
        "image": torch.arange(3)[:, None],
        "sample": ["a", "b", "c"],
        "dataset": "people",
        "evaluated": torch.tensor([True, False, True]),
    }
    outputs, own = evaluated_only({"depth": torch.arange(3)}, batch)
    assert outputs["depth"].tolist() == [0, 2]
    assert own["image"].tolist() == [[0], [2]]
    assert own["sample"] == ["a", "c"]
    assert own["dataset"] == "people"


def test_a_process_without_samples_takes_part_in_the_means_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the others would wait for it: each mean is summed over processes, in one order."""
    head = NormalHead(32)
    make = partial(Scores, [("normal", head)], None, "test", torch.device("cpu"))
    batch = {"image": torch.zeros(1, 3, 64, 48, dtype=torch.uint8), "normal": torch.ones(1, 3, 64, 48)}
    busy, idle = make(), make()
    busy.add_loss("normal", torch.ones(1, 3, 64, 48), batch)
    parts = [{"normal": list(one.losses["normal"])} for one in (idle, busy)]
    assert parts[0] == {"normal": []}
    monkeypatch.setattr(scoring, "gather_over_ranks", lambda own: parts)
    for one in (busy, idle):
        one._share_terms()
    assert list(idle.losses["normal"]) == list(busy.losses["normal"])
    assert "loss" in idle.losses["normal"]
    mean, nothing = (one.losses["normal"]["loss"] for one in (busy, idle))
    assert float(mean.weight) == 1
    assert float(nothing.weight) == float(nothing.mean_value) == 0


WORSE_AND_BETTER = [
    (PoseHead, {"AP": 0.0, "PCK@0.05": 0.0, "PCK@0.1": 0.1}, {"AP": 0.0, "PCK@0.05": 0.0, "PCK@0.1": 0.2}),
    (PoseHead, {"AP": 0.5, "PCK@0.05": 0.6, "PCK@0.1": 0.8}, {"AP": 0.51, "PCK@0.05": 0.59, "PCK@0.1": 0.8}),
    (PoseHead, {"AP": math.nan, "PCK@0.1": 0.1}, {"AP": math.nan, "PCK@0.1": 0.9, "PCK@0.1/nose": 0.0}),
    (SegmentationHead, {"mIoU": 0.1}, {"mIoU": 0.2}),
    (LinearHead, {"mIoU": 0.1}, {"mIoU": 0.2}),
    (NormalHead, {"mean_angle": 170.0}, {"mean_angle": 5.0}),
    (DepthHead, {"abs_rel": 20.0}, {"abs_rel": 0.1}),
    (partial(DepthHead, relative=True), {"affine_abs_rel": 20.0}, {"affine_abs_rel": 0.1}),
    (PointmapHead, {"l2": 9.0}, {"l2": 0.1}),
    (AlbedoHead, {"rmse": 0.9, "psnr": 1.0}, {"rmse": 0.0, "psnr": math.inf}),
    (MattingHead, {"sad": 700.0}, {"sad": 1.0}),
]


@pytest.mark.parametrize(("make", "worse", "better"), WORSE_AND_BETTER)
def test_scores_of_every_head_rise_from_0_to_1(make: type[Head], worse: dict, better: dict) -> None:
    head = make(32)
    low, high = head.score(worse), head.score(better)
    assert 0 <= low < high <= 1
    assert math.isnan(head.score({}))


def test_any_number_has_its_place_between_0_and_1() -> None:
    numbers = [-math.inf, -1e9, -2.0, -0.5, 0.0, 0.3, 1.0, 7.0, math.inf]
    found = [bounded(number) for number in numbers]
    assert found == sorted(found) and len(set(found)) == len(found)
    assert (found[0], found[4], found[-1]) == (0, 0.5, 1)
    assert math.isnan(bounded(math.nan))


def test_a_head_without_its_measure_counts_by_its_loss() -> None:
    scores = Scores([("normal", NormalHead(32))], None, "validate", torch.device("cpu"))
    batch = {"image": torch.zeros(1, 3, 64, 48, dtype=torch.uint8), "normal": torch.ones(1, 3, 64, 48)}
    scores.add_loss("normal", torch.ones(1, 3, 64, 48), batch)
    found = scores.compute()
    assert found["loss"] == found["normal/loss"]
    assert found["score"] == bounded(-found["loss"])
