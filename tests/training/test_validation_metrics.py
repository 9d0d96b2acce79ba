"""What counts in an evaluation over several processes."""

from functools import partial

import pytest
import torch

from sapiens2_lit.heads import NormalHead
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
