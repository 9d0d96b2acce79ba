"""Runs with adapters and averages: exports hold plain weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import write_weights
from sapiens2_lit.cli.main import main

pytest.importorskip("peft")
pytest.importorskip("transformers")


@pytest.mark.slow
def test_adapters_are_merged_and_averages_taken_as_asked(figures: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    torch.manual_seed(
        0
    )  # of a model that has hardly learned anything, some weights make heatmaps nearly flat
    write_weights(Sapiens2("test", (64, 48)).state_dict(), base / "model.safetensors")
    (base / "LICENSE").write_text("the text of the licence\n")
    fit = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", "--data.root", str(figures)]
    fit += ["--model.backbone.weights", str(base), "--model.adapt.mode", "lora", "--model.ema.decay", "0.5"]
    fit += [
        "--trainer.max_steps",
        "4",
        "--model.warmup_steps",
        "0",
        "--data.num_workers",
        "0",
        "--data.val",
        "null",
    ]
    fit += [
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "1",
        "--trainer.enable_progress_bar",
        "false",
    ]
    assert main([*fit, "--model.optimizer.lr", "0.01", "--output", str(tmp_path / "runs")]) == 0

    source = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    moved = tmp_path / "elsewhere"
    base.rename(moved)
    found = {}
    for ema in ("true", "false"):
        out = tmp_path / f"ema-{ema}"
        args = [
            "export",
            str(source),
            str(out),
            "--format",
            "transformers",
            "--ema",
            ema,
            "--backbone",
            str(moved),
        ]
        assert main(args) == 0  # compared with our own, merged model on the way
        found[ema] = load_file(out / "model.safetensors")
        assert (out / "LICENSE").read_text() == "the text of the licence\n"
        card = (out / "README.md").read_text()
        assert "LoRA adapters are merged into the weights" in card
        assert ("weights are their moving average" in card) is (ema == "true")

    pretrained = load_file(moved / "model.safetensors")
    query = "blocks.0.attn.wq.weight"
    assert not [name for name in found["true"] if "lora" in name or "ema" in name]
    assert found["true"].keys() == {f"backbone.{name}" for name in pretrained} | {
        name for name in found["true"] if name.startswith("decode_head.")
    }
    weights = [pretrained[query], *(found[ema][f"backbone.{query}"] for ema in ("true", "false"))]
    assert not any(torch.equal(a, b) for a, b in zip(weights, weights[1:] + weights[:1], strict=True))
