"""Decoders: chains of named stages from a feature map to a prediction."""

from sapiens2_lit.decoders.build import build_decoder
from sapiens2_lit.decoders.deconv import DeconvDecoder
from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.pixel_shuffle import PixelShuffleDecoder
from sapiens2_lit.decoders.presets import DecoderChannels, decoder_preset
from sapiens2_lit.decoders.recompute import RECOMPUTE, Recompute, Unit, has_batch_norm, run_units, units_of

__all__ = [
    "RECOMPUTE",
    "DecoderChannels",
    "DeconvDecoder",
    "PixelShuffleDecoder",
    "Recompute",
    "Unit",
    "build_decoder",
    "decoder_preset",
    "has_batch_norm",
    "init_decoder",
    "run_units",
    "units_of",
]
