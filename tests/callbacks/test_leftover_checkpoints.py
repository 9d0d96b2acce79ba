"""The best checkpoints remain, and no others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from sapiens2_lit.callbacks import BestCheckpoint


def callback(folder: Path) -> BestCheckpoint:
    return BestCheckpoint(
        dirpath=folder,
        filename="best-step={step}",
        monitor="val/score",
        mode="max",
        auto_insert_metric_name=False,
    )


def test_what_a_killed_run_left_goes_when_there_is_a_best(tmp_path: Path) -> None:
    kept = {"best-step=13.ckpt", "last.ckpt", "best.ckpt", "mine-best-step=3.ckpt"}
    for name in {"best-step=3.ckpt", "best-step=13-v1.ckpt", *kept}:
        (tmp_path / name).touch()
    (tmp_path / "best-step=7.ckpt").mkdir()  # of a sharded run
    best = callback(tmp_path)
    best.best_k_models = {str(tmp_path / "best-step=13.ckpt"): torch.tensor(0.5)}
    best.remove_unknown()
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_a_best_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    best = callback(tmp_path)
    best.best_k_models = {str(tmp_path / "best-step=3.ckpt"): torch.tensor(0.9)}
    best.kth_best_model_path = best.best_model_path = str(tmp_path / "best-step=3.ckpt")
    best.kth_value = best.best_model_score = torch.tensor(0.9)
    best.forget_missing()
    assert best.best_k_models == {} and best.best_model_path == "" and best.kth_value == float("-inf")
    strategy: Any = SimpleNamespace(strategy=SimpleNamespace(reduce_boolean_decision=bool))
    assert best.check_monitor_top_k(strategy, torch.tensor(0.1))
