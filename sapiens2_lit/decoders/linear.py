"""A linear decoder: every cell of the feature map is turned into the pixels that it covers."""

from torch import nn

from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.predictor import checked_name

_FEWEST = 8  # channels between both layers


class LinearDecoder(nn.Sequential):
    """(B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride) by two layers without activation or norm.

    It is the linear probe for maps of any kind: it costs very little, shows what features hold, and learns from scratch
    in a fraction of the steps that deep decoders need. Its maps have seams between cells.

    Args:
        in_channels: Channels of the feature map.
        out_channels: Channels predicted.
        predictor: Name of the last layer, such as `conv_normal`.
        stride: Pixels along a cell.

    Raises:
        SettingError: `predictor` cannot be the name of a layer.
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
        """Initialize weights with Kaiming normal (fan-out) and biases with zeros."""
        init_decoder(self)
