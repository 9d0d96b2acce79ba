"""Networks of timm as backbones: the map that timm computes, whatever the class, its size and where it is built."""

from typing import Any

import pytest
import torch
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2, TimmBackbone
from sapiens2_lit.checkpoints import write_weights
from sapiens2_lit.errors import SettingError

pytest.importorskip("timm")
TINY = {"embed_dim": 32, "depth": 3, "num_heads": 2}
PLAIN = {
    "dinov3": "vit_small_patch16_dinov3.lvd1689m",
    "dinov2": "vit_small_patch14_reg4_dinov2.lvd142m",
    "siglip2": "vit_base_patch16_siglip_512.v2_webli",
    "pe": "vit_pe_spatial_small_patch16_512.fb",
    "mae": "vit_base_patch16_224.mae",
    "mixed": "vit_small_patch16_rope_mixed_224.naver_in1k",
}
STAGED: dict[str, tuple[str, dict[str, Any]]] = {
    "convnext": ("convnext_tiny.dinov3_lvd1689m", {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 24)}),
    "swin": (
        "swin_tiny_patch4_window7_224.ms_in1k",
        {"embed_dim": 8, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 2), "drop_path_rate": 0.0},
    ),
}
FAMILIES = [*PLAIN, *STAGED]
SIZES = [(64, 32), (96, 64)]


def tiny(family: str, **settings: Any) -> TimmBackbone:
    """A tiny network of a family, for images of 64 x 32 pixels, with the same values every time."""
    torch.manual_seed(0)
    name, args = STAGED[family] if family in STAGED else (PLAIN[family], TINY)
    return TimmBackbone(name, **{"image_size": (64, 32), "model_args": args, **settings})


