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
        license: of these weights, as the hub names it (`apache-2.0`), None where that is not known.
        released_licence: of all weights that were ever released for this kind of backbone, wherever a copy of them or
            what was derived from them lies; None where there are several, or none.
        holds_frozen: whether checkpoints hold its frozen weights, too, since the files that they came from have other
            names or shapes and cannot bring them back.
        out_indices: blocks whose maps `forward` returns, counted from 0.
        activation_checkpointing: which blocks compute their activations again in the backward pass; may be changed at
            any time. None where the backbone has no such setting.
        forward_methods: names of methods besides `forward` that run the network: `forward_tokens(images)` and
            `forward_visible(images, visible)`, see `Sapiens2`, where it can be pretrained here.
        prefix_tokens: tokens that both of these return before those of the patches, the class token first.
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
        """Normalized RGB (B, 3, H, W) -> feature maps (B, C, H/p, W/p), the last block's last."""

    @abstractmethod
    def init_weights(self) -> None:
        """Give every parameter and buffer its fresh value, in place."""

    @abstractmethod
    def load_weights(self) -> None:
        """Load `self.weights`, if any, strictly; log what was loaded."""

    @abstractmethod
    def layer_depth(self, name: str) -> int:
        """Depth of the parameter called `name`: 0 embeddings, i + 1 block i, depth + 1 the final norm."""

    def fit_tensors(
        self, tensors: Mapping[str, Readable], origin: str, prefix: str = ""
    ) -> Mapping[str, Readable]:
        """Tensors of a file as this backbone holds them, where it holds some for its own image size.

        Args:
            tensors: by the backbone's names, beside which there may be others.
            origin: of the file, for messages.
            prefix: in front of the backbone's names.

        Raises:
            WeightsError: they are of another backbone.
        """
        return tensors

    def check_source(self, source: str) -> None:
        """Raise SettingError where a whole model's file needs other settings than this backbone has."""

    def lora_targets(self) -> list[str]:
        """Last parts of the names of the linear layers in its blocks, which get adapters by default."""
        layers = (
            name for block in self.blocks for name, one in block.named_modules() if isinstance(one, nn.Linear)
        )
        return sorted({name.rpartition(".")[2] for name in layers})

    def with_blocks(self, blocks: Sequence[nn.Module], out_indices: tuple[int, ...]) -> "Backbone | None":
        """A backbone of the same parameters with other blocks in place of its own, by which a step is planned faster.

        None where its blocks cannot be replaced.
        """
        if "blocks" not in self._modules or not self.out_indices:
            return None
        other = copy.copy(self)
        other._modules = {**self._modules, "blocks": nn.ModuleList(blocks)}
        other.out_indices = out_indices
        return other

    def licence_notice(self, source: str | None = None) -> str | None:
        """Return what to know of the license of its weights, in one line; None where it has none or it is not known.

        Args:
            source: of a whole model that brings its weights, where it has none of its own.
        """
        licence = self.licence if self.weights is not None else self.released_licence if source else None
        return None if licence is None else notice(licence)

    def other_parts(self) -> list[nn.Module]:
        """Return what is gathered at once where the backbone is sharded, besides each block."""
        return []

    def feature_settings(self) -> dict[str, str]:
        """What feature maps depend on besides the weights and the pixels, by which stored ones are told apart."""
        return {}


def resolve_indices(out_indices: Sequence[int], depth: int) -> tuple[int, ...]:
    """Block numbers counted from 0, of those that may be negative.

    Raises:
        SettingError: they do not increase, are out of range, or do not end with the last block.
    """
    resolved = tuple(i + depth if i < 0 else i for i in out_indices)
    increasing = all(a < b for a, b in pairwise(resolved))
    if not resolved or not increasing or resolved[0] < 0 or resolved[-1] != depth - 1:
        raise SettingError(
            f"out_indices: found {list(out_indices)}, expected block numbers in increasing order, each once, "
            f"from 0 to {depth - 1} (or -{depth} to -1), ending with the last block."
        )
    return resolved
