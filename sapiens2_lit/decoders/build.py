"""The decoder of a task, with the channels and names of the released one."""

from sapiens2_lit.decoders.deconv import DeconvDecoder
from sapiens2_lit.decoders.linear import LinearDecoder
from sapiens2_lit.decoders.pixel_shuffle import PixelShuffleDecoder
from sapiens2_lit.decoders.presets import RMS_TASKS, Kind, decoder_preset


def build_decoder(
    task: str, width: int, out_channels: int, kind: Kind, like: str | None = None
) -> DeconvDecoder | PixelShuffleDecoder | LinearDecoder:
    """A fresh decoder for a feature map `width` channels wide, whose last layer is called `conv_TASK`.

    Args:
        like: the released task whose channels and norms it takes, where `task` is not one of those.

    Raises:
        SettingError: an unknown task, without `like`, or kind.
    """
    predictor = f"conv_{task}"
    if kind == "linear":
        return LinearDecoder(width, out_channels, predictor, stride=4 if task == "pose" else 16)
    channels = decoder_preset(like or task, width, kind)
    if kind == "deconv":
        return DeconvDecoder(width, channels.upsample, channels.conv, out_channels, predictor)
    return PixelShuffleDecoder(
        width,
        channels.upsample,
        channels.conv,
        out_channels,
        predictor,
        norm="rms" if (like or task) in RMS_TASKS else "instance",
    )
