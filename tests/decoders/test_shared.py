"""One decoder for many heads: computed once, learning from all of them, refused where it cannot be shared."""

import pytest
import torch
from torch import nn

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.decoders.shared import NAME, SharedDecoder, with_shared_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import Head, LinearHead, NormalHead, PointmapHead, PoseHead, SegmentationHead
from sapiens2_lit.models.build import build
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.module import SapiensModule

SIZE = (64, 48)
IMAGES = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)


def backbone() -> Sapiens2:
    return Sapiens2("test", image_size=SIZE)


def makers() -> dict[str, object]:
    return {
        "normal": lambda width: NormalHead(width, decoder="shared"),
        "seg": lambda width: SegmentationHead(width, decoder="shared"),
        "points": lambda width: PointmapHead(width, decoder="shared", image_size=SIZE),
        "heatmaps": lambda width: PoseHead(width, skeleton="coco17", decoder="shared"),
        "pose": lambda width: PoseHead(width, skeleton="coco17"),
    }


@pytest.fixture
def network() -> Network:
    return build(backbone, with_shared_decoder(makers()), pretrained=False)


def test_maps_have_the_sizes_of_any_decoder(network: Network) -> None:
    outputs = network(IMAGES)
    assert outputs["normal"].shape == (2, 3, *SIZE)
    assert outputs["seg"].shape == (2, 29, *SIZE)
    assert outputs["points"]["pointmap"].shape == (2, 3, *SIZE)
    assert outputs["heatmaps"].shape == outputs["pose"].shape == (2, 17, SIZE[0] // 4, SIZE[1] // 4)


def test_it_is_computed_once_and_only_for_heads_that_take_it(network: Network) -> None:
    calls: list[int] = []
    assert network.shared_decoder is not None
    network.shared_decoder.register_forward_hook(lambda *_: calls.append(1))
    network(IMAGES)
    assert len(calls) == 1
    network.evaluate(IMAGES, ["pose"])
    assert len(calls) == 1
    network.evaluate(IMAGES, ["normal", "seg", "pose"], flip=True)
    assert len(calls) == 3


def test_it_is_no_head_but_has_a_name_among_them(network: Network) -> None:
    assert [name for name, _ in network.named_heads()] == list(makers())
    assert any(name.startswith(f"heads.{NAME}.light_layers.") for name in network.state_dict())


def test_every_parameter_of_it_learns_from_each_head_alone(network: Network) -> None:
    shared = network.shared_decoder
    assert shared is not None
    for name in ("normal", "seg"):
        network.zero_grad()
        network.run_heads(network.features(IMAGES), IMAGES, [name])[name].square().mean().backward()
        assert all(parameter.grad is not None for parameter in shared.parameters())


@pytest.mark.parametrize("recompute", ["stages", "samples"])
def test_what_is_computed_again_in_the_backward_pass_is_the_same(network: Network, recompute: str) -> None:
    shared = network.shared_decoder
    assert shared is not None

    def gradients() -> list[torch.Tensor]:
        network.zero_grad()
        network(IMAGES)["normal"].square().mean().backward()
        return [parameter.grad.clone() for parameter in shared.parameters()]

    plain = gradients()
    shared.recompute = recompute
    for a, b in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(a, b)


def test_heads_that_want_one_that_is_not_there_are_refused() -> None:
    with pytest.raises(SettingError, match=r"heads\.normal\.decoder: found shared.*model\.shared_decoder"):
        Network(backbone(), {"normal": NormalHead(32, decoder="shared")})


def test_one_that_no_head_shares_is_refused() -> None:
    heads: dict[str, nn.Module] = {NAME: SharedDecoder(32), "probe": LinearHead(32), "normal": NormalHead(32)}
    with pytest.raises(SettingError, match=r"no head uses it: probe \(LinearHead\), normal \(NormalHead\)"):
        Network(backbone(), heads)


def test_a_head_of_its_name_is_refused() -> None:
    with pytest.raises(SettingError, match="rename that head"):
        with_shared_decoder({NAME: NormalHead})


def test_the_module_builds_it_where_it_is_told_to() -> None:
    heads = {"normal": lambda width: NormalHead(width, decoder="shared")}
    module = SapiensModule(backbone, heads, shared_decoder=True)
    module.configure_model()
    assert [name for name, _ in module.named_heads()] == ["normal"]
    assert any(name.startswith(f"heads.{NAME}.") for name, _ in module.named_parameters())
    assert isinstance(module(IMAGES)["normal"], torch.Tensor)
    assert all(isinstance(head, Head) for _, head in module.named_heads())
