"""The contract between a backbone and everything that uses one."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from sapiens2_lit.backbones.checkpointing import Checkpointing

# ImageNet's channel means and standard deviations, of RGB 0..255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Backbone(nn.Module, ABC):
    """An image encoder that returns feature maps.

    A subclass sets the attributes below in its constructor, which also works under
    `torch.device("meta")`: then no memory is taken and no weights are read, and
    `module.to_empty(...)`, `init_weights()` and `load_weights()` finish the job later.

    Attributes:
        embed_dim: channels C of every feature map.
        depth: number of blocks, for layer-wise learning rates.
        patch_size: input pixels along one side of a feature-map cell, p.
        blocks: what is compiled, sharded and checkpointed one by one, in the order in which it runs; may be empty.
            `layer_depth` says which block a parameter belongs to, by which the last blocks are adapted.
        mean: of RGB 0..255, subtracted from images; training, prediction and export obey it.
        std: by which they are divided then.
        image_size: (height, width) of the input that it is used at, None for any.
        weights: where pretrained weights come from (file, folder, hub id), or None.
        activation_checkpointing: which blocks compute their activations again in the backward pass; may be changed at
            any time. None where the backbone has no such setting.
        forward_methods: names of methods besides `forward` that run the network: `forward_tokens(images)` and
            `forward_visible(images, visible)`, see `Sapiens2`, where it can be pretrained here.
        prefix_tokens: tokens that both of these return before those of the patches, the class token first.
    """

    embed_dim: int
    depth: int
    patch_size: int
    blocks: nn.ModuleList
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    image_size: tuple[int, int] | None = None
    weights: str | None = None
    activation_checkpointing: Checkpointing | None = None
    forward_methods: tuple[str, ...] = ()
    prefix_tokens: int = 0

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

    def other_parts(self) -> list[nn.Module]:
        """What is gathered at once where the backbone is sharded, besides each block."""
        return []

    def feature_settings(self) -> dict[str, str]:
        """What feature maps depend on besides the weights and the pixels, by which stored ones are told apart."""
        return {}
