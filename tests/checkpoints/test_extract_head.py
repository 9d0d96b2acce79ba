"""Heads of a multitask checkpoint: taken out, added, dropped; never silently."""

from functools import partial
from pathlib import Path

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import read_weights, take_head
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import AlbedoHead, NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.training.module import SapiensModule

HEADS = {
    "pose": partial(PoseHead, skeleton="coco17"),
    "seg": partial(SegmentationHead, classes="body3", class_weights="auto"),
    "normal": NormalHead,
    "albedo": AlbedoHead,
}
IMAGES = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def make(*heads: str, **settings: object) -> SapiensModule:
    module = SapiensModule(partial(Sapiens2, "test"), {name: HEADS[name] for name in heads}, **settings)
    module.configure_model()
    return module.eval()


def same_head(one: SapiensModule, other: SapiensModule, name: str) -> bool:
    with torch.no_grad():
        return torch.equal(one(IMAGES)[name], other(IMAGES)[name])


@pytest.fixture(scope="module")
def trained() -> SapiensModule:
    torch.manual_seed(3)
    return make("pose", "seg", "normal")


@pytest.fixture
def checkpoint(trained: SapiensModule, tmp_path: Path) -> str:
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": trained.state_dict(), "global_step": 7}, path)
    return str(path)


@pytest.mark.parametrize("head", ["pose", "seg", "normal"])
def test_a_head_taken_out_predicts_what_it_did(
    head: str, trained: SapiensModule, checkpoint: str, tmp_path: Path
) -> None:
    path = take_head(checkpoint, head, tmp_path / "one" / "model.safetensors")
    assert {name.split(".")[0] for name in read_weights(path).tensors} == {"backbone", "decode_head"}
    assert same_head(make(head, weights=str(path)), trained, head)
    with pytest.raises(WeightsError, match="found 'hand', expected one of those present: normal, pose, seg"):
        take_head(checkpoint, "hand", path)


def test_a_head_without_its_backbone_is_not_a_task_file(trained: SapiensModule, tmp_path: Path) -> None:
    path = tmp_path / "heads.ckpt"
    torch.save(
        {name: value for name, value in trained.state_dict().items() if name.startswith("heads.")}, path
    )
    with pytest.raises(WeightsError, match="found no backbone"):
        take_head(path, "pose", tmp_path / "pose.safetensors")
    adapted = {**trained.state_dict(), "backbone.blocks.0.attn.wq.lora_A.weight": torch.zeros(1)}
    torch.save(adapted, path)
    with pytest.raises(WeightsError, match=r"found adapters \(backbone\.blocks\.0\.attn\.wq\.lora_A"):
        take_head(path, "pose", tmp_path / "pose.safetensors")


def test_a_head_is_added_to_a_checkpoint(trained: SapiensModule, checkpoint: str) -> None:
    with pytest.raises(WeightsError, match=r"reinitialize: \[heads\.albedo\]"):
        make("pose", "seg", "normal", "albedo", weights=checkpoint)
    grown = make("pose", "seg", "normal", "albedo", weights=checkpoint, reinitialize=["heads.albedo"])
    assert all(same_head(grown, trained, name) for name in ("pose", "seg", "normal"))


def test_a_head_is_added_to_a_task_file(trained: SapiensModule, checkpoint: str, tmp_path: Path) -> None:
    path = str(take_head(checkpoint, "normal", tmp_path / "normal.safetensors"))
    with pytest.raises(
        SettingError, match=r"one head, but there are 2 to load \(normal, albedo\).*\[heads\.albedo\]"
    ):
        make("normal", "albedo", weights=path)
    grown = make("albedo", "normal", weights=path, reinitialize=["heads.albedo"])
    assert same_head(grown, trained, "normal")


def test_heads_are_dropped_where_asked_alone(trained: SapiensModule, checkpoint: str) -> None:
    with pytest.raises(WeightsError, match=r"drop: \[heads\.normal, heads\.seg\]"):
        make("pose", weights=checkpoint)
    less = make("pose", weights=checkpoint, drop=["heads.seg", "heads.normal"])
    assert same_head(less, trained, "pose")
    assert {name.split(".")[1] for name in less.state_dict() if name.startswith("heads.")} == {"pose"}
    with pytest.raises(WeightsError, match=r"drop: \[heads\.seg\]"):
        make("pose", weights=checkpoint, drop=["heads.normal"])


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (["heads.hand"], r"'heads\.hand' names nothing in .*heads\.normal, heads\.pose, heads\.seg"),
        (["heads.pose"], r"the model has 'heads\.pose'; .*model\.reinitialize"),
    ],
)
def test_what_cannot_be_dropped_is_said(drop: list[str], expected: str, checkpoint: str) -> None:
    with pytest.raises(SettingError, match=expected):
        make("pose", "seg", "normal", weights=checkpoint, drop=drop)


def test_dropping_needs_weights() -> None:
    with pytest.raises(SettingError, match="drop"):
        make("pose", drop=["heads.seg"])
