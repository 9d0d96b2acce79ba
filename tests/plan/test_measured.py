"""Planned memory against what a real run's allocator counts on a CPU, within 15 %."""

from collections.abc import Callable, Iterator
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from sapiens2_lit.adapt import Adapt
from sapiens2_lit.ema import EMA
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.plan.batches import example_batch
from sapiens2_lit.plan.estimate import estimate
from sapiens2_lit.plan.launch import Launch
from sapiens2_lit.plan.measure import measure_peak
from sapiens2_lit.plan.networks import empty_networks

IMAGE = (96, 64)  # of the modules


class Repeated(IterableDataset[Any]):
    """The same batch again and again."""

    def __init__(self, batch: dict[str, torch.Tensor], count: int) -> None:
        self.batch, self.count = batch, count

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for _ in range(self.count):
            yield {key: value.clone() for key, value in self.batch.items()}


def run_of(module: SapiensModule, launch: Launch) -> Callable[[], None]:
    def work() -> None:
        module.configure_model()
        batch = example_batch([head for _, head in module.named_heads()], launch.batch_size, IMAGE)
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=2,
            precision=launch.precision,  # type: ignore[arg-type]
            accumulate_grad_batches=launch.accumulate,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(Repeated(batch, 2 * launch.accumulate), batch_size=None))

    return work


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("head", "precision", "accumulate", "settings"),
    [
        ("pose", "32-true", 1, {}),
        ("pose", "bf16-mixed", 1, {"checkpointing": True, "ema": EMA()}),
        ("pose", "bf16-mixed", 2, {"adapt": Adapt("lora")}),
        ("pose", "bf16-mixed", 1, {"adapt": Adapt("frozen", frozen_dtype="bfloat16"), "size": "tiny"}),
        ("pose", "32-true", 1, {"adapt": Adapt("last", last=3), "size": "tiny", "checkpointing": True}),
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
    measured = measure_peak(run_of(make_module(head, **settings), launch))
    planned = estimate(empty_networks(make_module(head, **settings)), launch)
    assert 0.85 < planned.total / measured < 1.15, f"{planned.parts} against {measured}"
