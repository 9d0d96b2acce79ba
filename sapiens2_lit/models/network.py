"""A backbone and its heads as one plain module, which is trained, predicts, is exported and planned."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.decoders.decoding import Decoding
from sapiens2_lit.decoders.shared import NAME, SharedDecoder, check_sharing
from sapiens2_lit.heads.base import DecoderHead, Head, Outputs, average
from sapiens2_lit.models.multi_scale import Size, mean, resample
from sapiens2_lit.models.normalize import normalize
from sapiens2_lit.parallel import compile_blocks

Render = Callable[[Size], Tensor]  # gives the images at another size: RGB (B, 3, H, W)


class Network(nn.Module):
    """One backbone and any number of heads on its feature maps.

    Parameters are called `backbone.*` and `heads.NAME.*`, as in checkpoints.

    Args:
        backbone: Turns images into feature maps.
        heads: Turn feature maps into raw outputs, by name; a ModuleDict is used itself. A `SharedDecoder` among them,
            called `shared_decoder`, works for all heads that take its map.

    Attributes:
        decoding: How decoders compute; may be changed at any time.

    Raises:
        SettingError: Heads need a shared decoder that is missing, or no head uses the shared decoder.
    """

    backbone: Backbone
    heads: nn.ModuleDict
    decoding = Decoding()

    def __init__(self, backbone: Backbone, heads: Mapping[str, nn.Module] | nn.ModuleDict) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads if isinstance(heads, nn.ModuleDict) else nn.ModuleDict(heads)
        check_sharing(dict(self.heads.items()))

    def named_heads(self) -> list[tuple[str, Head]]:
        """Return the heads by name, without the shared decoder."""
        return [(name, head) for name, head in self.heads.items() if name != NAME]  # type: ignore[misc]

    @property
    def shared_decoder(self) -> SharedDecoder | None:
        """The decoder that heads share; None if there is none."""
        found = self.heads[NAME] if NAME in self.heads else None  # noqa: SIM401  # a ModuleDict has no `get`
        assert found is None or isinstance(found, SharedDecoder)
        return found

    def set_up_heads(self, data: Any) -> None:
        """Let every head learn from the training data what it needs; see `Head.setup`."""
        for _, head in self.named_heads():
            head.setup(data)

    def compile_parts(self, decoders: bool = True) -> None:
        """Compile the backbone's blocks in place, or the whole backbone if it has no blocks, and the decoders."""
        compile_blocks(self.backbone.blocks or [self.backbone])
        if decoders:
            compile_blocks(
                part for part in self.heads.values() if isinstance(part, DecoderHead | SharedDecoder)
            )

    def normalize(self, images: Tensor) -> Tensor:
        """Normalize RGB in 0..255, (B, 3, H, W), as the backbone expects it."""
        return normalize(images, self.backbone.mean, self.backbone.std)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of RGB images in 0..255, (B, 3, H, W)."""
        return self.backbone(self.normalize(images))

    def decode(self, features: list[Tensor], images: Tensor) -> list[Tensor]:
        """Append the shared decoder's map to the feature maps, if there is a shared decoder.

        Args:
            features: Feature maps of the images.
            images: RGB in 0..255, (B, 3, H, W).
        """
        shared = self.shared_decoder
        return features if shared is None else [*features, self.decoding.run(shared, features, images)]

    def run_head(self, head: Head, decoded: list[Tensor], images: Tensor) -> Outputs:
        """Return one head's raw outputs.

        Args:
            head: The head.
            decoded: What `decode` returned.
            images: RGB in 0..255, (B, 3, H, W).
        """
        own = decoded if head.takes_shared or self.shared_decoder is None else decoded[:-1]
        return self._run(head, own, images)

    def _run(self, head: Head, features: list[Tensor], images: Tensor) -> Outputs:
        return self.decoding.run(head, features, *([images] if head.uses_image else []))

    def run_heads(
        self, features: list[Tensor], images: Tensor, names: Collection[str] | None = None
    ) -> dict[str, Outputs]:
        """Return the raw outputs of heads by name.

        Args:
            features: Feature maps of the images.
            images: RGB in 0..255, (B, 3, H, W).
            names: Which heads; None for all.
        """
        chosen = {name: head for name, head in self.named_heads() if names is None or name in names}
        takers = any(head.takes_shared for head in chosen.values())
        decoded = self.decode(features, images) if takers else features
        return {
            name: self._run(head, decoded if head.takes_shared else features, images)
            for name, head in chosen.items()
        }

    def forward(self, images: Tensor) -> Mapping[str, Outputs]:
        """Return the raw outputs of every head for RGB images in 0..255, (B, 3, H, W)."""
        return self.run_heads(self.features(images), images)

    def evaluate(
        self,
        images: Tensor,
        names: Collection[str] | None = None,
        *,
        flip: bool = False,
        sizes: Sequence[Size] | None = None,
        render: Render | None = None,
        pairs: dict[str, tuple[Outputs, Outputs]] | None = None,
    ) -> dict[str, Outputs]:
        """Return raw outputs of heads by name, in float32, averaged over views of the images.

        Each size is one pass of the backbone for all heads, and a second one with `flip`. Heads whose outputs cannot be
        averaged over sizes use only the images' size.

        Args:
            images: RGB in 0..255, (B, 3, H, W).
            names: Which heads; None for all.
            flip: Average with the mirrored images, for heads with a flip test.
            sizes: (height, width) to average over; None for the images' size.
            render: Gives the images at another size; by default they are resized.
            pairs: Filled by head with the outputs for the images and for the mirrored images (mirrored back), at the
                images' size, where `flip` averages them.
        """
        own: Size = (images.shape[-2], images.shape[-1])
        sizes = [own] if sizes is None else sizes
        heads = {name: head for name, head in self.named_heads() if names is None or name in names}
        single = {name for name, head in heads.items() if not head.multi_scale}
        found: dict[str, list[Outputs]] = {name: [] for name in heads}
        several = heads.keys() - single
        for size in dict.fromkeys([*(sizes if several else []), *([own] if single else [])]):
            chosen = (several if size in sizes else set()) | (single if size == own else set())
            view = images if size == own else (render or resizer(images))(size)
            for name, outputs in self._view(view, chosen, flip, pairs if size == own else None).items():
                found[name].append(outputs if sizes == [own] else resample(heads[name], outputs, size, own))
        return {name: mean(outputs) for name, outputs in found.items()}

    def _view(
        self,
        images: Tensor,
        names: Collection[str],
        flip: bool,
        pairs: dict[str, tuple[Outputs, Outputs]] | None = None,
    ) -> dict[str, Outputs]:
        """Return outputs for images of one size, averaged with the outputs for the mirrored images if `flip`."""
        outputs = in_float32(self.run_heads(self.features(images), images, names))
        heads = {name: head for name, head in self.named_heads() if name in names}
        if flip and any(head.has_flip_test for head in heads.values()):
            mirror = images.flip(-1)
            for name, flipped in in_float32(self.run_heads(self.features(mirror), mirror, names)).items():
                mirrored = heads[name].unflip(flipped)
                if mirrored is not None:
                    if pairs is not None:
                        pairs[name] = (outputs[name], mirrored)
                    outputs[name] = average(outputs[name], mirrored)
        return outputs


def in_float32(outputs: Mapping[str, Outputs]) -> dict[str, Outputs]:
    """Convert all outputs to float32."""
    return {
        name: {key: tensor.float() for key, tensor in value.items()}
        if isinstance(value, dict)
        else value.float()
        for name, value in outputs.items()
    }


def resizer(images: Tensor) -> Render:
    """Return a function that resizes images (B, 3, H, W)."""
    return lambda size: F.interpolate(images.float(), size, mode="bilinear", antialias=True)
