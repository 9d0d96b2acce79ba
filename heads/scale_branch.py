"""The branch of the point map head that guesses the camera: one number for the whole image, in released names."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from sapiens2_lit.decoders.presets import REFERENCE_WIDTH, SMALLEST_RELEASED

_CONV, _MLP = (1536, 512, 128), (512, 128)
_FEWEST_CELLS = 12  # that a stride may leave: InstanceNorm over a cell or two would leave nothing to see


class ScaleBranch(nn.Sequential):
    """(B, in_channels, h, w) -> (B, 1).

    Args:
        in_channels: channels of the feature map.
        grid: its (h, w); the length of the first linear layer follows from it.
        conv_channels: of each 1 x 1 convolution, InstanceNorm, SiLU.
        mlp_channels: of each linear layer but the last.
        strides: of each convolution.
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
    """Return the released branch on a 64 x 48 grid; on others with strides of 2 as long as 12 cells are left.

    Below a width of 768, channels shrink in proportion.
    """
    shrink = embed_dim / REFERENCE_WIDTH if embed_dim < SMALLEST_RELEASED else 1.0
    conv, mlp = (tuple(max(8, round(c * shrink / 8) * 8) for c in row) for row in (_CONV, _MLP))
    return ScaleBranch(embed_dim, grid, conv, mlp, strides_for(grid, len(conv)))


def strides_for(grid: tuple[int, int], count: int) -> list[int]:
    """2 `count` times, but 1 from where fewer than 12 cells would be left."""
    strides = []
    height, width = grid
    for _ in range(count):
        halved = (-(-height // 2), -(-width // 2))
        strides.append(2 if halved[0] * halved[1] >= _FEWEST_CELLS else 1)
        if strides[-1] == 2:
            height, width = halved
    return strides
