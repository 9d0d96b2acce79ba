"""Planned memory against what a real run's allocator counts on a CPU, within 15 %."""

from collections.abc import Callable
from typing import Any

import pytest

from sapiens2_lit.adapt import Adapt
from sapiens2_lit.ema import EMA
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.plan.estimate import estimate
from sapiens2_lit.plan.launch import Launch
from sapiens2_lit.plan.measure import measure_peak
from sapiens2_lit.plan.networks import empty_networks
from sapiens2_lit.plan.trial import run_trial

IMAGE = (96, 64)  # of the modules


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("head", "precision", "accumulate", "settings"),
    [
        ("pose", "bf16-mixed", 1, {"checkpointing": True, "ema": EMA()}),
        ("pose", "bf16-mixed", 2, {"adapt": Adapt("lora")}),
        ("pose", "bf16-mixed", 1, {"adapt": Adapt("frozen", frozen_dtype="bfloat16"), "size": "tiny"}),
        ("pose", "32-true", 1, {"adapt": Adapt("last", last=9), "size": "tiny", "checkpointing": 2}),
        ("pose", "bf16-mixed", 1, {"checkpointing": "selective"}),
        ("normal", "bf16-mixed", 1, {"recompute": "stages"}),
        ("normal", "32-true", 1, {"recompute": "samples"}),
    ],
)
def test_plan_agrees_with_the_allocator(
    make_module: Callable[..., SapiensModule],
    head: str,
    precision: str,
    accumulate: int,
    settings: dict[str, Any],
) -> None:
    launch = Launch(4, IMAGE, precision, accumulate=accumulate, gpu=False)
    measured = measure_peak(lambda: run_trial(make_module(head, **settings), launch))
    planned = estimate(empty_networks(make_module(head, **settings)), launch)
    assert 0.85 < planned.total / measured < 1.15, f"{planned.parts} against {measured}"
