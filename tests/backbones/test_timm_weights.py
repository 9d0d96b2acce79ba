"""Weights of timm's networks: found, brought to the network at hand, and loaded strictly."""

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from test_timm import TINY, images, tiny
from torch import Tensor

from sapiens2_lit.backbones import TimmBackbone
from sapiens2_lit.backbones.licences import notice
from sapiens2_lit.errors import WeightsError

timm = pytest.importorskip("timm")


def saved(tensors: dict[str, Tensor], path: Path) -> str:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return str(path)


@pytest.mark.parametrize("prefix", ["", "backbone.model.", "model."])
@pytest.mark.parametrize("family", ["dinov3", "pe", "convnext"])
def test_weights_of_the_same_network_come_back(family: str, prefix: str, tmp_path: Path) -> None:
    source = tiny(family).eval()
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    named = {f"{prefix}{name}": value for name, value in source.model.state_dict().items()}
    found = tiny(family, weights=saved(named, tmp_path / "a.safetensors")).eval()
    with torch.no_grad():
        assert torch.equal(found(images())[0], source(images())[0])


def test_patches_of_14_pixels_are_resampled_and_nothing_is_padded(tmp_path: Path) -> None:
    """Of a picture without detail, patches of 14 and of 16 pixels see the same."""
    name, args = "vit_small_patch14_reg4_dinov2.lvd142m", {**TINY, "init_values": 1.0}
    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=0, img_size=(56, 28), **args).eval()
    file = saved(theirs.state_dict(), tmp_path / "a.safetensors")
    ours = TimmBackbone(name, (64, 32), file, model_args=args).eval()
    slope = torch.linspace(0, 1, 8)[None, None, :, None].expand(1, 3, 8, 4)
    smooth = [torch.nn.functional.interpolate(slope, size, mode="bilinear") for size in ((64, 32), (56, 28))]
    with torch.no_grad():
        (found,) = ours(smooth[0])
        (expected,) = theirs.forward_intermediates(smooth[1], [2], norm=True, intermediates_only=True)
    assert found.shape == expected.shape == (1, 32, 4, 2)
    cosine = torch.nn.functional.cosine_similarity(found, expected, dim=1)
    assert cosine.min() > 0.99


def test_what_pools_the_map_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name = "vit_base_patch16_siglip_512.v2_webli"
    whole = timm.create_model(name, img_size=(64, 32), **TINY)
    assert any(one.startswith("attn_pool.") for one in whole.state_dict())
    file = saved(whole.state_dict(), tmp_path / "a.safetensors")
    with caplog.at_level(logging.INFO):
        backbone = tiny("siglip2", weights=file)
    assert "ignored (pools the map)" in caplog.text
    assert not any("attn_pool" in one for one, _ in backbone.named_parameters())


@pytest.mark.parametrize(
    ("family", "hint"),
    [("pe", "a.safetensors"), ("mae", "a.safetensors")],
)
def test_weights_of_another_network_are_refused_whole(family: str, hint: str, tmp_path: Path) -> None:
    file = saved(tiny("dinov3").model.state_dict(), tmp_path / "a.safetensors")
    target = tiny(family)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    target.weights = file
    with pytest.raises(WeightsError, match=hint):
        target.load_weights()
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_a_file_of_another_size_says_which_setting_decides(tmp_path: Path) -> None:
    file = saved(tiny("dinov3").model.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="is `name` right"):
        tiny("dinov3", weights=file, model_args={**TINY, "embed_dim": 48})
    with pytest.raises(WeightsError, match="is `name` right"):
        tiny("dinov3", weights=file, model_args={**TINY, "depth": 4})


def test_a_file_that_holds_code_is_not_loaded(tmp_path: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("run",))

    torch.save({"model": Code()}, tmp_path / "a.pth")
    with pytest.raises(WeightsError):
        tiny("dinov3", weights=str(tmp_path / "a.pth"))


def test_pretrained_means_the_repository_of_the_name() -> None:
    with torch.device("meta"):
        backbone = tiny("dinov3", weights="pretrained")
        assert backbone.weights == "timm/vit_small_patch16_dinov3.lvd1689m"
        assert backbone.licence == "dinov3-license"
        assert "DINOv3 License" in str(backbone.licence_notice())
        assert "no commercial use" in str(tiny("mae", weights="pretrained").licence_notice())
        assert tiny("mae").licence_notice() is None
    assert notice("a-new-one").endswith("a-new-one")
