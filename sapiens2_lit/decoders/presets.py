"""Channels of the released decoders, by task, kind and width of the backbone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sapiens2_lit.errors import SettingError

Kind = Literal["auto", "deconv", "pixel_shuffle", "light", "linear", "shared", "sapiens1"]
REFERENCE_WIDTH = 1024  # narrower backbones without released heads get channels in proportion to this width
SMALLEST_RELEASED = 768


@dataclass(frozen=True)
class DecoderChannels:
    """Channels of a decoder: of the stages that upsample, then of the ones that do not."""

    upsample: tuple[int, ...]
    conv: tuple[int, ...]


# The kind of the released head; tasks without one have the kind of the nearest task.
RELEASED_KIND: dict[str, Kind] = {"pose": "deconv", "seg": "deconv"}
# What the comparison in benchmarks/RESULTS.md recommends for a head without weights; `light` for other tasks.
RECOMMENDED_KIND: dict[str, Kind] = {"pose": "deconv", "pointmap": "pixel_shuffle"}
_FIRST_STAGE: dict[str, Kind] = {
    "deconv_layers.": "deconv",
    "upsample_blocks.": "pixel_shuffle",
    "light_layers.": "light",
    "spread.": "linear",
    "mix_layers.": "shared",
}

# Three rows for each task: backbones up to 1280 wide (0.1b, 0.4b, 0.8b), 1536 (1b), 2432 (5b).
_POSE = (
    DecoderChannels((1024, 768), (512, 512, 256)),
    DecoderChannels((1536, 1024), (768, 512, 256)),
    DecoderChannels((1024, 768), (512, 512, 256)),
)
_SEG = (DecoderChannels((512, 256, 128, 64), (64, 64)),) * 3
_NORMAL = (
    *(DecoderChannels((768, 512, 256, 128), (64, 32, 16)),) * 2,
    DecoderChannels((1536, 768, 512, 256), (128, 64, 32)),
)
_POINTMAP = (
    *(DecoderChannels((1536, 768, 512, 256), (64, 32, 16)),) * 2,
    DecoderChannels((1536, 768, 768, 768), (128, 64, 32)),
)
_ALBEDO = (*_NORMAL[:2], DecoderChannels((1536, 768, 512, 256), (64, 32, 16)))
# Not released: pose by pixel shuffle at the same stride; 3 x 3 convolutions are narrower than 1 x 1 ones.
_POSE_SHUFFLE = (DecoderChannels((512, 384), (256, 256)),) * 3
# Not released: the predictor of classes gets 64 channels, as in the released head.
_SEG_SHUFFLE = (DecoderChannels((768, 512, 256, 128), (64, 64)),) * 3

# Sapiens v1 has one row for every backbone; backbones below REFERENCE_WIDTH get it in proportion.
_V1_POSE = (DecoderChannels((768, 768), (768, 768)),) * 3
_V1_DENSE = (DecoderChannels((768, 768, 768), (768, 768, 768)),) * 3
_V1_DEPTH = (DecoderChannels((384, 384, 384, 384), (384, 384)),) * 3

TABLE: dict[str, dict[Kind, tuple[DecoderChannels, ...]]] = {
    "pose": {"deconv": _POSE, "pixel_shuffle": _POSE_SHUFFLE, "sapiens1": _V1_POSE},
    "seg": {"deconv": _SEG, "pixel_shuffle": _SEG_SHUFFLE, "sapiens1": _V1_DENSE},
    "normal": {"deconv": _SEG, "pixel_shuffle": _NORMAL, "sapiens1": _V1_DENSE},
    "pointmap": {"deconv": _SEG, "pixel_shuffle": _POINTMAP},
    "albedo": {"deconv": _SEG, "pixel_shuffle": _ALBEDO},
    "depth": {"deconv": _SEG, "pixel_shuffle": _NORMAL, "sapiens1": _V1_DEPTH},
    "matting": {"deconv": _SEG, "pixel_shuffle": _NORMAL},
}

# Channels of light decoders at 1/16, 1/8 and 1/4 of the image, for backbones 512 wide or more.
LIGHT_WIDTHS = (256, 128, 64)
SHARED_WIDTHS = (384, 192, 96)  # of the decoder that several heads share
# A last layer of hundreds of heatmaps needs more channels.
LIGHT_POSE_WIDTHS = (256, 128, 80)
# Tasks whose edges are edges of the picture, which cells of 16 pixels blur.
DETAIL_TASKS = ("seg", "normal", "albedo", "matting", "depth", "pointmap")

# Albedo as released. Depth was not released; InstanceNorm would hide how large a person is in the picture.
RMS_TASKS = ("albedo", "depth")


def decoder_preset(task: str, width: int, kind: Kind) -> DecoderChannels:
    """Return the channels of the released decoder for a task, a width of the backbone and a kind.

    Kinds and widths that were not released get a row with the same total stride (4 for pose, 16 otherwise). Between two
    released widths it is the smaller one's row. Below 768 it is a row in proportion for pose, and a lighter one for
    dense tasks, which is no wider than the backbone.

    Args:
        task: A released task.
        width: Channels of the backbone's feature map.
        kind: `deconv`, `pixel_shuffle`, or `sapiens1` for the decoder of Sapiens v1.

    Raises:
        SettingError: The task or the kind is unknown; the message lists the known ones.
    """
    kinds = TABLE.get(task)
    if kinds is None:
        raise SettingError(f"task: found {task!r}, expected one of {', '.join(TABLE)}.")
    if kind not in kinds:
        raise SettingError(f"kind: found {kind!r}, expected one of {', '.join(kinds)}.")
    narrow, wide, widest = kinds[kind]
    if kind == "sapiens1":
        few = width < REFERENCE_WIDTH
        return _each(narrow, width) if few else narrow
    if width >= 2432:
        return widest
    if width >= 1536:
        return wide
    if width >= SMALLEST_RELEASED:
        return narrow
    if task != "pose":
        return _light(width, fewest=32 if task == "seg" else 16)
    return _each(narrow, width)


def _each(channels: DecoderChannels, width: int) -> DecoderChannels:
    return DecoderChannels(_scaled(channels.upsample, width), _scaled(channels.conv, width))


def released_kind(task: str) -> Kind:
    """Return the kind of decoder that was released for the task, or for the nearest released task."""
    return RELEASED_KIND.get(task, "pixel_shuffle")


def recommended_kind(task: str) -> Kind:
    """Return the kind that `auto` means for a head of the task without weights."""
    return RECOMMENDED_KIND.get(task, "light")


def kind_of(task: str, shapes: Mapping[str, Sequence[int]]) -> Kind | None:
    """Return the kind of decoder that has parameters with these names and shapes; None if they fit no kind.

    Args:
        task: Task of the head.
        shapes: Shapes of its parameters, by their names in the head.
    """
    stages = (kind for name in shapes for stage, kind in _FIRST_STAGE.items() if name.startswith(stage))
    kind = next(stages, None)
    return _deconv_kind(task, shapes) if kind == "deconv" else kind


def _deconv_kind(task: str, shapes: Mapping[str, Sequence[int]]) -> Kind:
    """Return whether transposed convolutions have the channels of Sapiens v1 or of Sapiens2."""
    first = shapes.get("deconv_layers.0.weight")
    if first is None or "sapiens1" not in TABLE.get(task, {}):
        return "deconv"
    numbers = range(0, 3 * len(shapes), 3)
    upsample = [shapes[name][1] for n in numbers if (name := f"deconv_layers.{n}.weight") in shapes]
    conv = [shapes[name][0] for n in numbers if (name := f"conv_layers.{n}.weight") in shapes]
    expected = decoder_preset(task, first[0], "sapiens1")
    return "sapiens1" if DecoderChannels(tuple(upsample), tuple(conv)) == expected else "deconv"


def light_widths(task: str, width: int) -> tuple[int, int, int]:
    """Return the channels of the light decoder at 1/16, 1/8 and 1/4 of the image's size.

    Below a width of 512 they are in proportion, 16 or more.

    Raises:
        SettingError: The task is unknown.
    """
    if task not in TABLE:
        raise SettingError(f"task: found {task!r}, expected one of {', '.join(TABLE)}.")
    return _in_proportion(LIGHT_POSE_WIDTHS if task == "pose" else LIGHT_WIDTHS, width)


def shared_widths(width: int) -> tuple[int, int, int]:
    """Return the channels of a shared decoder at 1/16, 1/8 and 1/4 of the image's size, like `light_widths`."""
    return _in_proportion(SHARED_WIDTHS, width)


def _in_proportion(wide: tuple[int, int, int], width: int) -> tuple[int, int, int]:
    scale = min(1.0, width / 512)
    first, second, third = (max(16, round(channels * scale / 8) * 8) for channels in wide)
    return first, second, third


def _light(width: int, fewest: int) -> DecoderChannels:
    """Return half the channels at each stage, `fewest` or more, without convolutions at the full size.

    The released rows in proportion would take more time than a small backbone, most of it at the full size, and give
    the predictor only 8 channels, which is too few to tell 29 classes apart.
    """
    upsample = (max(fewest, width // 2**stage // 8 * 8) for stage in (1, 2, 3, 4))
    return DecoderChannels(tuple(min(width, channels) for channels in upsample), ())


def _scaled(channels: tuple[int, ...], width: int) -> tuple[int, ...]:
    """Return channels in proportion to the width, as multiples of 8, from 8 to the width."""
    return tuple(max(8, min(width, round(c * width / REFERENCE_WIDTH / 8) * 8)) for c in channels)
