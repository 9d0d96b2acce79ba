"""Planned memory against what a real run's allocator counts on a CPU, within 15 %."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from allocator import measure_peak

from sapiens2_lit.memory.estimate import estimate
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.verify.trial import run_trial

IMAGE = (96, 64)  # of the modules


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("head", "precision", "accumulate", "settings"),
    [
        ("pose", "bf16-mixed", 1, {"checkpointing": True, "ema": EMA()}),
        ("pose", "bf16-mixed", 2, {"adapt": Adapt("lora")}),
        ("pose", "bf16-mixed", 1, {"adapt": Adapt("frozen", frozen_dtype="bfloat16"), "size": "tiny"}),
        ("pose", "32-true", 1, {"adapt": Adapt("last_blocks", last=9), "size": "tiny", "checkpointing": 2}),
        ("pose", "bf16-mixed", 1, {"checkpointing": "selective"}),
        ("normal", "bf16-mixed", 1, {"head_checkpointing": "stages"}),
        ("normal", "32-true", 1, {"head_checkpointing": "samples"}),
    ],
)
def test_plan_agrees_with_the_allocator(
    make_module: Callable[..., SapiensModule],
    head: str,
    precision: str,
    accumulate: int,
    settings: dict[str, Any],
) -> None:
    launch = TrainingSetup(4, IMAGE, precision, accumulate=accumulate, gpu=False)
    with torch.backends.mkldnn.flags(enabled=False):  # its scratch memory depends on the processor
        measured = measure_peak(lambda: run_trial(make_module(head, **settings), launch))
    planned = estimate(empty_networks(make_module(head, **settings)), launch)
    assert 0.85 < planned.total / measured < 1.15, f"{planned.parts} against {measured}"
