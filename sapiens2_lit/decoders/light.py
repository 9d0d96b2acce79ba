"""A decoder with a few percent of the released decoders' operations: narrow maps; only the result has full size."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.decoders.convex import ConvexUpsampler
from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.norms import ChannelRMSNorm
from sapiens2_lit.decoders.predictor import checked_name

STRIDE = 4  # pixels of the image along a cell of the decoder's finest map
_CELL = 16  # pixels along a cell of the backbone's map, for which the decoder is meant
_KERNEL = 7
_DETAIL = 16  # channels of the detail stream's map at half the image's size


class LightBlock(nn.Module):
    """A depthwise convolution and two 1 x 1 convolutions, with twice the width between them, and a shortcut.

    It is the block of ConvNeXt (arXiv:2201.03545) with RMSNorm, which preserves the sizes of things in the picture;
    InstanceNorm would not.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, _KERNEL, padding=_KERNEL // 2, groups=width)
        self.norm = ChannelRMSNorm(width)
        self.expand = nn.Conv2d(width, 2 * width, kernel_size=1)
        self.act = nn.SiLU()
        self.reduce = nn.Conv2d(2 * width, width, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, h, w) to the same shape."""
        return x + self.reduce(self.act(self.expand(self.norm(self.spatial(x)))))


class DetailStream(nn.Sequential):
    """Features of edges from the image itself: RGB in 0..255 (B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int) -> None:
        first = nn.Conv2d(3, _DETAIL, kernel_size=3, stride=2, padding=1)
        super().__init__(first, nn.SiLU(), nn.Conv2d(_DETAIL, width, kernel_size=3, stride=2, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        dtype = self.get_parameter("0.weight").dtype
        return super().forward(images.to(dtype) / 127.5 - 1)


def add_detail(x: Tensor, detail_layers: nn.Module, images: Tensor) -> Tensor:
    """Add features of the image to a map.

    Args:
        x: The map (B, width, h, w).
        detail_layers: Turns images into (B, width, H / 4, W / 4), which is averaged to the size of `x` if it differs.
        images: RGB in 0..255, (B, 3, H, W).
    """
    detail: Tensor = detail_layers(images)
    if detail.shape[-2:] != x.shape[-2:]:
        detail = F.adaptive_avg_pool2d(detail, (x.shape[-2], x.shape[-1]))
    return x + detail


class LightTrunk(nn.Module):
    """A light decoder without the prediction: (B, in_channels, h, w) -> (B, widths[-1], 4h, 4w).

    A 1 x 1 convolution makes the map narrow. Blocks process it at 1/16, 1/8 and 1/4 of the image's size; 1 x 1
    convolutions with pixel shuffles (arXiv:1609.05158) connect the sizes.

    Args:
        in_channels: Channels of the feature map.
        widths: Channels at 1/16, 1/8 and 1/4.
        detail: Add features of the image itself at 1/4.

    Attributes:
        detail_layers: The layers for the image; None without `detail`.
    """

    light_layers: nn.Sequential
    mix_layers: nn.Sequential
    detail_layers: DetailStream | None

    def __init__(self, in_channels: int, widths: tuple[int, int, int], detail: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, widths[0], kernel_size=1), LightBlock(widths[0])]
        for a, b in pairwise(widths):
            layers += [LightBlock(a), nn.Conv2d(a, 4 * b, kernel_size=1), nn.PixelShuffle(2)]
        self.light_layers = nn.Sequential(*layers)
        self.detail_layers = DetailStream(widths[-1]) if detail else None
        self.mix_layers = mix(widths[-1])


def mix(width: int) -> nn.Sequential:
    """Return a plain convolution for the finest size, which keeps less for the backward pass than a block would."""
    conv = nn.Conv2d(width, width, kernel_size=3, padding=1)
    return nn.Sequential(conv, ChannelRMSNorm(width), nn.SiLU())


class SharedPart(nn.Module):
    """The last part behind a shared decoder: (B, width, h, w) -> (B, out_channels, h, w), or four times the size.

    Args:
        width: Channels of the shared map.
        out_channels: Channels predicted.
        predictor: Name of the last layer, such as `conv_normal`.
        full_size: Predict at the image's size instead of 1/4.

    Attributes:
        stages: Names of the children that form a chain, the predictor last.
        convex_layers: Upsampling from 1/4 to the image's size; None without `full_size`.

    Raises:
        SettingError: `predictor` cannot be the name of a layer.
    """

    mix_layers: nn.Sequential
    convex_layers: ConvexUpsampler | None

    def __init__(self, width: int, out_channels: int, predictor: str, full_size: bool) -> None:
        super().__init__()
        self.mix_layers = mix(width)
        self.stages = ("mix_layers", checked_name(predictor, self))
        self.add_module(predictor, nn.Conv2d(width, out_channels, kernel_size=1))
        self.convex_layers = ConvexUpsampler(width) if full_size else None
        init_decoder(self)


class LightDecoder(LightTrunk):
    """A light decoder: (B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride).

    The last layer predicts at 1/4 of the image's size; with `full_size`, learned convex combinations of neighbors
    upsample that to the image's size. No released model has such a decoder, so its names are not released ones.

    Args:
        in_channels: Channels of the feature map.
        widths: Channels at 1/16, 1/8 and 1/4.
        out_channels: Channels predicted.
        predictor: Name of the last layer, such as `conv_normal`.
        full_size: Predict at the image's size instead of 1/4.
        detail: Add features of the image itself at 1/4.

    Attributes:
        stages: Names of the children that form a chain, the predictor last.
        stride: 16 with `full_size`, else 4.
        convex_layers: Upsampling from 1/4 to the image's size; None without `full_size`.

    Raises:
        SettingError: `predictor` cannot be the name of a layer.
    """

    convex_layers: ConvexUpsampler | None

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, int, int],
        out_channels: int,
        predictor: str,
        full_size: bool,
        detail: bool,
    ) -> None:
        super().__init__(in_channels, widths, detail)
        self.stride = _CELL if full_size else STRIDE
        self.stages = ("light_layers", "mix_layers", checked_name(predictor, self))
        self.add_module(predictor, nn.Conv2d(widths[-1], out_channels, kernel_size=1))
        self.convex_layers = ConvexUpsampler(widths[-1]) if full_size else None
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize weights with Kaiming normal (fan-out), zero biases, unit norms and about bilinear upsampling."""
        init_decoder(self)

    def forward(self, x: Tensor, images: Tensor | None = None) -> Tensor:
        """Predict from the backbone's map (B, in_channels, h, w).

        With `detail`, `images` are needed: RGB in 0..255, (B, 3, H, W).
        """
        x = self.light_layers(x)
        if self.detail_layers is not None:
            assert images is not None
            x = add_detail(x, self.detail_layers, images)
        x = self.mix_layers(x)
        y = self.get_submodule(self.stages[-1])(x)
        return y if self.convex_layers is None else self.convex_layers(y, x)
