"""Checkpoints as a run leaves them, of tiny networks with random values everywhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sapiens2_lit.cli.main import main
from sapiens2_lit.inference.build_from_config import read_factories

MakeCheckpoint = Callable[..., Path]


def class_path(name: str, /, **settings: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": settings}


def make_checkpoint(
    path: Path,
    heads: dict[str, dict[str, Any]],
    image_size: tuple[int, int] = (64, 48),
    weights: str | None = "facebook/sapiens2-pretrain-0.4b",
    kind: str = "sapiens2_lit.backbones.Sapiens2",
    view: str | None = None,
    **backbone: Any,
) -> Path:
    """A checkpoint of ours with these heads, whose parameters are all random."""
    settings = {"image_size": list(image_size), "weights": weights, **backbone}
    if kind.endswith(".Sapiens2"):
        settings = {"size": "test", **settings}
    data = class_path(
        "sapiens2_lit.datamodules.SyntheticDataModule",
        root="/home/somebody/people",
        image_size=list(image_size),
    )
    if view is not None:
        data = class_path("sapiens2_lit.datamodules.SegmentationDataModule", root="people", view=view)
    config = {
        "model": {"backbone": class_path(kind, **settings), "heads": heads},
        "data": data,
    }
    network = {
        **config["model"],
        "backbone": class_path(kind, **settings | {"weights": None}),
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


USERS_FILE = """
from torch import nn
from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.heads import Head


class Grouped(BackboneSize):  # in every block; released sizes have grouped queries in the middle of many
    def kv_heads(self, block):
        return self.heads // 2


class Hard(Sapiens2):
    def __init__(self, image_size=(128, 64), weights=None):
        super().__init__(
            Grouped(16, 1, 2, 32, 1), image_size, window_tokenizer=True, rope_dtype="bfloat16", weights=weights
        )


class TwoAnswers(Head):
    def __init__(self, embed_dim):
        super().__init__()
        self.line = nn.Conv2d(embed_dim, 2, 1)

    def forward(self, features):
        field = self.line(features[-1])
        return {"left": field[:, 0], "mean": field.mean(dim=(2, 3))}

    def loss(self, outputs, batch):
        return {}

    def predict(self, outputs, batch):
        return outputs
"""


@pytest.fixture(scope="session")
def graph_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All that is hard to capture in one run: window tokenizer, grouped queries, bfloat16 positions, a user's head."""
    place = tmp_path_factory.mktemp("run")
    (place / "a_users_file.py").write_text(USERS_FILE)
    heads = {"pose": HEADS["pose"], "linear": HEADS["linear"], "mine": class_path("a_users_file.TwoAnswers")}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        patch.setenv("SAPIENS2_LIT_TRUST", "a_users_file")
        path = place / "version_0" / "checkpoints" / "last.ckpt"
        yield make_checkpoint(path, heads, (128, 64), kind="a_users_file.Hard")


@pytest.fixture(scope="session")
def torch_folder(graph_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export to torch.export, by the command."""
    out = tmp_path_factory.mktemp("torch") / "out"
    assert main(["export", str(graph_checkpoint), str(out), "--format", "torch-export"]) == 0
    return out


@pytest.fixture(scope="session")
def onnx_folder(graph_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its export to ONNX, by the command, with weights in a file of their own."""
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("onnx") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sapiens2_lit.export.onnx.LARGEST_FILE", 0)
        assert main(["export", str(graph_checkpoint), str(out), "--format", "onnx", "--opset", "20"]) == 0
    return out
