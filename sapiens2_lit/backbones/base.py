"""The contract between a backbone and everything that uses one."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from sapiens2_lit.backbones.checkpointing import Checkpointing
from sapiens2_lit.backbones.licences import notice
from sapiens2_lit.checkpoints.lazy_safetensors import Readable
from sapiens2_lit.errors import SettingError

# ImageNet's channel means and standard deviations for RGB in 0..255.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class Backbone(nn.Module, ABC):
    """An image encoder that returns feature maps.

    A subclass sets the attributes below in its constructor. The constructor also works under `torch.device("meta")`: it
    then takes no memory and reads no weights, and `module.to_empty(...)`, `init_weights()` and `load_weights()` finish
    the job later.

    Attributes:
        embed_dim: Channels C of every feature map.
        depth: Number of blocks, for layer-wise learning rates.
        patch_size: Input pixels along one side of a feature-map cell, p.
        blocks: The parts that are compiled, sharded and checkpointed one by one, in the order in which they run; may be
            empty. `layer_depth` tells which block a parameter belongs to, so that only the last blocks can be adapted.
        mean: Channel means of RGB in 0..255, subtracted from images in training, prediction and export.
        std: Channel standard deviations, by which images are divided afterward.
        image_size: (height, width) of the input that the backbone is used at; None for any.
        weights: Where pretrained weights come from (file, folder, hub id), or None.
        licence: License of these weights, as the hub names it (`apache-2.0`); None if it is not known.
        released_licence: License of all weights that were ever released for this kind of backbone, which holds for
            every copy and everything derived from them; None if there are several, or none.
        holds_frozen: Checkpoints also hold the frozen weights, because the files that they came from have other names
            or shapes and cannot restore them.
        out_indices: Blocks whose maps `forward` returns, counted from 0.
        activation_checkpointing: Which blocks compute their activations again in the backward pass; may be changed at
            any time. None if the backbone has no such setting.
        forward_methods: Names of methods besides `forward` that run the network. Backbones that can be pretrained here
            have `forward_tokens(images)` and `forward_visible(images, visible)`; see `Sapiens2`.
        prefix_tokens: Number of tokens that both of these return before the patches, the class token first.
    """

    embed_dim: int
    depth: int
    patch_size: int
    blocks: Sequence[nn.Module] | nn.ModuleList
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    image_size: tuple[int, int] | None = None
    weights: str | None = None
    licence: str | None = None
    released_licence: str | None = None
    holds_frozen: bool = False
    out_indices: tuple[int, ...] = ()
    activation_checkpointing: Checkpointing | None = None
    forward_methods: tuple[str, ...] = ()
    prefix_tokens: int = 0

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn normalized RGB (B, 3, H, W) into feature maps (B, C, H/p, W/p), the last block's map last."""

    @abstractmethod
    def init_weights(self) -> None:
        """Initialize every parameter and buffer in place."""

    @abstractmethod
    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly; log what was loaded."""

    @abstractmethod
    def layer_depth(self, name: str) -> int:
        """Return the depth of the parameter called `name`: 0 embeddings, i + 1 block i, depth + 1 the final norm."""

    def fit_tensors(
        self, tensors: Mapping[str, Readable], origin: str, prefix: str = ""
    ) -> Mapping[str, Readable]:
        """Return the tensors of a file as this backbone holds them, such as positions for its image size.

        Args:
            tensors: Tensors by the backbone's names; may include others.
            origin: Name of the file, for messages.
            prefix: What stands in front of the backbone's names.

        Raises:
            WeightsError: The tensors belong to another backbone.
        """
        return tensors

    def check_source(self, source: str) -> None:
        """Check that a whole model's file needs no other settings than this backbone has.

        Raises:
            SettingError: It does; raised by subclasses.
        """

    def lora_targets(self) -> list[str]:
        """Return the last parts of the names of linear layers in the blocks, which get adapters by default."""
        layers = (
            name for block in self.blocks for name, one in block.named_modules() if isinstance(one, nn.Linear)
        )
        return sorted({name.rpartition(".")[2] for name in layers})

    def with_blocks(self, blocks: Sequence[nn.Module], out_indices: tuple[int, ...]) -> "Backbone | None":
        """Return a backbone with the same parameters but other blocks; None if its blocks cannot be replaced.

        It is used to estimate a training step faster.
        """
        if "blocks" not in self._modules or not self.out_indices:
            return None
        other = copy.copy(self)
        other._modules = {**self._modules, "blocks": nn.ModuleList(blocks)}
        other.out_indices = out_indices
        return other

    def licence_notice(self, source: str | None = None) -> str | None:
        """Return one line on the license of the weights; None if there are no weights or it is not known.

        Args:
            source: Source of a whole model that brings the weights, if the backbone has none itself.
        """
        licence = self.licence if self.weights is not None else self.released_licence if source else None
        return None if licence is None else notice(licence)

    def other_parts(self) -> list[nn.Module]:
        """Return the parts besides the blocks that sharding gathers each as one."""
        return []

    def feature_settings(self) -> dict[str, str]:
        """Return settings, besides weights and pixels, that change feature maps; they identify stored features."""
        return {}


def resolve_indices(out_indices: Sequence[int], depth: int) -> tuple[int, ...]:
    """Return block numbers counted from 0; negative numbers count from the end.

    Raises:
        SettingError: The numbers do not increase, are out of range, or do not end with the last block.
    """
    resolved = tuple(i + depth if i < 0 else i for i in out_indices)
    increasing = all(a < b for a, b in pairwise(resolved))
    if not resolved or not increasing or resolved[0] < 0 or resolved[-1] != depth - 1:
        raise SettingError(
            f"out_indices: found {list(out_indices)}, expected block numbers in increasing order, each once, "
            f"from 0 to {depth - 1} (or -{depth} to -1), ending with the last block."
        )
    return resolved
