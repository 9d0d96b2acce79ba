"""The released decoders in inference, with about half of the memory: nothing is kept for a backward pass.

A stage is a convolution, an optional pixel shuffle, a norm and an activation. Norms and activations work in place, on a
part of the map at a time. The widest map, 400 MB of 128 channels at 1024 x 768, never exists as a whole:

- With InstanceNorm, channels are independent: a few at a time are computed, normed, and added to the result of the next
convolution. Rows are not independent, since the statistics are those of the whole map.
- With RMSNorm, rows are independent except for the reach of the convolutions: the rest of the decoder runs on strips of
rows that overlap by that reach.

Results equal those of the modules called one by one; where a convolution is summed in parts, they differ by rounding.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.decoders.chain import Chain, Unit
from sapiens2_lit.decoders.norms import ChannelRMSNorm

LARGE = 2**25  # maps of this many bytes or more are processed in parts
PARTS = 8
_CHANNELS = 16  # smallest number of channels of a part: fewer make slow convolutions
_OVERLAP = 0.1  # largest share of a strip's rows that may be computed twice


@dataclass(frozen=True)
class Stage:
    """A convolution and what follows it; `shuffle` is the factor of a pixel shuffle, 1 for none."""

    conv: nn.Conv2d | nn.ConvTranspose2d
    shuffle: int
    norm: nn.InstanceNorm2d | ChannelRMSNorm

    @property
    def growth(self) -> int:
        """The factor between the height of the result and the height of the input."""
        return self.shuffle * (self.conv.stride[0] if isinstance(self.conv, nn.ConvTranspose2d) else 1)

    @property
    def channels(self) -> int:
        """The number of channels of the result."""
        return int(self.conv.out_channels) // self.shuffle**2

    @property
    def reach(self) -> int:
        """The number of input rows above and below its position that a row of the result depends on."""
        if isinstance(self.conv, nn.ConvTranspose2d):
            return -(-int(self.conv.kernel_size[0]) // int(self.conv.stride[0]))
        return int(self.conv.kernel_size[0]) // 2

    def size(self, x: Tensor) -> int:
        """Return the bytes of the result for `x`, (B, C, H, W)."""
        return x.shape[0] * self.channels * x.shape[2] * x.shape[3] * self.growth**2 * x.element_size()


def run_lean(units: Sequence[Unit], x: Tensor) -> Tensor:
    """Run the units of a decoder on a map (B, C, H, W) without gradients; `x` is not changed."""
    stages = [parse(unit) for unit in units]
    index, count = 0, len(units)
    own = False  # whether `x` was made here, so that it may be overwritten
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
    """Return the stage that a unit is; None if it is something else or its layers have hooks."""
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
    """Apply the norm and the activation of a stage to `x`, (B, C, H, W).

    A large map is changed in place, by parts of its channels or rows.
    """
    if (
        x.numel() * x.element_size() < LARGE
    ):  # exactly what the modules compute, including the strides of the result
        return F.silu(_normed(x, stage), inplace=True)
    axis = 1 if isinstance(stage.norm, nn.InstanceNorm2d) else 2
    for start, stop in _parts(x.shape[axis], x.numel() * x.element_size()):
        part = x.narrow(axis, start, stop - start)
        part.copy_(F.silu(_normed(part, stage), inplace=True))
    return x


def can_stream(stage: Stage, following: Stage, x: Tensor) -> bool:
    """Return whether channels of a large result may be passed on in parts, and whether that saves memory.

    Args:
        stage: The stage whose result would be passed on.
        following: The next stage.
        x: The input of `stage`, (B, C, H, W).
    """
    return (
        isinstance(stage.norm, nn.InstanceNorm2d)
        and type(following.conv) is nn.Conv2d
        and following.growth == 1
        and following.channels < stage.channels
        and stage.size(x) >= LARGE
    )


def stream(stage: Stage, following: Stage, x: Tensor) -> Tensor:
    """Return the next convolution's result without ever holding the whole result of a stage.

    Parts are summed in float32 or better; in bfloat16 every sum would be rounded.

    Args:
        stage: The stage whose result exists only a few channels at a time.
        following: The next stage, whose convolution is applied.
        x: The input of `stage`, (B, C, H, W).
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
        del few  # frees memory before the next part
    assert total is not None
    return total.to(dtype)


