"""Heads whose weights were trained under another view are named when a run starts."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sapiens2_lit.cli.compare_views import warn_of_other_views

HEADS = {"seg": {"class_path": "sapiens2_lit.heads.SegmentationHead"}, "pose": {"class_path": "x.PoseHead"}}


def checkpoint(path: Path, **data: Any) -> str:
    torch.save({"state_dict": {}, "sapiens2_lit": {"config": {"data": {"init_args": data}}}}, path)
    return str(path)


def module(weights: str | None = None, *fresh: str) -> Any:
    return SimpleNamespace(factory=SimpleNamespace(weights=weights, reinitialize=fresh))


@pytest.mark.parametrize("resumed", [True, False])
def test_the_head_is_named(resumed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = checkpoint(tmp_path / "last.ckpt", view="stretch")
    start = (module(), source) if resumed else (module(source), None)
    warn_of_other_views(start[0], SimpleNamespace(view="letterbox"), HEADS, start[1])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "the head seg (" in record.getMessage()
    assert "data.view stretch, but this run has letterbox" in record.getMessage()
    assert "pose" not in record.getMessage(), "people are shown by their boxes"


def test_the_same_view_and_fresh_heads_are_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stretched = checkpoint(tmp_path / "last.ckpt", view="stretch")
    older = checkpoint(tmp_path / "older.ckpt")
    warn_of_other_views(module(stretched), SimpleNamespace(view="stretch"), HEADS, None)
    warn_of_other_views(module(older), SimpleNamespace(view="letterbox"), HEADS, None)
    warn_of_other_views(module(stretched, "heads.seg"), SimpleNamespace(), HEADS, None)
    warn_of_other_views(module(str(tmp_path / "missing.ckpt")), SimpleNamespace(), HEADS, None)
    warn_of_other_views(module(), SimpleNamespace(), HEADS, None)
    assert not caplog.records
