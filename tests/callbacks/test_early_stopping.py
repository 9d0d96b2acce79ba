"""Runs that end early: by the score, and with a reason."""

import logging
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from sapiens2_lit.callbacks import EarlyStoppingMessage, Patience
from sapiens2_lit.errors import SettingError


def judge(callback: EarlyStopping, *scores: float) -> bool:
    """Whether the last of these scores ends the run."""
    trainer = SimpleNamespace(
        callback_metrics={}, fast_dev_run=False, should_stop=False, current_epoch=0, global_step=12,
        strategy=SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision),
        early_stopping_callbacks=[callback],
    )  # fmt: skip
    for score in scores:
        trainer.callback_metrics["val/score"] = torch.tensor(score)
        callback._run_early_stopping_check(trainer)
    EarlyStoppingMessage().on_train_end(trainer, L.LightningModule())
    return trainer.should_stop


def test_the_third_validation_without_a_better_score_ends_the_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sapiens2_lit")
    assert not judge(Patience(3), 0.1, 0.2, 0.2, 0.1, 0.3)
    assert not caplog.text
    assert judge(Patience(3), 0.1, 0.25, 0.2, 0.1, 0.25)
    assert (
        "stopped early after step 12: val/score was measured 3 times without getting better than 0.2500"
        in caplog.text
    )


@pytest.mark.parametrize(("scores", "reason"), [((0.5, 0.95), "threshold"), ((float("nan"),), "not finite")])
def test_early_stopping_of_a_users_own_says_why(
    scores: tuple[float, ...], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sapiens2_lit")
    assert judge(EarlyStopping("val/score", mode="max", stopping_threshold=0.9), *scores)
    assert "stopped early after step 12" in caplog.text
    assert reason in caplog.text
    assert "Signaling" not in caplog.text


def test_a_run_that_goes_on_has_the_patience_of_its_command() -> None:
    before = Patience(2)
    judge(before, 0.5, 0.4)
    after = Patience(5)
    after.load_state_dict(before.state_dict())
    assert (after.patience, after.wait_count, float(after.best_score)) == (5, 1, 0.5)


def test_patience_without_validation_is_refused() -> None:
    trainer = SimpleNamespace(num_val_batches=[], fast_dev_run=False)
    with pytest.raises(SettingError, match=r"--patience 4: there is no validation.*data\.val"):
        Patience(4).on_train_start(trainer, L.LightningModule())
