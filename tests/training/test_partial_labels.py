"""Two real processes whose batches have labels for different heads keep step, and train as one process does."""

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import torch.multiprocessing as mp
from processes import preload
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import DepthHead, NormalHead
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.loss_weighting import GradientNorms, UncertaintyWeighting
from sapiens2_lit.training.module import SapiensModule

STEPS = 4


class Labelled(Dataset[dict[str, Any]]):
    """Samples whose labels depend on the rank: in step 0 both have depth, then one has normals, in step 3 both have."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, step: int) -> dict[str, Any]:
        random = torch.Generator().manual_seed(100 * self.rank + step)
        image = torch.randint(0, 256, (3, 64, 48), dtype=torch.uint8, generator=random)
        if step == 0 or (step < 3 and self.rank == 0):
            return {"image": image, "depth": torch.rand(1, 64, 48, generator=random) + 1}
        return {
            "image": image,
            "normal": nn.functional.normalize(torch.randn(3, 64, 48, generator=random), dim=0),
        }


def make(balance: Any) -> SapiensModule:
    torch.manual_seed(0)
    return SapiensModule(
        partial(Sapiens2, "test"),
        {"normal": partial(NormalHead), "depth": partial(DepthHead)},
        adapt=Adapt("full"),
        loss_weighting=balance,
        # A larger `eps` than usual: without it rounding decides about the step of a gradient near zero.
        optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.5, eps=1e-5),
    )


BALANCERS = (UncertaintyWeighting, GradientNorms)


def train(rank: int, port: int, folder: Path) -> None:
    """One of two processes; saves its weights after a training with each balancer."""
    torch.set_num_threads(1)
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "WORLD_SIZE": 2,
        "RANK": rank,
        "LOCAL_RANK": rank,
    }
    os.environ.update({name: str(value) for name, value in environment.items()} | {"LOCAL_WORLD_SIZE": "2"})
    os.environ |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
    for balance in BALANCERS:
        module = make(balance)
        trainer = L.Trainer(
            accelerator="cpu", devices=2, strategy="ddp", max_steps=STEPS, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
            default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(module, DataLoader(Labelled(rank), batch_size=1))
        torch.save(module.state_dict(), folder / f"{balance.__name__}{rank}.pt")


def by_hand(balance: Any) -> dict[str, torch.Tensor]:
    """The same steps in one process: the mean over ranks of what each would minimise."""
    module = make(balance)
    module.configure_model()
    module.log = module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    module.is_log_step = lambda: False  # type: ignore[method-assign]
    optimizer, schedule = module.optimization.make(module.network, module.balancer, STEPS)
    for step in range(STEPS):
        optimizer.zero_grad()
        for rank in range(2):
            batch = torch.utils.data.default_collate([Labelled(rank)[step]])
            (module.training_step(batch, step) / 2).backward()
        optimizer.step()
        schedule.step()
    return module.state_dict()


@pytest.mark.slow
def test_ranks_with_different_labels_train_as_one(tmp_path: Path) -> None:
    """Weight decay is strong here: a head that no rank has labels for must not feel it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    preload()
    mp.start_processes(train, args=(port, tmp_path), nprocs=2, start_method="forkserver")  # type: ignore[attr-defined]  # no stub
    for balance in BALANCERS:
        names = [tmp_path / f"{balance.__name__}{rank}.pt" for rank in range(2)]
        first, second = (torch.load(name, weights_only=True) for name in names)
        torch.testing.assert_close(first, second, rtol=0, atol=0)
        if (
            balance is UncertaintyWeighting
        ):  # the other one's weights follow norms of each rank's own gradients
            torch.testing.assert_close(first, by_hand(balance), rtol=1e-4, atol=1e-6)
