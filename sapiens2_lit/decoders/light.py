"""A decoder of a few hundredths of the released ones' operations: narrow maps, and none but the result at full size."""

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
_DETAIL = 16  # channels of the image's own map at half its size


class LightBlock(nn.Module):
    """A depthwise convolution and two 1 x 1 ones between which maps are twice as wide, beside a shortcut.

    The block of ConvNeXt (arXiv:2201.03545) with RMSNorm: it leaves sizes in the picture as they are, which
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
        """(B, width, h, w) to the same shape."""
        return x + self.reduce(self.act(self.expand(self.norm(self.spatial(x)))))


class DetailStream(nn.Sequential):
    """What the image itself shows of edges: RGB 0..255 (B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int) -> None:
        first = nn.Conv2d(3, _DETAIL, kernel_size=3, stride=2, padding=1)
        super().__init__(first, nn.SiLU(), nn.Conv2d(_DETAIL, width, kernel_size=3, stride=2, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        dtype = self.get_parameter("0.weight").dtype
        return super().forward(images.to(dtype) / 127.5 - 1)


def add_detail(x: Tensor, detail_layers: nn.Module, images: Tensor) -> Tensor:
    """The map (B, width, h, w), and what the image shows, averaged to its cells where these are not of 16 pixels."""
    detail: Tensor = detail_layers(images)
    if detail.shape[-2:] != x.shape[-2:]:
        detail = F.adaptive_avg_pool2d(detail, (x.shape[-2], x.shape[-1]))
    return x + detail


class LightTrunk(nn.Module):
    """(B, in_channels, h, w) -> (B, widths[-1], 4h, 4w): all of a light decoder but the prediction.

    A 1 x 1 convolution makes the map narrow; at each of three sizes, 1/16, 1/8 and 1/4 of the image, blocks work on it,
    and 1 x 1 convolutions with pixel shuffles (arXiv:1609.05158) lead from one to the next.

    Args:
        in_channels: channels of the feature map.
        widths: channels at 1/16, 1/8 and 1/4.
        detail: let the image itself take part at 1/4.

    Attributes:
        detail_layers: the image's part, None without.
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
    """Return a plain convolution for the finest size: it keeps less for the backward pass than a block would."""
    conv = nn.Conv2d(width, width, kernel_size=3, padding=1)
    return nn.Sequential(conv, ChannelRMSNorm(width), nn.SiLU())


class SharedPart(nn.Module):
    """(B, width, h, w) of a shared decoder -> (B, out_channels, h, w), or four times as high and wide: a last part.

    Args:
        width: channels of the shared map.
        out_channels: channels predicted.
        predictor: name of the last layer, as `conv_normal`.
        full_size: predict at the image's size, not at 1/4.

    Attributes:
        stages: names of the children that form a chain, the predictor last.
        convex_layers: from 1/4 to the image's size, None without `full_size`.

    Raises:
        SettingError: `predictor` is no usable name.
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
    """(B, in_channels, h, w) -> (B, out_channels, h * stride, w * stride), in names of its own.

    The last layer predicts at 1/4 of the image; with `full_size` learned convex combinations of neighbors bring that
    to the image's size.

    Args:
        in_channels: channels of the feature map.
        widths: channels at 1/16, 1/8 and 1/4.
        out_channels: channels predicted.
        predictor: name of the last layer, as `conv_normal`.
        full_size: predict at the image's size, not at 1/4.
        detail: let the image itself take part at 1/4.

    Attributes:
        stages: names of the children that form a chain, the predictor last.
        stride: 16 with `full_size`, else 4.
        convex_layers: from 1/4 to the image's size, None without `full_size`.

    Raises:
        SettingError: `predictor` is no usable name.
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
        """Kaiming normal (fan-out) weights, zero biases, unit norms; enlarging starts about bilinear."""
        init_decoder(self)

    def forward(self, x: Tensor, images: Tensor | None = None) -> Tensor:
        """Return the map of the backbone, and with `detail` the images, RGB 0..255 (B, 3, H, W), that it is of."""
        x = self.light_layers(x)
        if self.detail_layers is not None:
            assert images is not None
            x = add_detail(x, self.detail_layers, images)
        x = self.mix_layers(x)
        y = self.get_submodule(self.stages[-1])(x)
        return y if self.convex_layers is None else self.convex_layers(y, x)
