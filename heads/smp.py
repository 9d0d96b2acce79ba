"""Segmentation by a decoder of segmentation_models_pytorch: an example of how to use another library's decoder.

Such decoders take several feature maps. A backbone gives them with `out_indices`. All have the same size, because a
plain transformer has no pyramid; for a decoder made for pyramids they are resized.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.decoders import init_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Outputs
from sapiens2_lit.heads.segmentation import ClassWeights, SegmentationHeadBase
from sapiens2_lit.vocabularies import Classes, load_classes

_MAPS = 4
_CELL = 16  # pixels along a cell of the feature map, for which the decoders' strides are meant


class SMPHead(SegmentationHeadBase):
    """Predict logits of every class by DPT (arXiv:2103.13413) or UPerNet (arXiv:1807.10221) on four feature maps.

    The backbone must give four maps: `model.backbone.init_args.out_indices: [5, 11, 17, 23]` for a depth of 24.

    Args:
        embed_dim: Channels of each of the backbone's feature maps.
        classes: `body29`, or a YAML file with your classes.
        decoder: `dpt` or `upernet`.
        channels: Channels of the decoder's maps.
        loss: Named terms; see `SegmentationHead`.
        class_weights: Class weights of the default cross-entropy; see `SegmentationHead`.
        opacity: Opacity of the classes' colors in pictures, 0 to 1.
        per_class: Also report every class in validation and test.

    Raises:
        SettingError: A setting is out of its range; the error names it, its value and what was expected.
    """

    def __init__(
        self,
        embed_dim: int,
        classes: str | Path | Classes = "body29",
        decoder: Literal["dpt", "upernet"] = "dpt",
        channels: int = 256,
        loss: dict[str, nn.Module] | None = None,
        class_weights: ClassWeights = "released",
        opacity: float = 0.6,
        per_class: bool = True,
    ) -> None:
        if channels < 1:
            raise SettingError(f"SMPHead: `channels` is {channels}, expected 1 or more.")
        vocabulary = load_classes(classes)
        network: OrderedDict[str, nn.Module] = OrderedDict(
            decoder=build_dpt(embed_dim, channels)
            if decoder == "dpt"
            else build_upernet(embed_dim, channels),
            conv_seg=nn.Conv2d(channels, vocabulary.num_classes, kernel_size=1),
        )
        super().__init__(nn.Sequential(network), vocabulary, loss, class_weights, opacity, per_class)
        self.kind = decoder

    def init_weights(self) -> None:
        """Keep the library's initialization of the decoder; initialize the last layer as other heads do."""
        self.init_losses()
        init_decoder(self.get_submodule("conv_seg"))

    def forward(self, features: list[Tensor], images: Tensor | None = None) -> Outputs:
        """Turn four maps (B, C, h, w), the deepest last, into logits at 8 (dpt) or 4 (upernet) times their size.

        DPT first resizes maps with an odd side to the next even size.

        Raises:
            SettingError: The backbone gives another number of maps.
        """
        if len(features) != _MAPS:
            raise SettingError(
                f"SMPHead: the backbone gives {len(features)} feature maps, expected {_MAPS}: set its `out_indices` to "
                "four blocks spread over its depth, the last one included, such as [5, 11, 17, 23] of 24."
            )
        decoder, conv_seg = self.get_submodule("decoder"), self.get_submodule("conv_seg")
        if self.kind == "dpt":
            # it halves its coarsest map and doubles it again: sides must be even
            even = [side + side % 2 for side in features[-1].shape[-2:]]
            maps = [
                F.interpolate(f, even, mode="bilinear") if f.shape[-2:] != tuple(even) else f
                for f in features
            ]
            return conv_seg(decoder(maps, [None] * _MAPS))
        # UPerNet expects strides of 4, 8, 16 and 32, behind two finer maps that it skips
        pyramid = [
            F.interpolate(feature, scale_factor=scale, mode="bilinear") if scale != 1 else feature
            for feature, scale in zip(features, (4, 2, 1, 0.5), strict=True)
        ]
        return conv_seg(decoder([features[0], features[0], *pyramid]))


def build_dpt(embed_dim: int, channels: int) -> nn.Module:
    """Build DPT without class tokens."""
    # imported here: it imports timm, which takes seconds, and other heads do not need it
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder

    return DPTDecoder(
        encoder_out_channels=(embed_dim,) * _MAPS,
        encoder_output_strides=(_CELL,) * _MAPS,
        encoder_has_prefix_tokens=False,
        readout="ignore",
        intermediate_channels=(channels,) * _MAPS,
        fusion_channels=channels,
    )


def build_upernet(embed_dim: int, channels: int) -> nn.Module:
    """Build UPerNet on maps of one width."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    skipped = (embed_dim, embed_dim)
    return UPerNetDecoder(
        encoder_channels=(*skipped, *(embed_dim,) * _MAPS), encoder_depth=1 + _MAPS, decoder_channels=channels
    )
