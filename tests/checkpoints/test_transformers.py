"""Names and numbers against the real `transformers` models."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.checkpoints import (
    load_state,
    read_weights,
    released_state,
    task_state,
    to_released,
    to_transformers,
)
from sapiens2_lit.decoders import DeconvDecoder, PixelShuffleDecoder

transformers = pytest.importorskip("transformers")

SIZE = BackboneSize(32, 18, 4, 64, 1)
SHUFFLE = {"use_pixel_shuffle": True, "upsample_kernel_size": 3, "conv_kernel_size": 3}
WIDE = {"upsample_out_channels": [16, 8, 8, 8], "conv_out_channels": [8, 6]}
SCALE = {
    "scale_conv_out_channels": [8, 4, 2],
    "scale_final_hidden_sizes": [8, 6],
    "scale_final_input_size": 2,
}
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "pose": ("Sapiens2ForPoseEstimation", {"upsample_out_channels": [16, 8], "conv_out_channels": [8, 8]}),
    "seg": ("Sapiens2ForSemanticSegmentation", WIDE),
    "normal": ("Sapiens2ForNormalEstimation", WIDE | SHUFFLE),
    "pointmap": ("Sapiens2ForPointmapEstimation", WIDE | SHUFFLE | SCALE),
    "matting": ("Sapiens2ForImageMatting", WIDE | SHUFFLE),
}


def theirs(task: str, depth: int = 2, **settings: Any) -> nn.Module:
    """A small model of `transformers` with random weights everywhere, norms included."""
    name, head = HEADS[task]
    config = transformers.Sapiens2Config(
        hidden_size=SIZE.width,
        num_hidden_layers=depth,
        num_attention_heads=SIZE.heads,
        num_key_value_attention_heads=SIZE.heads // 2,
        intermediate_size=SIZE.mlp_width,
        image_size=(64, 48),
        num_labels=5,
        head_config=head,
        **settings,
    )
    model = getattr(transformers, name)(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("task", HEADS)
def test_there_and_back_is_the_identity(task: str) -> None:
    tensors = theirs(task, use_mask_token=True).state_dict()
    released = to_released(tensors, task=task)
    assert (
        len(released) == len(tensors) - 2 * 2
    )  # two blocks' gate and up projections are one, weight and bias
    assert f"decode_head.conv_{task}.weight" in released
    assert same(to_transformers(released), tensors)
    assert same(to_released(to_transformers(released), task=task), released)


@pytest.mark.parametrize("task", HEADS)
def test_files_of_transformers_hold_what_we_translate(task: str, tmp_path: Path) -> None:
    """`save_pretrained` renames to the released layout by its own table."""
    model = theirs(task)
    model.save_pretrained(tmp_path)
    assert same(read_weights(tmp_path).tensors, to_released(model.state_dict(), task=task))


def test_task_in_the_config_names_the_head(tmp_path: Path) -> None:
    model = theirs("seg")
    model.config.architectures = ["Sapiens2ForSemanticSegmentation"]
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    found = read_weights(tmp_path / "model.pth").tensors
    assert same(found, to_released(model.state_dict(), task="seg"))


class Ours(nn.Module):
    """A backbone and one head, as the training module holds them."""

    def __init__(self, task: str, head: nn.Module, size: BackboneSize = SIZE) -> None:
        super().__init__()
        self.backbone = Sapiens2(size, (64, 48))
        self.heads = nn.ModuleDict({task: head})

    def forward(self, images: Tensor) -> Tensor:
        return next(iter(self.heads.values()))(self.backbone(images)[-1])


@pytest.mark.parametrize("way", ["folder", "file", "transformers layout"])
def test_pose_model_computes_the_same(way: str, tmp_path: Path) -> None:
    model = theirs("pose", depth=SIZE.depth)
    ours = Ours("pose", DeconvDecoder(SIZE.width, (16, 8), (8, 8), 5, "conv_pose")).eval()
    if way == "transformers layout":
        tensors = to_released(model.state_dict(), task="pose")
    else:
        model.save_pretrained(tmp_path)
        tensors = read_weights(tmp_path / ("" if way == "folder" else "model.safetensors")).tensors
    report = load_state(ours, task_state(tensors, "pose"), source=way)
    assert report.kept.keys() == {"backbone.rope_embed.periods"}
    images = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), model(images).heatmaps, rtol=0, atol=1e-5)


def test_normal_model_computes_the_same() -> None:
    model = theirs("normal", depth=SIZE.depth)
    ours = Ours("normal", PixelShuffleDecoder(SIZE.width, (16, 8, 8, 8), (8, 6), 5, "conv_normal")).eval()
    load_state(ours, task_state(to_released(model.state_dict(), task="normal"), "normal"), source="memory")
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        found = ours(images)
        expected = model(images).normals
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_our_weights_go_into_transformers() -> None:
    """The other direction, through the released layout."""
    ours = Ours("pose", DeconvDecoder(SIZE.width, (16, 8), (8, 8), 5, "conv_pose")).eval()
    model = theirs("pose", depth=SIZE.depth)
    model.load_state_dict(to_transformers(released_state(ours.state_dict(), "pose")))
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(model(images).heatmaps, ours(images), rtol=0, atol=1e-5)


def test_backbone_reads_a_task_model_and_says_what_it_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs("pose", depth=SIZE.depth, use_mask_token=True).save_pretrained(tmp_path)
    with caplog.at_level("INFO", logger="sapiens2_lit"):
        model = Sapiens2(SIZE, (64, 48), weights=str(tmp_path))
    expected = read_weights(tmp_path).tensors
    for name, tensor in model.state_dict().items():
        if name != "rope_embed.periods":
            assert torch.equal(tensor, expected[f"backbone.{name}"])
    unverified, line = caplog.messages
    assert unverified == f"{tmp_path / 'model.safetensors'}: not verified, it holds no checksums."
    assert "8 ignored (a task head; only the backbone is loaded)" in line
    assert "1 ignored (used only in pretraining)" in line
    assert str(tmp_path) in line
