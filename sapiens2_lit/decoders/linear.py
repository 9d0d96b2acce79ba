"""A decoder without depth: every cell of the feature map becomes its own pixels."""

from torch import nn

from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.predictor import checked_name

_FEWEST = 8  # channels between both layers


class LinearDecoder(nn.Sequential):
    """(B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride) by two layers, without activation or norm.

    What a linear probe is for classes, for maps of any kind: it costs next to nothing, shows what features hold, and
    learns from nothing in a fraction of the steps that deep decoders need. Its maps are seamed at the cells' borders.

    Args:
        in_channels: channels of the feature map.
        out_channels: channels predicted.
        predictor: name of the last layer, as `conv_normal`.
        stride: pixels along a cell.

    Raises:
        SettingError: `predictor` is no usable name.
    """

    spread: nn.Sequential

    def __init__(self, in_channels: int, out_channels: int, predictor: str, stride: int) -> None:
        super().__init__()
        self.stride = stride
        between = max(_FEWEST, out_channels)
        spread = nn.Conv2d(in_channels, between * stride**2, kernel_size=1)
        self.spread = nn.Sequential(spread, nn.PixelShuffle(stride))
        self.add_module(checked_name(predictor, self), nn.Conv2d(between, out_channels, kernel_size=1))
        self.init_weights()

    def init_weights(self) -> None:
        """Kaiming normal (fan-out) weights, zero biases."""
        init_decoder(self)
