from .build import build_decoder
from .chain import Unit, units_of
from .decoding import Decoding
from .deconv import DeconvDecoder
from .init import init_decoder
from .light import LightDecoder, LightTrunk, SharedPart, add_detail
from .pixel_shuffle import PixelShuffleDecoder
from .presets import (
    DecoderChannels,
    Kind,
    decoder_preset,
    kind_of,
    recommended_kind,
    released_kind,
    shared_widths,
)
from .recompute import RECOMPUTE, Recompute, has_batch_norm, run_units

__all__ = [
    "RECOMPUTE",
    "DecoderChannels",
    "Decoding",
    "DeconvDecoder",
    "Kind",
    "LightDecoder",
    "LightTrunk",
    "PixelShuffleDecoder",
    "Recompute",
    "SharedPart",
    "Unit",
    "add_detail",
    "build_decoder",
    "decoder_preset",
    "has_batch_norm",
    "init_decoder",
    "kind_of",
    "recommended_kind",
    "released_kind",
    "run_units",
    "shared_widths",
    "units_of",
]
