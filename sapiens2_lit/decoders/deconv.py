"""The decoder of the released pose and segmentation heads, and of all heads of Sapiens v1.

It is a chain of transposed convolutions, then 1 x 1 convolutions.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.predictor import checked_name


class DeconvDecoder(nn.Sequential):
    """(B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride), with released names.

    Args:
        in_channels: Channels of the feature map.
        deconv_channels: Channels of each transposed convolution; each doubles height and width.
        conv_channels: Channels of each 1 x 1 convolution; may be empty.
        out_channels: Channels predicted.
        predictor: Name of the last layer, such as `conv_pose`.

    Attributes:
        stride: 2 ** number of transposed convolutions.

    Raises:
        SettingError: `predictor` cannot be the name of a layer.
    """

    deconv_layers: nn.Sequential
    conv_layers: nn.Sequential

    def __init__(
        self,
        in_channels: int,
        deconv_channels: Sequence[int],
        conv_channels: Sequence[int],
        out_channels: int,
        predictor: str,
    ) -> None:
        super().__init__()
        self.stride = 2 ** len(deconv_channels)
        widths = [in_channels, *deconv_channels, *conv_channels]
        deconv: list[nn.Module] = []
        for a, b in pairwise(widths[: len(deconv_channels) + 1]):
            conv = nn.ConvTranspose2d(a, b, kernel_size=4, stride=2, padding=1, bias=False)
            deconv += [conv, nn.InstanceNorm2d(b), nn.SiLU()]
        convs: list[nn.Module] = []
        for a, b in pairwise(widths[len(deconv_channels) :]):
            convs += [nn.Conv2d(a, b, kernel_size=1), nn.InstanceNorm2d(b), nn.SiLU()]
        self.deconv_layers = nn.Sequential(*deconv)
        self.conv_layers = nn.Sequential(*convs)
        self.add_module(checked_name(predictor, self), nn.Conv2d(widths[-1], out_channels, kernel_size=1))
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize weights with Kaiming normal (fan-out) and biases with zeros."""
        init_decoder(self)
