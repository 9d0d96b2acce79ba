"""Checkpoints as a run leaves them, of tiny networks with random values everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sapiens2_lit.cli import main
from sapiens2_lit.inference.factories import read_factories

MakeCheckpoint = Callable[..., Path]


def class_path(name: str, **settings: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": settings}


def make_checkpoint(
    path: Path,
    heads: dict[str, dict[str, Any]],
    image_size: tuple[int, int] = (64, 48),
    weights: str | None = "facebook/sapiens2-pretrain-0.4b",
    **backbone: Any,
) -> Path:
    """A checkpoint of ours with these heads, whose parameters are all random."""
    settings = {"size": "test", "image_size": list(image_size), "weights": weights, **backbone}
    data = class_path(
        "sapiens2_lit.datamodules.SyntheticDataModule",
        root="/home/somebody/people",
        image_size=list(image_size),
    )
    config = {
        "model": {"backbone": class_path("sapiens2_lit.backbones.Sapiens2", **settings), "heads": heads},
        "data": data,
    }
    network = {
        **config["model"],
        "backbone": class_path("sapiens2_lit.backbones.Sapiens2", **settings | {"weights": None}),
    }
    torch.manual_seed(0)
    make_backbone, make_heads = read_factories({"model": network}, str(path))
    built = make_backbone()
    module = nn.ModuleDict(
        {
            "backbone": built,
            "heads": nn.ModuleDict({name: make(built.embed_dim) for name, make in make_heads.items()}),
        }
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": module.state_dict(), "global_step": 40, "sapiens2_lit": {"config": config}}
    torch.save(content, path)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """Makes `last.ckpt` in a run folder of the test's own."""
    return lambda heads, **settings: make_checkpoint(
        tmp_path / "version_0" / "checkpoints" / "last.ckpt", heads, **settings
    )


@pytest.fixture
def heads() -> dict[str, dict[str, Any]]:
    """One of each, as a configuration names them."""
    return {**HEADS}


HEADS: dict[str, dict[str, Any]] = {
    "pose": class_path("sapiens2_lit.heads.PoseHead", skeleton="coco17"),
    "seg": class_path("sapiens2_lit.heads.SegmentationHead"),
    "normal": class_path("sapiens2_lit.heads.NormalHead"),
    "pointmap": class_path("sapiens2_lit.heads.PointmapHead", image_size=[64, 48]),
    "albedo": class_path("sapiens2_lit.heads.AlbedoHead"),
    "depth": class_path("sapiens2_lit.heads.DepthHead"),
    "matting": class_path("sapiens2_lit.heads.MattingHead"),
    "linear": class_path("sapiens2_lit.heads.LinearHead"),
}


@pytest.fixture(scope="session")
def onnx_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with heads of several kinds."""
    chosen = {name: HEADS[name] for name in ("pose", "linear")}
    return make_checkpoint(tmp_path_factory.mktemp("run") / "version_0" / "checkpoints" / "last.ckpt", chosen)


@pytest.fixture(scope="session")
def torch_folder(onnx_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of its heads as a package of torch.export."""
    out = tmp_path_factory.mktemp("torch") / "out"
    args = ["--format", "torch-export", "--head", "linear", "--check", "false"]
    assert main(["export", str(onnx_checkpoint), str(out), *args]) == 0
    return out


@pytest.fixture(scope="session")
def onnx_folder(onnx_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export to ONNX, by the command."""
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("onnx") / "out"
    assert main(["export", str(onnx_checkpoint), str(out), "--format", "onnx"]) == 0
    return out
