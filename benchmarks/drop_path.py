"""A backbone of a user's own with stochastic depth, for kills.py."""

from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones import Sapiens2


class DropPathSapiens2(Sapiens2):
    """Sapiens2 whose blocks are skipped at random in training, each sample by itself (https://arxiv.org/abs/1603.09382).

    Args:
        size, image_size, weights, activation_checkpointing: as of `Sapiens2`.
        drop_path: probability of a block to be skipped.
    """

    def __init__(
        self,
        size: str = "test",
        image_size: tuple[int, int] = (64, 48),
        weights: str | None = None,
        activation_checkpointing: bool = False,
        drop_path: float = 0.3,
    ) -> None:
        super().__init__(size, image_size, weights=weights, activation_checkpointing=activation_checkpointing)  # type: ignore[arg-type]  # a name of a size
        self.keep = 1 - drop_path
        for block in self.blocks:
            block.register_forward_hook(self._drop)

    def _drop(self, block: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        if not self.training:
            return output
        before: Tensor = args[0]
        kept = torch.rand(len(output), 1, 1, device=output.device) < self.keep
        return before + (output - before) * kept / self.keep
