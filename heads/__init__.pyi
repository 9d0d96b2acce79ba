from .albedo import AlbedoHead
from .base import DecoderHead, Head
from .depth import DepthHead
from .linear import LinearHead
from .matting import MattingHead
from .normal import NormalHead
from .pointmap import PointmapHead
from .pose import PoseHead
from .segmentation import SegmentationHead
from .smp import SMPHead

__all__ = [
    "AlbedoHead",
    "DecoderHead",
    "DepthHead",
    "Head",
    "LinearHead",
    "MattingHead",
    "NormalHead",
    "PointmapHead",
    "PoseHead",
    "SMPHead",
    "SegmentationHead",
]
