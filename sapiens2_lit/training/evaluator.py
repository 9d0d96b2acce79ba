"""Validation and test: averaged outputs, the losses and metrics of every head, and the score over all heads."""

from collections.abc import Mapping
from typing import Protocol

import lightning as L
import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.data_contract import datamodule_of
from sapiens2_lit.training.validation_metrics import Scores, evaluated_only

LOG_NAMES = {"validate": "val", "test": "test"}  # by stage, as Lightning's commands name them


class Evaluated(Protocol):
    """What an evaluated LightningModule must have."""

    @property
    def network(self) -> Network:
        """The network."""

    @property
    def trainer(self) -> L.Trainer:
        """The Trainer in use."""

    @property
    def device(self) -> torch.device:
        """The device of the network."""

    def swap_ema(self, use: bool) -> None:
        """Replace the weights by their average, or restore the weights."""

    def log_dict(
        self, dictionary: Mapping[str, float], prog_bar: bool = ..., *, sync_dist: bool = ...
    ) -> None:
        """Log values by name, as Lightning does."""


class Evaluator:
    """Evaluates a network, stage by stage.

    Args:
        flip_test: Average with the mirrored image's result.
    """

    def __init__(self, flip_test: bool) -> None:
        self.flip_test = flip_test
        self.scores: dict[str, Scores] = {}  # of the stages in progress

    def start(self, stage: str, module: Evaluated) -> None:
        """Begin a stage (validate or test) with new metrics, and with the averages in place of the weights."""
        module.swap_ema(True)
        data = datamodule_of(module.trainer)
        self.scores[stage] = Scores(module.network.named_heads(), data, stage, module.device)

    def step(self, stage: str, network: Network, batch: Batch) -> dict[str, Outputs]:
        """Evaluate one batch; return the raw outputs of the heads that have labels for it."""
        heads = {name: head for name, head in network.named_heads() if head.can_evaluate(batch)}
        if not heads:
            return {}
        outputs = network.evaluate(batch["image"], heads, flip=self.flip_test)
        for name, head in heads.items():
            own, counted = evaluated_only(outputs[name], batch)
            if not len(counted["image"]):
                continue
            if all(key in batch for key in head.targets):
                self.scores[stage].add_loss(name, own, counted)
            with full_precision(batch["image"].device):
                self.scores[stage].update(name, own, counted)
        return outputs

    def finish(self, stage: str, module: Evaluated) -> None:
        """Log every loss and metric, and the score over all heads, by which the best checkpoint is chosen."""
        values, of = self.scores.pop(stage).compute(), LOG_NAMES[stage]
        score = {f"{of}/score": values.pop("score")} if "score" in values else {}
        module.log_dict({f"{of}/{name}": value for name, value in values.items()}, sync_dist=True)
        module.log_dict(score, prog_bar=True, sync_dist=True)
        module.swap_ema(False)

    def predict(self, network: Network, batch: Batch) -> dict[str, dict[str, Tensor]]:
        """Return what a user gets from each head."""
        outputs = network.evaluate(batch["image"], flip=self.flip_test)
        with full_precision(batch["image"].device):
            return {name: head.predict(outputs[name], batch) for name, head in network.named_heads()}


def full_precision(device: torch.device) -> torch.autocast:
    """Turn autocast off: metrics and predictions use coordinates, which half precision would move by pixels."""
    return torch.autocast(device.type, enabled=False)
