"""Heads: one file a task."""

from sapiens2_lit.heads.albedo import AlbedoHead
from sapiens2_lit.heads.base import DecoderHead, Head
from sapiens2_lit.heads.depth import DepthHead
from sapiens2_lit.heads.linear import LinearHead
from sapiens2_lit.heads.matting import MattingHead
from sapiens2_lit.heads.normal import NormalHead
from sapiens2_lit.heads.pointmap import PointmapHead
from sapiens2_lit.heads.pose import PoseHead
from sapiens2_lit.heads.segmentation import SegmentationHead
from sapiens2_lit.heads.smp import SMPHead

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
