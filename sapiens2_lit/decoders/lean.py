"""The released decoders in inference, with about half of the memory: nothing is kept for a backward pass.

A stage is a convolution, perhaps a pixel shuffle, a norm and an activation. Norms and activations work in place, a part
of the map at a time. The widest map, 400 MB of 128 channels at 1024 x 768, is never whole:

- Under InstanceNorm channels are independent of each other: a few at a time are made, normed and added to what the
  next convolution makes of them. Rows are not independent: their statistics are of the whole map.
- Under RMSNorm rows are independent but for the convolutions' reach: the rest of the decoder runs on strips of rows
  that overlap by it.

Results are those of the modules called one by one; where a convolution is summed in parts, to the order of sums.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.decoders.chain import Chain, Unit
from sapiens2_lit.decoders.norms import ChannelRMSNorm

LARGE = 2**25  # bytes of a map from which on it is worth working on parts of it
PARTS = 8
_CHANNELS = 16  # of a part at least: fewer make slow convolutions
_OVERLAP = 0.1  # of strips' own rows, which are computed twice at most


@dataclass(frozen=True)
class Stage:
    """A convolution and what follows it; `shuffle` is the factor of a pixel shuffle, 1 for none."""

    conv: nn.Conv2d | nn.ConvTranspose2d
    shuffle: int
    norm: nn.InstanceNorm2d | ChannelRMSNorm

    @property
    def growth(self) -> int:
        """How many times as high the result is as the input."""
        return self.shuffle * (self.conv.stride[0] if isinstance(self.conv, nn.ConvTranspose2d) else 1)

    @property
    def channels(self) -> int:
        return int(self.conv.out_channels) // self.shuffle**2

    @property
    def reach(self) -> int:
        """How many rows of the input above and below its own a row of the result depends on."""
        if isinstance(self.conv, nn.ConvTranspose2d):
            return -(-int(self.conv.kernel_size[0]) // int(self.conv.stride[0]))
        return int(self.conv.kernel_size[0]) // 2

    def size(self, x: Tensor) -> int:
        """Bytes of the result for `x`."""
        return x.shape[0] * self.channels * x.shape[2] * x.shape[3] * self.growth**2 * x.element_size()


def run_lean(units: Sequence[Unit], x: Tensor) -> Tensor:
    """Pass a map through the units of a decoder without gradients; `x` stays as it is."""
    stages = [parse(unit) for unit in units]
    index, count = 0, len(units)
    own = False  # whether nobody else holds the map
    while index < count:
        stage = stages[index]
        following = stages[index + 1] if index + 1 < count else None
        if stage is None:
            x, own = units[index](x), False
        elif in_strips(run := leading(stages[index:]), x):
            x, own = by_strips(run, x), True
            index += len(run) - 1
        elif following is not None and can_stream(stage, following, x):
            x, own = norm_and_act(stream(stage, following, x), following), True
            index += 1
        elif own and fits_in_place(stage, x):
            x = norm_and_act(pointwise_in_place(stage, x), stage)
        else:
            x, own = stage.conv(x), True
            x = norm_and_act(F.pixel_shuffle(x, stage.shuffle) if stage.shuffle > 1 else x, stage)
        index += 1
    return x


def parse(unit: Unit) -> Stage | None:
    """Return the stage that a unit is, None where it is something else or somebody listens to its layers."""
    if not isinstance(unit, Chain) or any(_watched(layer) for layer in unit):
        return None
    conv, *rest = unit
    shuffle = 1
    if rest and isinstance(rest[0], nn.PixelShuffle):
        shuffle = rest.pop(0).upscale_factor  # type: ignore[assignment]  # an int
    if len(rest) != 2 or not isinstance(rest[1], nn.SiLU) or not _is_plain(conv):
        return None
    norm = rest[0]
    if not isinstance(norm, nn.InstanceNorm2d | ChannelRMSNorm):
        return None
    if isinstance(norm, nn.InstanceNorm2d) and (norm.affine or norm.track_running_stats):
        return None
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    return Stage(conv, shuffle, norm)


def norm_and_act(x: Tensor, stage: Stage) -> Tensor:
    """Norm and activation of a stage; of a large map in place, channels, or rows, a part at a time."""
    if (
        x.numel() * x.element_size() < LARGE
    ):  # as the modules, strides of the result included: equal to the last bit
        return F.silu(_normed(x, stage), inplace=True)
    axis = 1 if isinstance(stage.norm, nn.InstanceNorm2d) else 2
    for start, stop in _parts(x.shape[axis], x.numel() * x.element_size()):
        part = x.narrow(axis, start, stop - start)
        part.copy_(F.silu(_normed(part, stage), inplace=True))
    return x


def can_stream(stage: Stage, following: Stage, x: Tensor) -> bool:
    """Whether channels of a large result may be handed on one by one, and whether that saves anything."""
    return (
        isinstance(stage.norm, nn.InstanceNorm2d)
        and type(following.conv) is nn.Conv2d
        and following.growth == 1
        and following.channels < stage.channels
        and stage.size(x) >= LARGE
    )


def stream(stage: Stage, following: Stage, x: Tensor) -> Tensor:
    """Return what the convolution of `following` makes of the result of `stage`, of which few channels exist at a time.

    Parts are summed in float32 at least: in bfloat16 every one would be rounded.
    """
    total: Tensor | None = None
    step = max(_CHANNELS, stage.channels // (2 * PARTS))
    for start in range(0, stage.channels, step):
        stop = min(stage.channels, start + step)
        few = F.silu(_normed(_some_channels(stage, x, start, stop), stage), inplace=True)
        if total is None:
            dtype = few.dtype
            exact = torch.promote_types(dtype, torch.float32)
            total = few.new_zeros(len(few), following.channels, *few.shape[2:], dtype=exact)
        _add_convolved(total, few, following, start)
        del few  # before the next ones are made
    assert total is not None
    return total.to(dtype)


def _add_convolved(total: Tensor, few: Tensor, following: Stage, start: int) -> None:
    """Add to `total` what a convolution makes of some channels of its input, from `start` on."""
    weight = following.conv.weight[:, start : start + few.shape[1]]
    bias = following.conv.bias if start == 0 else None
    for rows, inner, place in _strips(few.shape[2], following.reach, LARGE):
        strip = F.conv2d(few[:, :, rows], weight, bias, padding=following.conv.padding)
        total[:, :, place] += strip[:, :, inner]
        del strip


def in_strips(run: Sequence[Stage], x: Tensor) -> bool:
    """Whether the stages may run on strips of rows, and are large enough for it to cost little."""
    return (
        len(run) > 0
        and all(isinstance(stage.norm, ChannelRMSNorm) for stage in run)
        and run[0].size(x) >= LARGE
        and 2 * common_reach(run) * PARTS <= _OVERLAP * x.shape[2]
    )


def common_reach(run: Sequence[Stage]) -> int:
    """How many rows of the input above and below its own a row of the last stage's result depends on."""
    reach = 0
    for stage in reversed(run):
        reach = -(-reach // stage.growth) + stage.reach
    return reach


def by_strips(run: Sequence[Stage], x: Tensor) -> Tensor:
    """Return the stages on strips of rows that overlap by their common reach."""
    growth = math.prod(stage.growth for stage in run)
    result: Tensor | None = None
    for rows, inner, place in _strips(x.shape[2], common_reach(run), LARGE):
        part = x[:, :, rows]
        for stage in run:
            part = stage.conv(part)
            part = F.pixel_shuffle(part, stage.shuffle) if stage.shuffle > 1 else part
            part = norm_and_act(part, stage)
        if result is None:
            result = part.new_empty(*part.shape[:2], x.shape[2] * growth, part.shape[3])
        result[:, :, _scaled(place, growth)] = part[:, :, _scaled(inner, growth)]
        del part  # before the next one is made
    assert result is not None
    return result


def fits_in_place(stage: Stage, x: Tensor) -> bool:
    """Whether the result of a 1 x 1 convolution may take the place of its input, and whether that saves much."""
    same = not torch.is_autocast_enabled(x.device.type) or x.dtype == torch.get_autocast_dtype(x.device.type)
    large = x.numel() * x.element_size() >= LARGE
    return large and stage.reach == 0 and stage.growth == 1 and stage.channels <= x.shape[1] and same


def pointwise_in_place(stage: Stage, x: Tensor) -> Tensor:
    """Return a 1 x 1 convolution whose result takes the place of its input."""
    for rows, _, _ in _strips(x.shape[2], 0, x.numel() * x.element_size()):
        x[:, : stage.channels, rows] = stage.conv(x[:, :, rows])
    return x[:, : stage.channels]


def leading(stages: Sequence[Stage | None]) -> list[Stage]:
    """Return the stages in front of the first None."""
    found: list[Stage] = []
    for stage in stages:
        if stage is None:
            break
        found.append(stage)
    return found


def _some_channels(stage: Stage, x: Tensor, start: int, stop: int) -> Tensor:
    """Channels `start` to `stop` of the map in front of the norm."""
    conv = stage.conv
    if isinstance(conv, nn.ConvTranspose2d):
        weight = conv.weight[:, start:stop]
        bias = None if conv.bias is None else conv.bias[start:stop]
        return F.conv_transpose2d(x, weight, bias, conv.stride, conv.padding)  # type: ignore[arg-type]  # a pair
    a, b = start * stage.shuffle**2, stop * stage.shuffle**2
    bias = None if conv.bias is None else conv.bias[a:b]
    few = F.conv2d(x, conv.weight[a:b], bias, padding=conv.padding)
    return F.pixel_shuffle(few, stage.shuffle) if stage.shuffle > 1 else few


def _normed(x: Tensor, stage: Stage) -> Tensor:
    """Return the norm of a stage, under InstanceNorm of any number of its channels."""
    return (
        F.instance_norm(x, eps=stage.norm.eps) if isinstance(stage.norm, nn.InstanceNorm2d) else stage.norm(x)
    )


def _parts(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Starts and stops that cut a length: into `PARTS` where `size` is large, else one."""
    step = -(-length // PARTS) if size >= LARGE else length
    for start in range(0, length, step):
        yield start, min(length, start + step)


def _strips(height: int, reach: int, size: int) -> Iterator[tuple[slice, slice, slice]]:
    """Rows to take, those of them that are right, and where these belong."""
    for start, stop in _parts(height, size):
        first, last = max(0, start - reach), min(height, stop + reach)
        yield slice(first, last), slice(start - first, stop - first), slice(start, stop)


def _scaled(rows: slice, growth: int) -> slice:
    return slice(rows.start * growth, rows.stop * growth)


def _is_plain(conv: nn.Module) -> bool:
    """Return a dense convolution that keeps the size, or a transposed one that multiplies it by its stride."""
    if type(conv) is nn.ConvTranspose2d:
        padding = tuple(map(int, conv.padding))
        axes = zip(conv.kernel_size, conv.stride, padding, strict=True)
        grows = all(kernel - 2 * pad == stride for kernel, stride, pad in axes)
        return conv.groups == 1 and conv.dilation == (1, 1) and not any(conv.output_padding) and grows
    if type(conv) is not nn.Conv2d:
        return False
    same = conv.stride == (1, 1) and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    return same and conv.groups == 1 and conv.padding == tuple(size // 2 for size in conv.kernel_size)


def _watched(layer: nn.Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)
