"""Build the decoder of a task, with the channels and names of the released one."""

from sapiens2_lit.decoders.deconv import DeconvDecoder
from sapiens2_lit.decoders.light import LightDecoder, SharedPart
from sapiens2_lit.decoders.linear import LinearDecoder
from sapiens2_lit.decoders.pixel_shuffle import PixelShuffleDecoder
from sapiens2_lit.decoders.presets import (
    DETAIL_TASKS,
    RMS_TASKS,
    Kind,
    decoder_preset,
    light_widths,
    released_kind,
    shared_widths,
)


def build_decoder(
    task: str, width: int, out_channels: int, kind: Kind, like: str | None = None
) -> DeconvDecoder | PixelShuffleDecoder | LightDecoder | SharedPart | LinearDecoder:
    """Build a decoder with new weights whose last layer is called `conv_TASK`.

    Args:
        task: Name of the task.
        width: Channels of the feature map.
        out_channels: Channels predicted.
        kind: `auto` is the released kind, because a network built in Python has no weights to look at (configurations
            use `choose_decoders`); `sapiens1` is the decoder of Sapiens v1; `shared` is the last part behind a shared
            decoder of a backbone with `width` channels.
        like: The released task whose channels and norms are used if `task` is not a released one.

    Raises:
        SettingError: The task is unknown and `like` is not given, or the kind is unknown.
    """
    predictor = f"conv_{task}"
    kind = released_kind(like or task) if kind == "auto" else kind
    if kind == "linear":
        return LinearDecoder(width, out_channels, predictor, stride=4 if task == "pose" else 16)
    if kind == "light":
        return LightDecoder(
            width,
            light_widths(like or task, width),
            out_channels,
            predictor,
            full_size=(like or task) != "pose",
            detail=(like or task) in DETAIL_TASKS,
        )
    if kind == "shared":
        return SharedPart(
            shared_widths(width)[-1], out_channels, predictor, full_size=(like or task) != "pose"
        )
    channels = decoder_preset(like or task, width, kind)
    if kind in ("deconv", "sapiens1"):
        return DeconvDecoder(width, channels.upsample, channels.conv, out_channels, predictor)
    return PixelShuffleDecoder(
        width,
        channels.upsample,
        channels.conv,
        out_channels,
        predictor,
        norm="rms" if (like or task) in RMS_TASKS else "instance",
    )
