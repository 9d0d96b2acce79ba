"""The play of a step: equal blocks are played once, whatever is trained; and nothing real is touched."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from sapiens2_lit.backbones.base import IMAGENET_MEAN
from sapiens2_lit.backbones.rope import rope_tables
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.memory.step import Moments, simulate_step
from sapiens2_lit.models.normalize import constant
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

IMAGE = (96, 64)  # of the modules
BF16 = torch.bfloat16


def play(module: SapiensModule, batch_size: int = 2, **settings: object) -> Moments:
    networks = empty_networks(module)
    return simulate_step(networks.network, batch_size, IMAGE, **settings)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapt", "checkpointing", "keep", "autocast"),
    [
        (Adapt("full"), True, False, BF16),
        (Adapt("last_blocks", last=5), False, True, None),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_one_block_stands_for_all_equal_ones(
    make_module: Callable[..., SapiensModule],
    adapt: Adapt,
    checkpointing: bool,
    keep: bool,
    autocast: torch.dtype | None,
) -> None:
    """The fullest moment exactly; in the backward pass a block's maps and gradients may be taken for another's."""
    module = make_module(size="tiny", checkpointing=checkpointing, adapt=adapt)
    folded, whole = (
        play(module, autocast=autocast, keep_gradients=keep, fold=fold) for fold in (True, False)
    )
    assert folded.keys() == whole.keys()
    fullest = [max(parts.total() for parts in moments.values()) for moments in (folded, whole)]
    assert fullest[0] == pytest.approx(fullest[1], rel=0.005)
    for phase, parts in whole.items():
        assert folded[phase].total() == pytest.approx(parts.total(), rel=0.1), phase


@pytest.mark.slow
def test_fewer_checkpoints_keep_more(make_module: Callable[..., SapiensModule]) -> None:
    kept = [
        play(make_module(size="tiny", checkpointing=mode))["head pose"]["backbone"]
        for mode in (True, "selective", 2, 6, False)
    ]
    assert all(fewer < more for fewer, more in pairwise(kept)), kept


def test_checkpointing_keeps_fewer_maps(make_module: Callable[..., SapiensModule]) -> None:
    kept = [play(make_module(checkpointing=on))["head pose"]["backbone"] for on in (False, True)]
    assert kept[1] < kept[0] / 2


@pytest.mark.slow
@pytest.mark.parametrize("head", ["pose", "normal"])
def test_recomputed_decoders_keep_fewer_maps(make_module: Callable[..., SapiensModule], head: str) -> None:
    """By samples, what a batch of eight takes is hardly more than what one of two does."""
    totals = {}
    for how in ("none", "stages", "samples"):
        moments = play(make_module(head, head_checkpointing=how, adapt=Adapt("frozen")), 8)
        totals[how] = max(moment["head"] + moment["backward"] for moment in moments.values())
    assert totals["stages"] < 0.95 * totals["none"]  # of maps this small the widest stage has most
    assert totals["samples"] < 0.5 * totals["stages"]


def test_caches_hold_no_tensor_of_the_play(make_module: Callable[..., SapiensModule]) -> None:
    play(make_module())
    cos, _ = rope_tables(
        (6, 4), 16, prefix=9, dtype=torch.float32, device=torch.device("cpu"), out=torch.float32
    )
    assert type(cos) is type(constant(IMAGENET_MEAN, torch.device("cpu"))) is torch.Tensor
