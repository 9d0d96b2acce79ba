"""The backbone of Sapiens v1: timm's vision transformer by renaming, its positions, its padding."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
import sapiens1_files as files
import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule

from sapiens2_lit.backbones import Sapiens1
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.models.build import fill_backbone, shard_backbone
from sapiens2_lit.parallel.dtensor import whole
from sapiens2_lit.parallel.sharding import Sharding
from sapiens2_lit.training.adaptation import Adapt, Adaptation

SIZE = (64, 48)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(files.write_backbone(tmp_path_factory.mktemp("v1") / "pretrain.pth"))


def images(size: tuple[int, int] = SIZE) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


def in_timm(tensors: dict[str, Tensor], padding: int, class_token: bool) -> torch.nn.Module:
    """timm's transformer with the same tensors, renamed."""
    transformer = pytest.importorskip("timm.models.vision_transformer")
    model = transformer.VisionTransformer(
        img_size=SIZE,
        embed_dim=files.WIDTH,
        depth=files.DEPTH,
        num_heads=files.HEADS,
        class_token=class_token,
        global_pool="",
        num_classes=0,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    )
    model.patch_embed.proj.padding = (padding, padding)
    model.patch_embed.strict_img_size = False
    renamed = {}
    for name, tensor in tensors.items():
        for old, new in (
            ("projection", "proj"),
            ("layers.0.0", "fc1"),
            ("ffn.layers.1", "mlp.fc2"),
            ("ffn.", "mlp."),
            ("ln", "norm"),
        ):
            name = name.replace(old, new)
        name = "norm" + name.removeprefix("norm1") if name.startswith("norm1") else name
        renamed[name.replace("layers.", "blocks.")] = tensor
    model.load_state_dict(renamed, strict=True)
    return model.eval()


@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("padding", [0, 2])
@torch.no_grad()
def test_it_is_timms_transformer_by_renaming(padding: int, class_token: bool, tmp_path: Path) -> None:
    tensors = files.backbone(class_token)
    torch.save(tensors, tmp_path / "weights.pth")
    weights = str(tmp_path / "weights.pth")
    backbone = Sapiens1("test", SIZE, padding=padding, class_token=class_token, weights=weights).eval()
    (found,) = backbone(images())
    expected = in_timm(tensors, padding, class_token).forward_features(images())[:, int(class_token) :]
    assert found.shape == (2, files.WIDTH, files.ROWS, files.COLUMNS)
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-6)


@torch.no_grad()
def test_padding_shows_patches_two_pixels_up_and_left(pretrained: str) -> None:
    plain, padded = (Sapiens1("test", SIZE, padding=n, weights=pretrained).eval() for n in (0, 2))
    moved = torch.nn.functional.pad(images(), (2, -2, 2, -2))
    torch.testing.assert_close(padded(images()), plain(moved), rtol=0, atol=1e-6)


def test_positions_of_a_square_are_resampled_as_released(pretrained: str) -> None:
    backbone = Sapiens1("test", SIZE, weights=pretrained)
    expected = files.positions(16, (files.ROWS, files.COLUMNS))
    torch.testing.assert_close(backbone.pos_embed.detach(), expected, rtol=0, atol=1e-6)
    assert backbone.padding == 0, "nothing is padded in pretraining"
    kept = Sapiens1("test", (64, 64), class_token=True, weights=pretrained)
    assert torch.equal(kept.pos_embed, files.backbone(True, (4, 4))["pos_embed"])


@torch.no_grad()
def test_other_sizes_get_positions_of_their_own(pretrained: str) -> None:
    backbone = Sapiens1("test", (64, 64), weights=pretrained).eval()
    (found,) = backbone(images((96, 48)))
    (expected,) = Sapiens1("test", (96, 48), weights=pretrained).eval()(images((96, 48)))
    assert found.shape[-2:] == (6, 3)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("task", "outputs", "padding"), [("pose", 17, 2), ("pose", 308, 2), ("normal", 3, 2),
    ("depth", 1, 0), ("seg", 28, 0), ("seg", 20, 2)])  # fmt: skip
def test_padding_follows_the_task(task: str, outputs: int, padding: int, tmp_path: Path) -> None:
    file = files.write_task(tmp_path / "v1.pth", task, outputs)
    assert Sapiens1("test", SIZE, weights=str(file)).padding == padding


