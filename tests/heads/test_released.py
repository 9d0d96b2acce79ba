"""Whole heads against the released numbers: `golden/heads.safetensors` and the models of `transformers`."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers import GOLDEN, golden_json, normal
from safetensors.torch import load_file
from torch import nn

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.checkpoints import load_state, released_state, task_state, to_released, to_transformers
from sapiens2_lit.decoders import DeconvDecoder, PixelShuffleDecoder
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import AlbedoHead, Head, MattingHead, NormalHead, PointmapHead, SegmentationHead
from sapiens2_lit.heads.scale_branch import ScaleBranch, build_scale_branch, strides_for

DENSE = {"normal": NormalHead, "albedo": AlbedoHead, "pointmap": PointmapHead, "matting": MattingHead}


def small(
    patch: pytest.MonkeyPatch,
    task: str,
    up: tuple[int, ...],
    conv: tuple[int, ...],
    scale: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    """Give heads other channels than those of any released size."""

    def build(task: str, width: int, out: int, kind: str) -> nn.Sequential:
        if task == "seg":
            return DeconvDecoder(width, up, conv, out, "conv_seg")
        norm = "rms" if task == "albedo" else "instance"
        return PixelShuffleDecoder(width, up, conv, out, f"conv_{task}", norm=norm)

    module = {"seg": "segmentation"}.get(task, task)
    patch.setattr(f"sapiens2_lit.heads.{module}.build_decoder", build)
    if task == "pointmap":
        branch = f"sapiens2_lit.heads.{module}.build_scale_branch"
        patch.setattr(branch, lambda width, grid: ScaleBranch(width, grid, *scale, (2, 2, 2)))


@pytest.mark.parametrize("task", ["normal", "albedo", "pointmap"])
def test_outputs_equal_the_golden_ones(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, task, (32, 24, 16, 16), (12, 8), ((32, 16, 16), (8, 8)))
    head = PointmapHead(48, image_size=(256, 192)) if task == "pointmap" else DENSE[task](48)
    released = golden_json("state_dict_heads.json")[task]
    assert {name: list(tensor.shape) for name, tensor in head.state_dict().items()} == released
    state = {
        name: float(name.endswith("norm.weight")) + 0.1 * normal(name, tuple(shape))
        for name, shape in released.items()
    }
    head.load_state_dict(state)
    with torch.no_grad():
        found = head([normal("features", (1, 48, 16, 12))])
    expected = load_file(GOLDEN / "heads.safetensors")
    if task == "pointmap":
        torch.testing.assert_close(found["scale"], expected["pointmap.scale"], rtol=0, atol=1e-5)
        found = found["pointmap"]
    torch.testing.assert_close(found[..., ::4, ::4], expected[task], rtol=0, atol=1e-5)


SIZE, IMAGES = BackboneSize(32, 18, 4, 64, 1), (256, 192)
SHUFFLE = {"use_pixel_shuffle": True, "upsample_kernel_size": 3, "conv_kernel_size": 3}
WIDE = {"upsample_out_channels": [16, 8, 8, 8], "conv_out_channels": [8, 6]}
SCALE = {
    "scale_conv_out_channels": [8, 4, 2],
    "scale_final_hidden_sizes": [8, 6],
    "scale_final_input_size": 8,
}
MODELS: dict[str, tuple[str, int, dict[str, Any], Callable[[], Head]]] = {
    "seg": ("SemanticSegmentation", 29, WIDE, lambda: SegmentationHead(32)),
    "normal": ("NormalEstimation", 3, WIDE | SHUFFLE, lambda: NormalHead(32)),
    "pointmap": (
        "PointmapEstimation",
        3,
        WIDE | SHUFFLE | SCALE,
        lambda: PointmapHead(32, image_size=IMAGES),
    ),
    "matting": ("ImageMatting", 4, WIDE | SHUFFLE, lambda: MattingHead(32)),
}


def theirs(task: str) -> nn.Module:
    """A small model of `transformers` with random weights everywhere."""
    transformers = pytest.importorskip("transformers")
    name, labels, head, _ = MODELS[task]
    config = transformers.Sapiens2Config(
        hidden_size=SIZE.width,
        num_hidden_layers=SIZE.depth,
        num_attention_heads=SIZE.heads,
        num_key_value_attention_heads=SIZE.heads // 2,
        intermediate_size=SIZE.mlp_width,
        image_size=IMAGES,
        num_labels=labels,
        head_config=head,
    )
    model = getattr(transformers, f"Sapiens2For{name}")(config).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


class Ours(nn.Module):
    """A backbone and one head, as the training module holds them."""

    def __init__(self, task: str, head: Head) -> None:
        super().__init__()
        self.backbone = Sapiens2(SIZE, IMAGES)
        self.heads = nn.ModuleDict({task: head})


@pytest.mark.parametrize("task", MODELS)
def test_outputs_equal_those_of_transformers_in_both_directions(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch, task, (16, 8, 8, 8), (8, 6), ((8, 4, 2), (8, 6)))
    model, head = theirs(task), MODELS[task][3]()
    ours = Ours(task, head).eval()
    load_state(ours, task_state(to_released(model.state_dict(), task=task), task), source="memory")
    images = torch.randn(1, 3, *IMAGES)
    batch = {"image": images}
    with torch.no_grad():
        outputs, expected = head(ours.backbone(images)), model(images)
        found = head.predict(outputs, batch)
    pairs = {
        "seg": lambda: [(outputs, expected.logits)],
        "normal": lambda: [(outputs, expected.normals)],
        "pointmap": lambda: [(outputs["pointmap"], expected.pointmaps), (outputs["scale"], expected.scales)],
        "matting": lambda: [(found["alpha"], expected.alphas), (found["foreground"], expected.foregrounds)],
    }[task]()
    for own, other in pairs:
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)  # canonical points reach 10 and more
    again = theirs(task)
    with torch.no_grad():
        for parameter in again.parameters():
            parameter.zero_()
    again.load_state_dict(to_transformers(released_state(ours.state_dict(), task)))
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(again(images).values(), expected.values(), strict=True))


@pytest.mark.parametrize("width", [768, 1024, 1536])
def test_scale_branch_of_released_sizes_has_the_released_shapes(width: int) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in PointmapHead(width).state_dict().items()}
    assert shapes["scale_conv_layers.0.weight"] == (1536, width, 1, 1)
    assert shapes["scale_conv_layers.3.weight"] == (512, 1536, 1, 1)
    assert shapes["scale_conv_layers.6.weight"] == (128, 512, 1, 1)
    assert shapes["scale_final_layer.1.weight"] == (512, 6144)
    assert shapes["scale_final_layer.3.weight"] == (128, 512)
    assert shapes["scale_final_layer.5.weight"] == (1, 128)
    stages = (
        "input_conv",
        "upsample_blocks",
        "conv_layers",
        "conv_pointmap",
        "scale_conv_layers",
        "scale_final_layer",
    )
    assert {name.split(".")[0] for name in shapes} == set(stages)


@pytest.mark.parametrize(
    ("grid", "strides"),
    [((64, 48), [2, 2, 2]), ((32, 24), [2, 2, 2]), ((16, 12), [2, 2, 1]), ((4, 3), [1, 1, 1])],
)
def test_strides_leave_something_to_see(grid: tuple[int, int], strides: list[int]) -> None:
    assert strides_for(grid, 3) == strides
    scale = build_scale_branch(32, grid)(torch.randn(2, 32, *grid))
    assert scale.shape == (2, 1)
    assert scale.isfinite().all()


def test_released_scale_branches_belong_to_their_image_size() -> None:
    released, small = (PointmapHead(32, image_size=size) for size in ((1024, 768), (512, 384)))
    with pytest.raises(WeightsError, match=r"(?s)scale_final_layer.*image size"):
        load_state(small, released.state_dict(), source="released")
    load_state(small, released.state_dict(), source="released", reinitialize=["scale_final_layer"])
    with pytest.raises(SettingError, match="found a feature map of 64 x 48 cells, expected 32 x 24"):
        small([torch.randn(1, 32, 64, 48)])
