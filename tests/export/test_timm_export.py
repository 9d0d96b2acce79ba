"""A network of timm with other means than ImageNet's: trained, exported and run by numpy, with its own."""

import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import QUIET
from huggingface_hub import ModelCard
from safetensors.torch import save_file

from sapiens2_lit.backbones import TimmBackbone
from sapiens2_lit.cli.main import main
from sapiens2_lit.inference.model import load_model

pytest.importorskip("timm")
NAME = "vit_base_patch16_siglip_512.v2_webli"
TINY = {"embed_dim": 32, "depth": 2, "num_heads": 2}


@pytest.fixture(scope="module")
def trained(figures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a run of three steps, from pretrained weights in a file."""
    folder = tmp_path_factory.mktemp("siglip")
    torch.manual_seed(0)
    save_file(
        TimmBackbone(NAME, (64, 48), model_args=TINY).model.state_dict(), folder / "weights.safetensors"
    )
    settings = {"name": NAME, "model_args": TINY, "weights": str(folder / "weights.safetensors")}
    backbone = {"class_path": "sapiens2_lit.backbones.TimmBackbone", "init_args": settings}
    (folder / "overlay.yaml").write_text(json.dumps({"model": {"backbone": backbone}}))
    command = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
        "--output",
        str(folder / "runs"),
    ]
    command += ["--config", str(folder / "overlay.yaml"), "--data.root", str(figures), *QUIET]
    assert main([*command, "--trainer.max_steps", "3", "--trainer.limit_val_batches", "1"]) == 0
    (folder / "weights.safetensors").unlink()  # the checkpoint holds all of the backbone
    return folder / "runs" / "version_0" / "checkpoints" / "last.ckpt"


def by_hand(model: Any, images: torch.Tensor) -> torch.Tensor:
    """Heatmaps of images that are normalized here, by 0.5 and 0.5 of 0..1."""
    features = model.backbone(images.float() / 127.5 - 1)
    return model.heads["pose"](features)


@torch.no_grad()
def test_it_predicts_with_its_own_means(trained: Path) -> None:
    model = load_model(trained)
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    torch.testing.assert_close(model(images)["pose"], by_hand(model, images))


@pytest.mark.slow
@torch.no_grad()
def test_onnx_and_its_program_have_its_means(
    trained: Path,
    figures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "out"
    assert main(["export", str(trained), str(out), "--format", "onnx"]) == 0
    images = torch.randint(0, 256, (3, 3, 64, 48), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": images.numpy()})
    np.testing.assert_allclose(found, by_hand(load_model(trained), images).numpy(), atol=1e-4)
    said = json.loads((out / "sapiens2_lit.json").read_text())
    assert said["pixels"] == {"mean": [127.5] * 3, "std": [127.5] * 3}
    assert said["derived_from"]["licence"] == "apache-2.0"
    card = ModelCard.load(out / "README.md")
    assert card.data.license == "apache-2.0"
    assert "sapiens2" not in card.data.tags
    assert "127.5" in card.text
    assert NAME in card.text
    assert "Apache License 2.0" in (out / "LICENSE").read_text()
    picture = tmp_path / "picture.png"  # the program writes beside it
    shutil.copyfile(sorted((figures / "images").iterdir())[0], picture)
    monkeypatch.chdir(out)
    monkeypatch.setattr(sys, "argv", ["predict.py", str(picture)])
    capsys.readouterr()
    runpy.run_path(str(out / "predict.py"), run_name="__main__")
    assert "pose" in capsys.readouterr().out


@pytest.mark.slow
@torch.no_grad()
def test_torch_export_has_its_means(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["export", str(trained), str(out), "--format", "torch-export"]) == 0
    program = torch.export.load(next(out.glob("*.pt2"))).module()
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    torch.testing.assert_close(
        program(images)["pose"], by_hand(load_model(trained), images), rtol=0, atol=1e-4
    )


def test_formats_of_sapiens2_alone_refuse_it(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for form in ("released", "transformers"):
        assert main(["export", str(trained), str(tmp_path / form), "--format", form]) == 1
        assert "TimmBackbone" in capsys.readouterr().err
