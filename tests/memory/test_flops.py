"""Operations of a training step: a known formula, what frozen backbones spare, and cards by their names."""

from functools import partial

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.sapiens2 import PREFIX
from sapiens2_lit.heads import NormalHead, PoseHead
from sapiens2_lit.memory.cards import CARDS, Card, find_card, peak_flops
from sapiens2_lit.memory.flops import TrainingFlops, counter, training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

SIZE = (64, 48)


def count(adapt: str, size: tuple[int, int] = SIZE) -> TrainingFlops:
    heads = {"pose": lambda width: PoseHead(width, "coco17"), "normal": NormalHead}
    module = SapiensModule(partial(Sapiens2, "test", image_size=size), heads, adapt=Adapt(adapt))
    return training_flops(empty_networks(module, checkpointing=False, head_checkpointing="none"), size)


def test_linear_layers_take_six_operations_a_weight_and_token() -> None:
    backbone = Sapiens2("test", image_size=SIZE)
    weights = sum(p.numel() for p in backbone.blocks.parameters() if p.ndim == 2)
    tokens = (SIZE[0] // 16) * (SIZE[1] // 16) + PREFIX
    found = count("full").backbone
    assert 6 * weights * tokens < found < 12 * weights * tokens, "attention and the embedding come on top"


def test_a_frozen_backbone_spares_its_backward_pass_and_heads_keep_theirs() -> None:
    full, frozen = count("full"), count("frozen")
    assert 2.5 < full.backbone / frozen.backbone < 3.5
    for name in full.heads:
        assert 0.6 * full.heads[name] < frozen.heads[name] <= full.heads[name]
    assert full.of(["pose"]) == full.backbone + full.heads["pose"] < full.of(full.heads)


@pytest.mark.parametrize("groups", [1, 8])
def test_gradients_of_a_convolution_take_as_much_as_itself_each(groups: int) -> None:
    convolution = torch.nn.Conv2d(8, 8, 7, padding=3, groups=groups, device="meta")
    image = torch.zeros(1, 8, 16, 16, device="meta", requires_grad=True)
    with counter() as forward:
        output = convolution(image)
    with counter() as backward:
        output.sum().backward()
    assert forward.get_total_flops() == 2 * 8 * 16 * 16 * 49 * 8 // groups
    assert backward.get_total_flops() == 2 * forward.get_total_flops()


def test_counting_leaves_no_trace_in_later_networks() -> None:
    count("full")
    assert Sapiens2("test", image_size=SIZE)(torch.zeros(1, 3, *SIZE))[-1].isfinite().all()


@pytest.mark.parametrize(
    ("device", "card"),
    [
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100"),
    ],
)
def test_cards_are_found_by_what_drivers_call_them(device: str, card: str) -> None:
    found = find_card(device)
    assert found is not None and found.name == card


def test_unknown_cards_have_no_peak() -> None:
    assert find_card("NVIDIA GeForce GTX 1080") is None
    assert find_card("AMD Instinct MI300X") is None


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_fewer_bits_are_faster(card: Card) -> None:
    ways = (("bf16-mixed", True), ("32-true", True), ("32-true", False))
    fast, tf32, full = (peak_flops(card, precision, rounded) for precision, rounded in ways)
    assert fast > tf32 >= full > 0
