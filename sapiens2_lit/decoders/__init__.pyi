from .build import build_decoder
from .deconv import DeconvDecoder
from .init import init_decoder
from .pixel_shuffle import PixelShuffleDecoder
from .presets import DecoderChannels, decoder_preset
from .recompute import RECOMPUTE, Recompute, Unit, has_batch_norm, run_units, units_of

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
