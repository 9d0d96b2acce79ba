"""The branch of the point map head that predicts the camera's scale: one number for an image, in released names."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from sapiens2_lit.decoders.presets import REFERENCE_WIDTH, SMALLEST_RELEASED

_CONV, _MLP = (1536, 512, 128), (512, 128)
_FEWEST_CELLS = 12  # that a stride may leave: InstanceNorm over one or two cells would erase their content


class ScaleBranch(nn.Sequential):
    """Predict the scale (B, 1) from a feature map (B, in_channels, h, w).

    Args:
        in_channels: Channels of the feature map.
        grid: (h, w) of the feature map, which sets the length of the first linear layer.
        conv_channels: Channels of each 1 x 1 convolution, which is followed by InstanceNorm and SiLU.
        mlp_channels: Channels of each linear layer but the last.
        strides: Stride of each convolution.
    """

    scale_conv_layers: nn.Sequential
    scale_final_layer: nn.Sequential

    def __init__(
        self,
        in_channels: int,
        grid: tuple[int, int],
        conv_channels: Sequence[int],
        mlp_channels: Sequence[int],
        strides: Sequence[int],
    ) -> None:
        super().__init__()
        height, width = grid
        convs: list[nn.Module] = []
        for (a, b), stride in zip(pairwise([in_channels, *conv_channels]), strides, strict=True):
            convs += [nn.Conv2d(a, b, kernel_size=1, stride=stride), nn.InstanceNorm2d(b), nn.SiLU()]
            height, width = -(-height // stride), -(-width // stride)
        linear: list[nn.Module] = []
        for a, b in pairwise([conv_channels[-1] * height * width, *mlp_channels, 1]):
            linear += [nn.Linear(a, b), nn.SiLU()]
        self.scale_conv_layers = nn.Sequential(*convs)
        self.scale_final_layer = nn.Sequential(nn.Flatten(), *linear[:-1])


def build_scale_branch(embed_dim: int, grid: tuple[int, int]) -> ScaleBranch:
    """Build the released branch for a 64 x 48 grid; other grids get strides of 2 while 12 cells or more are left.

    Below an `embed_dim` of 768, channels shrink in proportion.
    """
    shrink = embed_dim / REFERENCE_WIDTH if embed_dim < SMALLEST_RELEASED else 1.0
    conv, mlp = (tuple(max(8, round(c * shrink / 8) * 8) for c in row) for row in (_CONV, _MLP))
    return ScaleBranch(embed_dim, grid, conv, mlp, strides_for(grid, len(conv)))


def strides_for(grid: tuple[int, int], count: int) -> list[int]:
    """Return `count` strides: 2 while 12 cells or more are left, then 1."""
    strides = []
    height, width = grid
    for _ in range(count):
        halved = (-(-height // 2), -(-width // 2))
        strides.append(2 if halved[0] * halved[1] >= _FEWEST_CELLS else 1)
        if strides[-1] == 2:
            height, width = halved
    return strides
