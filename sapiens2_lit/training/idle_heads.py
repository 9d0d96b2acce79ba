"""Heads without labels in this process's batches, while batches of other processes have labels for them.

Processes that train together must run the same heads and give gradients to the same parameters, whatever labels their
batches have.
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
    """Keeps processes in step, and remembers which heads learn in this optimizer step on any of them."""

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
        """Return a scalar zero loss that touches heads that other ranks train, so that collectives match.

        Args:
            network: The network with all heads.
            active: Names of the heads that learn here.
            features: Feature maps of this rank's batch, [(B, C, h, w)].
            images: Images of the batch, (B, 3, H, W).
            trainer: Its data may know that all ranks have the same labels; otherwise every rank asks the others. Its
                strategy may need a gradient of every parameter, as DDP does.
        """
        zero = torch.zeros((), device=features[0].device)
        heads = network.named_heads()
        self._learned |= active
        if not several_ranks() or (len(heads) == 1 and heads[0][0] in active):
            return zero
        everywhere = active
        if not same_labels_on_all_ranks(datamodule_of(trainer)):  # asking means waiting for the others
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
        """Remove the zero gradients of idle heads before an optimizer step.

        They only kept ranks in step; momentum and weight decay would act on them.
        """
        heads = network.named_heads()
        idle: list[nn.Module] = [head for name, head in heads if name not in self._learned]
        if network.shared_decoder is not None and not shares(heads, self._learned):
            idle.append(network.shared_decoder)
        for part in idle:
            for parameter in part.parameters():
                parameter.grad = None
        self._learned = set()


def on_any_rank(active: Iterable[str], names: list[str], device: torch.device) -> set[str]:
    """Return the heads that learn in this step on any rank; every rank must call it.

    Args:
        active: Names of the heads that learn here.
        names: Names of all heads.
        device: Device of the collective.
    """
    here = torch.tensor([name in active for name in names], dtype=torch.int32, device=device)
    return {name for name, found in zip(names, max_over_ranks(here).tolist(), strict=True) if found}


def zero_loss(outputs: Outputs) -> Tensor:
    """Return a scalar zero, with zero gradients for everything that the outputs depend on."""
    values = [outputs] if isinstance(outputs, Tensor) else list(outputs.values())
    return torch.stack([value.float().sum() * 0.0 for value in values]).sum()


def shares(heads: list[tuple[str, Head]], names: set[str]) -> bool:
    """Return whether any of the named heads takes the map of a shared decoder."""
    return any(head.takes_shared for name, head in heads if name in names)


def zero_loss_of_parameters(head: nn.Module) -> Tensor:
    """Return a scalar zero, with zero gradients for the head's parameters, without running it."""
    return torch.stack([p.flatten()[0].float() * 0.0 for p in head.parameters() if p.requires_grad]).sum()
