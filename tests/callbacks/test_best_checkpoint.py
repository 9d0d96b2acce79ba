"""Which state is the best: the score, then the validation loss, then the later one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.demos.boring_classes import BoringModel

from sapiens2_lit.callbacks import BestCheckpoint

Rows = list[tuple[float, float | None]]


class Scored(BoringModel):
    """Validates every step to a score and a loss that are given."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows

    def on_validation_epoch_end(self) -> None:
        score, loss = self.rows[min(self.trainer.global_step, len(self.rows)) - 1]
        self.log("val/score", score)
        if loss is not None:
            self.log("val/loss", loss)


def fit(
    rows: Rows,
    folder: Path,
    *callbacks: L.Callback,
    ckpt_path: Any = None,
    make: Callable[..., ModelCheckpoint] = BestCheckpoint,
    **settings: Any,
) -> L.Trainer:
    best = make(
        folder, monitor="val/score", filename="best-step={step}", auto_insert_metric_name=False,
        save_on_train_epoch_end=False, **{"mode": "max", **settings},
    )  # fmt: skip
    trainer = L.Trainer(
        max_steps=len(rows), val_check_interval=1, limit_val_batches=1, logger=False, accelerator="cpu",
        callbacks=[best, *callbacks], enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Scored(rows), ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(0.0, 3.0), (0.0, 2.0), (0.0, 1.0)], 3),
        ([(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)], 2),
        ([(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)], 3),
        ([(0.0, 1.0), (0.5, 9.0), (0.4, 1.0)], 2),
        ([(0.0, None), (0.0, None), (0.0, None)], 3),
        ([(0.0, 1.0), (0.0, torch.nan), (0.0, 2.0)], 1),
    ],
)
def test_best_is_one_file(rows: Rows, best: int, tmp_path: Path) -> None:
    trainer = fit(rows, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"best-step={best}.ckpt"]
    assert Path(trainer.checkpoint_callback.best_model_path).name == f"best-step={best}.ckpt"
    assert torch.load(tmp_path / f"best-step={best}.ckpt", weights_only=True)["global_step"] == best


def test_of_several_kept_the_worst_goes_first(tmp_path: Path) -> None:
    rows: Rows = [(0.0, 3.0), (0.0, 1.0), (0.0, 2.0), (0.0, 5.0)]
    trainer = fit(rows, tmp_path, save_top_k=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-step=2.ckpt", "best-step=3.ckpt"]
    assert Path(trainer.checkpoint_callback.best_model_path).name == "best-step=2.ckpt"


def test_the_smaller_may_be_the_better(tmp_path: Path) -> None:
    fit([(2.0, 1.0), (1.0, 2.0), (1.0, 1.5), (3.0, 0.0)], tmp_path, mode="min")
    assert [path.name for path in tmp_path.iterdir()] == ["best-step=3.ckpt"]


def test_a_run_that_goes_on_knows_the_loss_of_its_best(tmp_path: Path) -> None:
    fit([(0.0, 3.0), (0.0, 1.0)], tmp_path)
    rows: Rows = [(0.0, 3.0), (0.0, 1.0), (0.0, 2.0)]
    fit(rows, tmp_path, ckpt_path=tmp_path / "best-step=2.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["best-step=2.ckpt"]


def test_a_checkpoint_of_lightnings_own_callback_brings_its_best_score(tmp_path: Path) -> None:
    fit([(0.5, 3.0), (0.75, 1.0)], tmp_path, make=ModelCheckpoint)
    trainer = fit([(0.5, 3.0), (0.75, 1.0), (0.7, 0.0)], tmp_path, ckpt_path=tmp_path / "best-step=2.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["best-step=2.ckpt"], "0.7 is no better than 0.75"
    assert trainer.checkpoint_callback.best_model_score == 0.75


def test_early_stopping_waits_for_scores_that_rise(tmp_path: Path) -> None:
    stop = EarlyStopping("val/score", mode="max", patience=2, check_on_train_epoch_end=False)
    rows: Rows = [(0.01, 1.0), (0.02, 1.0), (0.03, 1.0), (0.03, 1.0), (0.03, 1.0), (0.5, 1.0)]
    assert fit(rows, tmp_path, stop).global_step == 5
