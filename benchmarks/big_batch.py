"""Small batches against one large one: the gradients of every task, accumulated, over two ranks, and sharded over two.

    python benchmarks/big_batch.py

Seven pictures, of which each has another share of labelled pixels and one has none. One step is made of all of them as
one batch; as four batches of 2, 2, 2 and 1; as three of 3, 3 and 1 where four are expected, as at the end of an epoch;
and, by DDP and by FSDP2 on the CPU, as two batches on each of two ranks, 2 and 2 against 2 and 1. The table has the
largest difference of any gradient, relative to the largest gradient of the step of one batch.
"""

import os
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import lightning as L
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, default_collate

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.data.datasets.synthetic import SyntheticDataset
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.parallel.dtensor import whole
from sapiens2_lit.parallel.strategy import ShardedStrategy
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (64, 48)
TASKS: dict[str, Callable[..., Head]] = {
    "pose": partial(PoseHead, skeleton="coco17"),
    "segmentation": SegmentationHead,
    "normal": NormalHead,
    "albedo": AlbedoHead,
    "depth": DepthHead,
    "relative depth": partial(DepthHead, relative=True),
    "point map": partial(PointmapHead, image_size=SIZE),
    "matting": MattingHead,
}
SHARES = (1.0, 0.1, 0.5, 0.0, 0.17, 0.8, 0.03)  # of the rows of each picture that are labelled
ALONE = {"2 + 2 + 2 + 1": (2, 2, 2, 1), "3 + 3 + 1 of 4": (3, 3, 1)}
RANKS = ((2, 2), (2, 1))
STRATEGIES: dict[str, Callable[[], Any]] = {"DDP": lambda: "ddp", "FSDP2": ShardedStrategy}
Gradients = dict[str, Tensor]


class Recorded(SapiensModule):
    """Keeps the gradients of its last step, whole."""

    gradients: Gradients

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.gradients = {
            name: whole(parameter.grad).detach().clone()
            for name, parameter in self.named_parameters()
            if parameter.grad is not None
        }


def make_samples() -> list[dict[str, Any]]:
    """Pictures of people with the labels of every task, in part hidden."""
    people = SyntheticDataset(len(SHARES), SIZE, load_skeleton("coco17"))
    return [hide(people[index], share) for index, share in enumerate(SHARES)]


def hide(sample: dict[str, Any], share: float) -> dict[str, Any]:
    """The sample with labels in a share of its rows alone, from the middle on; NaN, 255 or unlabelled elsewhere."""
    height, count = SIZE[0], round(share * SIZE[0])
    rows = (torch.arange(height).roll(height // 2) < count)[:, None]
    valid = sample["valid"] & rows
    labels = {key: sample[key].where(valid, torch.nan) for key in ("normal", "albedo", "depth", "pointmap")}
    labels |= {key: sample[key].where(rows, torch.nan) for key in ("alpha", "foreground")}
    labels["segmentation"] = sample["segmentation"].where(rows, 255)
    keypoints = sample["keypoints"].clone()
    keypoints[round(share * len(keypoints)) :, 2] = 0
    return {**sample, **labels, "valid": valid, "keypoints": keypoints}


def step(
    task: str, batches: list[list[dict[str, Any]]], accumulated: int, strategy: Any = "auto", ranks: int = 1
) -> Gradients:
    """The gradients of one optimizer step on batches of samples."""
    L.seed_everything(0, verbose=False)
    module = Recorded(partial(Sapiens2, "test", SIZE), {"head": TASKS[task]}, adapt=Adapt("full"))
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="cpu", devices=ranks, strategy=strategy, max_epochs=1, logger=False, default_root_dir=folder,
            accumulate_grad_batches=accumulated, use_distributed_sampler=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        loader = DataLoader([default_collate(batch) for batch in batches], batch_size=None)  # type: ignore[arg-type]  # a list is read as a dataset
        trainer.fit(module, loader)
    return module.gradients


def cut(samples: list[dict[str, Any]], sizes: tuple[int, ...]) -> list[list[dict[str, Any]]]:
    found, start = [], 0
    for size in sizes:
        found.append(samples[start : start + size])
        start += size
    return found


def difference(found: Gradients, expected: Gradients) -> float:
    """The largest absolute one, over the largest absolute gradient expected."""
    assert found.keys() == expected.keys()
    largest = max(gradient.abs().max() for gradient in expected.values())
    return float(max((found[name] - expected[name]).abs().max() for name in expected) / largest)


def run_rank(rank: int, port: int, folder: Path, tasks: list[str]) -> None:
    """One of two processes; the first saves the gradients of each task by each strategy."""
    torch.set_num_threads(1)
    set_up_messages()
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": str(rank)}
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    os.environ |= {"TORCHELASTIC_RUN_ID": "big_batch"}
    samples = make_samples()
    own = samples[: sum(RANKS[0])] if rank == 0 else samples[sum(RANKS[0]) :]
    for name, make in STRATEGIES.items():
        for task in tasks:
            found = step(task, cut(own, RANKS[rank]), len(RANKS[rank]), make(), ranks=2)
            if rank == 0:
                torch.save(found, folder / f"{name} {task}.pt")


def over_ranks(folder: Path, tasks: list[str]) -> None:
    """Let two processes save gradients in a folder, `STRATEGY TASK.pt`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Forked, before anything was computed here: what is imported need not be once more.
    mp.start_processes(run_rank, args=(port, folder, tasks), nprocs=2, start_method="fork")  # type: ignore[attr-defined]  # no stub


def compare(tasks: list[str], folder: Path | None) -> dict[str, dict[str, float]]:
    """By task, the difference of each way to make the step; those over ranks where a folder holds them."""
    samples, found = make_samples(), {}
    for task in tasks:
        expected = step(task, [samples], 1)
        found[task] = {
            name: difference(step(task, cut(samples, sizes), 4), expected) for name, sizes in ALONE.items()
        }
        for name in STRATEGIES if folder else ():
            gradients = torch.load(Path(str(folder), f"{name} {task}.pt"), weights_only=True)
            found[task][name] = difference(gradients, expected)
    return found


def main() -> None:
    torch.set_num_threads(1)
    set_up_messages()
    with tempfile.TemporaryDirectory() as folder:
        over_ranks(Path(folder), list(TASKS))
        found = compare(list(TASKS), Path(folder))
    ways = [*ALONE, *STRATEGIES]
    print("| task | " + " | ".join(ways) + " |\n|---|" + "---|" * len(ways))
    for task, row in found.items():
        print(f"| {task} | " + " | ".join(f"{row[way]:.1e}" for way in ways) + " |")


if __name__ == "__main__":
    main()
