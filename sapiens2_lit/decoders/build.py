"""The decoder of a task, with the channels and names of the released one."""

from sapiens2_lit.decoders.deconv import DeconvDecoder
from sapiens2_lit.decoders.linear import LinearDecoder
from sapiens2_lit.decoders.pixel_shuffle import PixelShuffleDecoder
from sapiens2_lit.decoders.presets import Kind, decoder_preset

# Albedo as released. Depth was not; InstanceNorm would take from it how large a person is in the picture.
RMS_TASKS = ("albedo", "depth")


def build_decoder(
    task: str, width: int, out_channels: int, kind: Kind
) -> DeconvDecoder | PixelShuffleDecoder | LinearDecoder:
    """A fresh decoder for a feature map `width` channels wide, whose last layer is called `conv_TASK`.

    Raises:
        SettingError: an unknown task or kind.
    """
    predictor = f"conv_{task}"
    if kind == "linear":
        return LinearDecoder(width, out_channels, predictor, stride=4 if task == "pose" else 16)
    channels = decoder_preset(task, width, kind)
    if kind == "deconv":
        return DeconvDecoder(width, channels.upsample, channels.conv, out_channels, predictor)
    return PixelShuffleDecoder(
        width,
        channels.upsample,
        channels.conv,
        out_channels,
        predictor,
        norm="rms" if task in RMS_TASKS else "instance",
    )
