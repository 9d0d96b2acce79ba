"""Rows, trainings and reports, each by itself."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.verify import environment
from sapiens2_lit.verify.distributed import as_before, as_order
from sapiens2_lit.verify.page import FAILED, NOTHING, PASSED, status_of, to_html, to_json
from sapiens2_lit.verify.private import Cleaner
from sapiens2_lit.verify.ranks import main as run_rank
from sapiens2_lit.verify.resume import STEPS as RESUME_STEPS
from sapiens2_lit.verify.resume import fit
from sapiens2_lit.verify.rows import CannotRun, Check, Found, Row, at_most, run_check
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import Source
from sapiens2_lit.verify.training import Changes, Size, judge
from sapiens2_lit.verify.trial import Trial
from sapiens2_lit.verify.weights import describe

Make = Callable[..., Setting]


def raising(error: Exception) -> Callable[[], Found]:
    def run() -> Found:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (CannotRun("no card"), "skipped", "no card"),
        (SettingError("device: found x"), "failed", "device: found x"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed", "--sizes"),
        (KeyError("of a library"), "failed", "KeyError: 'of a library' Please report it"),
    ],
)
def test_whatever_happens_in_a_check_is_a_row(error: Exception, status: str, said: str) -> None:
    row = run_check(Check("one", raising(error)))
    assert row.status == status and said in row.reason and "\n" not in row.reason


def test_a_number_that_is_none_is_wrong() -> None:
    assert not at_most(0.1, 0.2, "too large").wrong
    assert at_most(0.3, 0.2, "too large").wrong.startswith("too large")
    assert at_most(float("nan"), 0.2, "too large").wrong


def test_the_status_tells_failures_and_reports_that_compared_nothing() -> None:
    compared, other = Row("a: tokens, float32", "passed"), Row("Python", "passed")
    assert status_of([other, compared]) == PASSED
    assert status_of([other, Row("a: tokens, float32", "skipped")]) == NOTHING
    assert status_of([compared, Row("b", "failed")]) == FAILED


def test_reports_hold_no_paths_and_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "lab-gpu-07.example.org")
    monkeypatch.setattr("getpass.getuser", lambda: "jdoe")
    place = tmp_path / "our models" / "model.safetensors"
    reason = f"{place}: by jdoe on lab-gpu-07, ~/x/config.json, C:\\Users\\jdoe\\w.pth, /srv/a/run.ckpt; see "
    reason += "https://huggingface.co/facebook/sapiens2-seg-0.4b and facebook/sapiens2-pretrain-1b, 3 / 4"
    rows = [Row("weights 1", "failed", str(place), "", reason)]
    facts = {"device": "CPU", "quick": True, "versions": {"torch": "2.9"}}
    cleaner = Cleaner([str(place)])
    for text in (to_json(rows, facts, cleaner).decode(), to_html(rows, facts, cleaner).decode()):
        for word in ("jdoe", "lab-gpu", "our models", "srv", "Users", "run.ckpt", str(tmp_path)):
            assert word not in text, word
        assert "https://huggingface.co/facebook/sapiens2-seg-0.4b" in text
        assert "facebook/sapiens2-pretrain-1b, 3 / 4" in text
    assert "<path>/config.json" in cleaner.clean(reason)
    assert json.loads(to_json(rows, facts, cleaner))["status"] == FAILED


def test_packages_outside_their_bounds_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment.versions()
    assert not environment.packages().wrong
    monkeypatch.setattr(environment, "versions", lambda: here | {"torch": "2.0.0"})
    assert "torch 2.0.0 (expected >=" in environment.packages().wrong
    newest = environment.tested()["newest"]
    assert newest.keys() >= {"torch", "lightning", "transformers", "numpy"}
    monkeypatch.setattr(environment, "versions", lambda: here | {"torch": "99.0"})
    assert "newer than tested: torch 99.0" in environment.packages().figure


@pytest.mark.parametrize(
    ("losses", "changed", "mode", "right"),
    [
        ([1.0], {"heads": True, "frozen": False}, "frozen", True),
        ([1.0], {"heads": True, "frozen": True}, "frozen", False),
        ([1.0], {"heads": True, "backbone": True}, "full", True),
        ([1.0], {"heads": True, "backbone": False}, "lora", False),
        ([float("nan")], {"heads": True, "backbone": True}, "full", False),
    ],
)
def test_a_training_is_judged_by_what_it_changes(
    losses: list[float], changed: dict[str, bool], mode: str, right: bool
) -> None:
    watch = Changes()
    watch.changed = changed
    assert (not judge(Trial(losses), watch, mode).wrong) == right  # type: ignore[arg-type]


@pytest.fixture
def size(released: Path, make_setting: Make) -> Size:
    from sapiens2_lit.checkpoints import open_weights

    place = released / "backbone"
    opened = describe(Source("backbone", str(place), False), place, open_weights(place).tensors)
    return Size(opened.size_name, make_setting(place, tasks=("normal",)), opened)


@pytest.mark.slow
def test_a_rank_writes_its_losses(size: Size) -> None:
    """What torchrun starts on every card, with one rank in this process."""
    order = size.setting.scratch / "ranks.json"
    order.write_text(json.dumps(as_order(size, world=1)))
    with as_before():
        run_rank(order)
    losses = json.loads(order.with_suffix(".losses").read_text())
    assert len(losses) == 2 and all(loss > 0 for loss in losses)


def test_a_run_that_forgets_is_told_from_one_that_goes_on(size: Size) -> None:
    whole, expected = fit(size, "normal", RESUME_STEPS)
    _, short = fit(size, "normal", RESUME_STEPS - 1)
    assert len(whole) == RESUME_STEPS
    assert any(not torch.equal(short[name], value) for name, value in expected.items())
