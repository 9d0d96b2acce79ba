"""Heads that have nothing to learn in this process's batches, while others' batches have labels for them.

Where processes train together, all must run the same heads and give gradients to the same parameters, whatever labels
their own batches have.
"""

from collections.abc import Iterable

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn

from sapiens2_lit.heads.base import Head, Outputs
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel import max_over_ranks, several_ranks
from sapiens2_lit.training.data_contract import datamodule_of, same_labels_on_all_ranks


class IdleHeads:
    """Keeps step with other processes, and remembers which heads learn from this optimizer step on any of them."""

    def __init__(self) -> None:
        self._learned: set[str] = set()

    def zero_loss(
        self,
        network: Network,
        active: set[str],
        features: list[Tensor],
        images: Tensor,
        trainer: L.Trainer | None,
    ) -> Tensor:
        """Zero, with zero gradients for heads that learn on other ranks in this step.

        Args:
            network: with all heads.
            active: names of those that learn here.
            features: of this rank's batch.
            images: it is of.
            trainer: its data may know that all ranks have the same labels, else every rank asks the others; its
                strategy may want a gradient of every parameter, as DDP does.
        """
        zero = torch.zeros((), device=features[0].device)
        heads = network.named_heads()
        self._learned |= active
        if not several_ranks() or (len(heads) == 1 and heads[0][0] in active):
            return zero
        everywhere = active
        if not same_labels_on_all_ranks(datamodule_of(trainer)):  # to ask is to wait for the others
            everywhere = on_any_rank(active, [name for name, _ in heads], features[0].device)
            self._learned |= everywhere
        reduces_all = trainer is not None and isinstance(trainer.strategy, DDPStrategy)
        outputs = network.run_heads(features, images, everywhere - active)
        for name, head in heads:
            if name in outputs:
                zero = zero + zero_loss(outputs[name])
            elif name not in everywhere and reduces_all:
                zero = zero + zero_loss_of_parameters(head)
        shared = network.shared_decoder
        if shared is not None and reduces_all and not shares(heads, everywhere):
            zero = zero + zero_loss_of_parameters(shared)
        return zero

    def drop_gradients(self, network: Network) -> None:
        """Before an optimizer step: momentum and decay would act on zeros that kept step, which are no gradients."""
        heads = network.named_heads()
        idle: list[nn.Module] = [head for name, head in heads if name not in self._learned]
        if network.shared_decoder is not None and not shares(heads, self._learned):
            idle.append(network.shared_decoder)
        for part in idle:
            for parameter in part.parameters():
                parameter.grad = None
        self._learned = set()


def on_any_rank(active: Iterable[str], names: list[str], device: torch.device) -> set[str]:
    """Which of the heads learn from this step on any of the ranks. Every rank must ask."""
    here = torch.tensor([name in active for name in names], dtype=torch.int32, device=device)
    return {name for name, found in zip(names, max_over_ranks(here).tolist(), strict=True) if found}


def zero_loss(outputs: Outputs) -> Tensor:
    """Zero, with zero gradients for everything that the outputs depend on."""
    values = [outputs] if isinstance(outputs, Tensor) else list(outputs.values())
    return torch.stack([value.float().sum() * 0.0 for value in values]).sum()


def shares(heads: list[tuple[str, Head]], names: set[str]) -> bool:
    """Whether any head of those named takes the map of a shared decoder."""
    return any(head.takes_shared for name, head in heads if name in names)


def zero_loss_of_parameters(head: nn.Module) -> Tensor:
    """Zero, with zero gradients for the head's parameters, without running it."""
    return torch.stack([p.flatten()[0].float() * 0.0 for p in head.parameters() if p.requires_grad]).sum()
