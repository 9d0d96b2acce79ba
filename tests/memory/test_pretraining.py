"""What masking saves, counted without doing it; and the plan of a pretraining."""

from functools import partial
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.memory.estimate import estimate
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.memory.step import fake_copy, no_cached_tensors
from sapiens2_lit.training.pretraining.module import PretrainModule
from sapiens2_lit.training.pretraining.settings import Anchor

SIZE = (1024, 768)
PATCHES = 64 * 48


def cost(visible: int | None) -> tuple[float, int]:
    """FLOP of forward and backward pass of the 0.4B, and bytes kept in between, of all patches or some."""
    with torch.device("meta"):
        backbone = Sapiens2("0.4b", SIZE)
    kept: dict[int, int] = {}
    weights: set[int] = set()  # whose transposes are saved as well

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with no_cached_tensors(), FakeTensorMode(allow_non_fake_inputs=True):
        played = fake_copy(backbone)
        weights |= {parameter.untyped_storage()._cdata for parameter in played.parameters()}
        images = torch.zeros(1, 3, *SIZE)
        with FlopCounterMode(display=False) as flops:
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                if visible is None:
                    tokens = played.forward_tokens(images)
                else:
                    tokens = played.forward_visible(images, torch.zeros(1, visible, dtype=torch.int64))
            tokens.sum().backward()
    return float(flops.get_total_flops()), sum(kept.values())


def test_an_mae_step_encodes_a_quarter() -> None:
    flops, kept = cost(None)
    few_flops, few_kept = cost(PATCHES // 4)
    print(
        f"\nencoder at a quarter: {few_flops / flops:.3f} of the FLOP, {few_kept / kept:.3f} of the activations"
    )
    assert few_flops <= 0.3 * flops
    assert few_kept <= 0.35 * kept


@pytest.mark.parametrize("objective", ["mae", "anchor", "dino"])
def test_a_pretraining_is_planned(objective: str) -> None:
    settings: dict[str, Any] = {
        "mae": {}, "anchor": {"anchor": Anchor()}, "dino": {"contrast": "dino"},
    }[objective]  # fmt: skip
    module = PretrainModule(partial(Sapiens2, "nano", (128, 96)), **settings)
    networks = empty_networks(module)
    found = estimate(networks, TrainingSetup(4, (128, 96), "32-true", gpu=False))
    trained = sum(p.numel() * 4 for p in networks.network.parameters() if p.requires_grad)
    held = sum(p.numel() * 4 for p in networks.network.parameters())
    assert found.moments["backward"]["weights"] == held
    assert (held > trained) == (objective != "mae"), "teacher and anchor are held, and learn nothing"
    assert found.moments["optimizer"]["optimizer"] == pytest.approx(2 * trained, rel=0.01)
    assert training_flops(networks, (128, 96)).of([]) > 0


def test_contrast_costs_several_times_as_much() -> None:
    def work(**settings: Any) -> float:
        module = PretrainModule(partial(Sapiens2, "0.1b", SIZE), **settings)
        return training_flops(empty_networks(module), SIZE).backbone

    alone, both = work(), work(contrast="dino")
    assert 3 < both / alone < 12
