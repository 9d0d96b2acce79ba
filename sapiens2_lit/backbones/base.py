"""The contract between a backbone and everything that uses one."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """An image encoder that returns feature maps.

    A subclass sets the attributes below in its constructor, which also works under
    `torch.device("meta")`: then no memory is taken and no weights are read, and
    `module.to_empty(...)`, `init_weights()` and `load_weights()` finish the job later.

    Attributes:
        embed_dim: channels C of every feature map.
        depth: number of blocks, for layer-wise learning rates.
        patch_size: input pixels along one side of a feature-map cell, p.
        weights: where pretrained weights come from (file, folder, hub id), or None.
    """

    embed_dim: int
    depth: int
    patch_size: int
    weights: str | None = None

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised RGB (B, 3, H, W) -> feature maps (B, C, H/p, W/p), the last block's last."""

    @abstractmethod
    def init_weights(self) -> None:
        """Give every parameter and buffer its fresh value, in place."""

    @abstractmethod
    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly; log what was loaded."""

    @abstractmethod
    def layer_depth(self, name: str) -> int:
        """Depth of the parameter called `name`: 0 embeddings, i + 1 block i, depth + 1 the final norm."""