def images(size: tuple[int, int] = (64, 32)) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", PLAIN)
def test_a_plain_transformer_gives_the_normed_map_of_timm(family: str, size: tuple[int, int]) -> None:
    backbone = tiny(family, out_indices=(0, -1)).eval()
    model: Any = backbone.model
    with torch.no_grad():
        found = backbone(images(size))
        expected = model.forward_intermediates(images(size), [0, 2], norm=True, intermediates_only=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == (2, 32, size[0] // 16, size[1] // 16)
        assert ours.is_contiguous()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("family", "size"), list(zip(STAGED, SIZES, strict=True)))
def test_a_network_in_stages_gives_its_last_map_twice_as_fine(family: str, size: tuple[int, int]) -> None:
    backbone = tiny(family).eval()
    model: Any = backbone.model
    with torch.no_grad():
        (found,) = backbone(images(size))
        (last,) = model.forward_intermediates(images(size), [3], norm=True, intermediates_only=True)
        normed = model.head["norm"](last) if "norm" in model.head else last
    assert found.shape == (2, backbone.embed_dim, size[0] // 16, size[1] // 16)
    expected = torch.nn.functional.interpolate(normed, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_used_and_has_a_depth(family: str) -> None:
    backbone = tiny(family).train()
    torch.stack([one.square().sum() for one in backbone(images())]).sum().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []
    depths = [backbone.layer_depth(f"backbone.{name}") for name, _ in backbone.named_parameters()]
    final = {backbone.depth + 1} if family != "pe" else set()  # which ends without a norm
    assert set(depths) == {*range(backbone.depth + 1), *final}
    for number, block in enumerate(backbone.blocks):
        own = {id(p) for p in block.parameters()}
        assert {backbone.layer_depth(n) for n, p in backbone.named_parameters() if id(p) in own} == {
            number + 1
        }
    with pytest.raises(KeyError, match="nothing"):
        backbone.layer_depth("nothing.weight")


@pytest.mark.parametrize("family", FAMILIES)
def test_built_without_memory_it_gets_the_same_values(family: str) -> None:
    """Also those that no file holds, such as the periods of rotary positions."""
    direct = tiny(family)
    with torch.device("meta"):
        later = tiny(family)
    assert all(tensor.is_meta for tensor in later.parameters())
    later.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*later.parameters(), *later.buffers()):
            tensor.zero_()
    torch.manual_seed(0)
    with torch.no_grad():
        later.init_weights()
    named = [dict([*one.named_parameters(), *one.named_buffers()]) for one in (direct, later)]
    assert named[0].keys() == named[1].keys()
    assert [name for name in named[0] if not torch.equal(named[0][name], named[1][name])] == []


@pytest.mark.parametrize("mode", [True, 2, "selective"])
@pytest.mark.parametrize("family", ["dinov3", "siglip2", "swin"])
def test_activation_checkpointing_changes_no_gradient(family: str, mode: Any) -> None:
    backbone, gradients = tiny(family).train(), []
    for setting in (False, mode):
        backbone.activation_checkpointing = setting
        backbone.zero_grad()
        torch.stack([one.square().sum() for one in backbone(images())]).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in backbone.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("size", [(64, 48), (96, 80)])
def test_sapiens2_through_timm_is_sapiens2(size: tuple[int, int], tmp_path: Any) -> None:
    torch.manual_seed(0)
    ours = Sapiens2("tiny", (64, 48), out_indices=(8, -1)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    file = write_weights(ours.state_dict(), tmp_path / "model.safetensors")
    row = ours.size
    theirs = TimmBackbone(
        "vit_base_patch16_sapiens2",
        (64, 48),
        str(file),
        (8, -1),
        model_args={
            "embed_dim": row.width,
            "depth": row.depth,
            "num_heads": row.heads,
            "num_kv_heads": tuple(row.kv_heads(i) for i in range(row.depth)),
            "mlp_ratio": row.mlp_width / row.width,
        },
    ).train()  # positions stay as they are in training, too
    with torch.no_grad():
        for found, expected in zip(theirs(images(size)), ours(images(size)), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_images_are_normalized_as_the_weights_expect_it() -> None:
    assert tiny("dinov3").mean == Sapiens2("test", (64, 48)).mean
    assert tiny("dinov3").std == Sapiens2("test", (64, 48)).std
    for family in ("siglip2", "pe"):
        assert tiny(family).mean == tiny(family).std == (127.5, 127.5, 127.5)


def test_without_an_image_size_positions_stay_as_they_were_trained() -> None:
    assert tiny("dinov2", image_size=None).model.pos_embed.shape[1] == 37 * 37
    assert tiny("mae", image_size=None).model.pos_embed.shape[1] == 14 * 14 + 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("vit_small_patch16_dinov4", {}, "did you mean vit_small_patch16_dinov3"),
        ("vit_small_patch16_dinov3.lvd", {}, r"no weights 'lvd' .*vit_small_patch16_dinov3.lvd1689m"),
        ("resnet50", {}, "a ResNet of timm, which gives no such map"),
        ("vit_base_patch32_224", {}, "patches are 32 x 32 pixels"),
        ("vit_base_r50_s16_224", {}, "gives no such map"),
        ("vit_small_patch16_dinov3", {"image_size": (65, 64)}, r"\(64, 64\) or \(80, 64\)"),
        ("convnext_tiny", {"image_size": (48, 64)}, "multiples of 32"),
        ("convnext_tiny", {"out_indices": (0, -1)}, "only the last block"),
        ("vit_small_patch16_dinov3", {"out_indices": (3, 1)}, "out_indices"),
        ("vit_small_patch16_dinov3", {"model_args": {"dept": 2}}, "not an argument of timm's Eva; did you mean depth"),
        ("vit_small_patch16_dinov3", {"model_args": {"img_size": 64}}, "image_size decides it"),
        ("vit_small_patch16_dinov3", {"model_args": {"depth": "many"}}, "timm cannot build"),
        ("vit_small_patch16_dinov3", {"model_args": {"checkpoint_path": "x.pth"}}, "not an argument"),
        ("vit_small_patch16_dinov3", {"activation_checkpointing": "some"}, "activation_checkpointing"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_at_once(name: str, settings: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(SettingError, match=message):
        TimmBackbone(name, **settings)


def test_an_image_of_another_size_than_the_network_takes_is_refused() -> None:
    with pytest.raises(SettingError, match="multiples of 16"):
        tiny("dinov3")(torch.zeros(1, 3, 70, 64))


def test_without_timm_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(SettingError, match=r"pip install 'sapiens2-lit\[timm\]'"):
        TimmBackbone("vit_small_patch16_dinov3")
