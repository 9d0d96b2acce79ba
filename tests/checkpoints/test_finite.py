"""Weights that are NaN or infinite are refused by every command that predicts, unless an option allows them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.finite import first_nonfinite
from sapiens2_lit.cli.main import main
from sapiens2_lit.heads import NormalHead

TENSOR = "heads.normal.conv_normal.bias"


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a run folder with one infinite weight, and a picture."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save("a.png")
    torch.manual_seed(0)
    networks = {"backbone": Sapiens2("test", (64, 48)), "heads.normal": NormalHead(32)}
    state = {
        f"{part}.{name}": v for part, module in networks.items() for name, v in module.state_dict().items()
    }
    assert TENSOR in state, sorted(state)
    state[TENSOR][1] = math.inf
    config = {
        "model": {
            "backbone": {
                "class_path": "sapiens2_lit.backbones.Sapiens2",
                "init_args": {"size": "test", "image_size": [64, 48]},
            },
            "heads": {"normal": {"class_path": "sapiens2_lit.heads.NormalHead"}},
            "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.001}},
        },
        "data": {
            "class_path": "sapiens2_lit.datamodules.SyntheticDataModule",
            "init_args": {"targets": ["normal"], "image_size": [64, 48], "batch_size": 1, "num_workers": 0,
                          "samples_per_epoch": 1, "val_samples": 1, "test_samples": 1},
        },
    }  # fmt: skip
    file = tmp_path / "run" / "version_0" / "checkpoints" / "last.ckpt"
    file.parent.mkdir(parents=True)
    content = {"state_dict": state, "sapiens2_lit": {"config": config}, "epoch": 0, "global_step": 1}
    torch.save({**content, "pytorch-lightning_version": "2.6.0"}, file)
    (file.parents[1] / "config.yaml").write_text(json.dumps(config))
    return file


def commands(file: Path) -> dict[str, list[str]]:
    return {
        "predict": [
            "predict",
            "--ckpt_path",
            str(file),
            "--images",
            "a.png",
            "--out",
            "out",
            "--device",
            "cpu",
        ],
        "export": ["export", str(file), "exported", "--format", "released", "--check", "false"],
        "test": ["test", "--ckpt_path", str(file), "--trainer.accelerator", "cpu"],
    }


@pytest.mark.parametrize("name", ["predict", "export", "test"])
def test_a_weight_that_is_no_number_is_named(broken: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    assert main(commands(broken)[name]) == 1
    error = capsys.readouterr().err
    assert f"{broken}: {TENSOR} has values that are NaN or infinite" in error and "Traceback" not in error
    assert main([*commands(broken)[name], "--allow_nonfinite"]) == 0


def test_the_first_is_found_and_whole_numbers_pass() -> None:
    good = {"a": torch.zeros(2), "b": torch.ones(2, dtype=torch.int64), "c": torch.zeros(0)}
    assert first_nonfinite(good) is None
    assert first_nonfinite({**good, "d": torch.tensor([0.0, math.nan]), "e": torch.tensor(math.inf)}) == "d"
    assert first_nonfinite({"half": torch.tensor([math.inf], dtype=torch.bfloat16)}) == "half"
