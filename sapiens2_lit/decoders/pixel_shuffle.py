"""The decoder of the released normal, pointmap, albedo and matting heads: convolutions and pixel shuffles."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.norms import NORMS
from sapiens2_lit.decoders.predictor import checked_name
from sapiens2_lit.errors import SettingError


class PixelShuffleDecoder(nn.Sequential):
    """(B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride), with released names.

    Args:
        in_channels: Channels of the feature map.
        upsample_channels: Channels of each stage: a convolution to four times as many, shuffled to twice the height and
            width (arXiv:1609.05158).
        conv_channels: Channels of each 3 x 3 convolution that follows; may be empty.
        out_channels: Channels predicted.
        predictor: Name of the last layer, such as `conv_normal`.
        norm: `instance`, or `rms` as in the albedo head.

    Attributes:
        stride: 2 ** number of stages.

    Raises:
        SettingError: `norm` is unknown, or `predictor` cannot be the name of a layer.
    """

    input_conv: nn.Sequential
    upsample_blocks: nn.Sequential
    conv_layers: nn.Sequential

    def __init__(
        self,
        in_channels: int,
        upsample_channels: Sequence[int],
        conv_channels: Sequence[int],
        out_channels: int,
        predictor: str,
        norm: Literal["instance", "rms"] = "instance",
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise SettingError(f"norm: found {norm!r}, expected one of {', '.join(NORMS)}.")
        make_norm = NORMS[norm]
        self.stride = 2 ** len(upsample_channels)
        widths = [in_channels, *upsample_channels, *conv_channels]
        self.input_conv = nn.Sequential(_conv3x3(in_channels, in_channels), make_norm(in_channels), nn.SiLU())
        self.upsample_blocks = nn.Sequential(
            *(
                nn.Sequential(_conv3x3(a, 4 * b), nn.PixelShuffle(2), make_norm(b), nn.SiLU())
                for a, b in pairwise(widths[: len(upsample_channels) + 1])
            )
        )
        convs: list[nn.Module] = []
        for a, b in pairwise(widths[len(upsample_channels) :]):
            convs += [_conv3x3(a, b), make_norm(b), nn.SiLU()]
        self.conv_layers = nn.Sequential(*convs)
        self.add_module(checked_name(predictor, self), nn.Conv2d(widths[-1], out_channels, kernel_size=1))
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize weights with Kaiming normal (fan-out), zero biases and unit norms."""
        init_decoder(self)


def _conv3x3(in_channels: int, out_channels: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
