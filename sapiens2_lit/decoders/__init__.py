"""Decoders: chains of named stages from a feature map to a prediction."""

from sapiens2_lit.decoders.build import build_decoder
from sapiens2_lit.decoders.deconv import DeconvDecoder
from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.pixel_shuffle import PixelShuffleDecoder
from sapiens2_lit.decoders.presets import DecoderChannels, decoder_preset

__all__ = [
    "DecoderChannels",
    "DeconvDecoder",
    "PixelShuffleDecoder",
    "build_decoder",
    "decoder_preset",
    "init_decoder",
]