def _add_convolved(total: Tensor, few: Tensor, following: Stage, start: int) -> None:
    """Add to `total` the convolution of some input channels, the first of which is number `start`."""
    weight = following.conv.weight[:, start : start + few.shape[1]]
    bias = following.conv.bias if start == 0 else None
    for rows, inner, place in _strips(few.shape[2], following.reach, LARGE):
        strip = F.conv2d(few[:, :, rows], weight, bias, padding=following.conv.padding)
        total[:, :, place] += strip[:, :, inner]
        del strip


def in_strips(run: Sequence[Stage], x: Tensor) -> bool:
    """Return whether stages can run on strips of rows of `x`, (B, C, H, W), with little overlap, and are large."""
    return (
        len(run) > 0
        and all(isinstance(stage.norm, ChannelRMSNorm) for stage in run)
        and run[0].size(x) >= LARGE
        and 2 * common_reach(run) * PARTS <= _OVERLAP * x.shape[2]
    )


def common_reach(run: Sequence[Stage]) -> int:
    """Return how many input rows above and below its position a row of the last stage's result depends on."""
    reach = 0
    for stage in reversed(run):
        reach = -(-reach // stage.growth) + stage.reach
    return reach


def by_strips(run: Sequence[Stage], x: Tensor) -> Tensor:
    """Run stages on strips of rows of `x`, (B, C, H, W), that overlap by the stages' common reach."""
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
        del part  # frees memory before the next strip
    assert result is not None
    return result


def fits_in_place(stage: Stage, x: Tensor) -> bool:
    """Return whether the result of a 1 x 1 convolution can overwrite its input `x`, (B, C, H, W), and saves memory."""
    same = not torch.is_autocast_enabled(x.device.type) or x.dtype == torch.get_autocast_dtype(x.device.type)
    large = x.numel() * x.element_size() >= LARGE
    return large and stage.reach == 0 and stage.growth == 1 and stage.channels <= x.shape[1] and same


def pointwise_in_place(stage: Stage, x: Tensor) -> Tensor:
    """Run a 1 x 1 convolution and write its result over its input `x`, (B, C, H, W)."""
    for rows, _, _ in _strips(x.shape[2], 0, x.numel() * x.element_size()):
        x[:, : stage.channels, rows] = stage.conv(x[:, :, rows])
    return x[:, : stage.channels]


def leading(stages: Sequence[Stage | None]) -> list[Stage]:
    """Return the stages before the first None."""
    found: list[Stage] = []
    for stage in stages:
        if stage is None:
            break
        found.append(stage)
    return found


def _some_channels(stage: Stage, x: Tensor, start: int, stop: int) -> Tensor:
    """Return channels `start` to `stop` of the map that enters the norm."""
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
    """Apply the norm of a stage; with InstanceNorm, `x` may have any of its channels."""
    return (
        F.instance_norm(x, eps=stage.norm.eps) if isinstance(stage.norm, nn.InstanceNorm2d) else stage.norm(x)
    )


def _parts(length: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield starts and stops that cut a length: into `PARTS` if `size` is large, else into one."""
    step = -(-length // PARTS) if size >= LARGE else length
    for start in range(0, length, step):
        yield start, min(length, start + step)


def _strips(height: int, reach: int, size: int) -> Iterator[tuple[slice, slice, slice]]:
    """Yield the rows to read, the ones among them that are right, and their position in the result."""
    for start, stop in _parts(height, size):
        first, last = max(0, start - reach), min(height, stop + reach)
        yield slice(first, last), slice(start - first, stop - first), slice(start, stop)


def _scaled(rows: slice, growth: int) -> slice:
    return slice(rows.start * growth, rows.stop * growth)


def _is_plain(conv: nn.Module) -> bool:
    """Return whether a convolution is dense and keeps the size, or is transposed and multiplies it by its stride."""
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