def test_padding_is_that_of_the_repository_or_of_config_json(tmp_path: Path) -> None:
    with torch.device("meta"):
        for name, padding in (
            ("seg-1b", 2),
            ("seg-2b", 0),
            ("pose-0.3b", 2),
            ("pretrain-0.3b", 0),
            ("depth-1b", 0),
        ):
            assert Sapiens1(name.split("-")[1], weights=f"facebook/sapiens-{name}").padding == padding
    file = files.write_task(tmp_path / "mine.pth", "seg", 5)
    with pytest.raises(SettingError, match=r"5 classes.*model\.backbone\.init_args\.padding.*config\.json"):
        Sapiens1("test", SIZE, weights=str(file))
    assert Sapiens1("test", SIZE, padding=2, weights=str(file)).padding == 2
    (tmp_path / "config.json").write_text('{"padding": 2}')
    assert Sapiens1("test", SIZE, weights=str(file)).padding == 2
    (tmp_path / "config.json").write_text('{"padding": 1}')
    with pytest.raises(WeightsError, match="padding: found 1, expected 0 or 2"):
        Sapiens1("test", SIZE, weights=str(file))


def test_what_does_not_fit_is_said(pretrained: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"32 wide and 3 blocks deep \(size: test\), expected 1024 and 24"):
        Sapiens1("0.3b", SIZE, weights=pretrained)
    with pytest.raises(SettingError, match=r"size: found '0\.4b', expected one of 0\.3b, 0\.6b, 1b, 2b"):
        Sapiens1("0.4b")
    with pytest.raises(SettingError, match="padding: found 1"):
        Sapiens1("test", padding=1)
    torch.save(files.backbone(), tmp_path / "task.pth")
    with pytest.raises(WeightsError, match="no class token"):
        Sapiens1("test", SIZE, class_token=True, weights=str(tmp_path / "task.pth"))
    torch.save(files.backbone(grid=(5, 1)), tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="positions of 5 patches, expected those of 4 x 3"):
        Sapiens1("test", SIZE, weights=str(tmp_path / "odd.pth"))
    with pytest.raises(WeightsError, match=r"(?s)1 missing.*layers\.2\.attn\.qkv\.bias"):
        short = files.backbone()
        del short["layers.2.attn.qkv.bias"]
        torch.save(short, tmp_path / "short.pth")
        Sapiens1("test", SIZE, weights=str(tmp_path / "short.pth"))


def test_every_parameter_is_used_and_has_a_depth() -> None:
    backbone = Sapiens1("test", SIZE, class_token=True, out_indices=(0, -1), activation_checkpointing=True)
    torch.stack([one.square().sum() for one in backbone(images())]).sum().backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []
    depths = {backbone.layer_depth(f"backbone.{name}") for name, _ in backbone.named_parameters()}
    assert depths == set(range(files.DEPTH + 2))
    with pytest.raises(KeyError, match="not a parameter of Sapiens1"):
        backbone.layer_depth("norm.weight")


def test_adapters_stand_beside_the_four_linear_layers_of_every_block() -> None:
    pytest.importorskip("peft")
    backbone = Sapiens1("test", SIZE)
    Adaptation(Adapt("lora"), backbone)
    learns = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert len(learns) == 2 * 4 * files.DEPTH and all("lora_" in name for name in learns)
    backbone(images())[0].square().sum().backward()
    assert all(p.grad.any() for name, p in backbone.named_parameters() if "lora_B" in name)


def test_each_block_is_sharded_alone_and_filled_from_a_file(
    fake_ranks: Callable[..., AbstractContextManager[None]], pretrained: str
) -> None:
    with torch.device("meta"):
        backbone = Sapiens1("test", SIZE, weights=pretrained)
    expected = Sapiens1("test", SIZE, weights=pretrained).state_dict()
    with fake_ranks(1):
        sharding = Sharding(init_device_mesh("cpu", (1,)))
        shard_backbone(sharding, backbone)
        fill_backbone(sharding, backbone, from_file=True, brought=False)
        units = [one for one in backbone.modules() if isinstance(one, FSDPModule)]
        assert {id(one) for one in units} == {id(backbone), *map(id, backbone.blocks)}
        assert all(torch.equal(whole(value), expected[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("size", ["0.3b", "0.6b", "1b", "2b"])
def test_real_sizes_have_the_released_shapes(size: str) -> None:
    with torch.device("meta"):
        backbone = Sapiens1(size)
    assert backbone.pos_embed.shape == (1, 3072, backbone.embed_dim)
    billions = sum(p.numel() for p in backbone.parameters()) / 1e9
    assert billions == pytest.approx(float(size[:-1]), rel=0.2)
    assert backbone(torch.zeros(1, 3, 1024, 768, device="meta"))[0].shape == (1, backbone.embed_dim, 64, 48)
