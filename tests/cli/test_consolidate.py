"""The file that `consolidate` writes can be predicted with, as the checkpoint can."""

from pathlib import Path

import pytest
import torch

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints import open_weights, read_meta, read_weights
from sapiens2_lit.checkpoints.format import META, average_name
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import WeightsError


def checkpoint(file: Path) -> Path:
    weight = torch.arange(6.0).reshape(2, 3)
    state = {
        "backbone.a": weight,
        "heads.x.b": weight + 1,
        average_name("heads.x.b"): weight + 2,
        "balancer.w": weight,
    }
    torch.save(
        {"state_dict": state, META: {"config": {"model": {"heads": {}}}, "adapt": {"mode": "full"}}}, file
    )
    return file


def test_it_reads_as_the_checkpoint_does(tmp_path: Path) -> None:
    source, out = checkpoint(tmp_path / "last.ckpt"), tmp_path / "one.safetensors"
    assert main(["consolidate", str(source), "--output", str(out)]) == 0
    assert read_meta(out) == read_meta(source) and read_meta(out)
    for ema in (True, False):
        found, expected = read_weights(out, ema=ema).tensors, read_weights(source, ema=ema).tensors
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert open_weights(out).tensors.keys() == read_weights(source).tensors.keys()


def test_what_it_cannot_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    broken = tmp_path / "last.ckpt"
    broken.write_bytes(checkpoint(tmp_path / "whole.ckpt").read_bytes()[:300])
    with pytest.raises(WeightsError):
        read_pickle(broken)
    assert main(["consolidate", str(broken), "--output", str(tmp_path / "one.safetensors")]) == 1
    assert capsys.readouterr().err.strip().count("\n") == 0
    assert not (tmp_path / "one.safetensors").exists()
