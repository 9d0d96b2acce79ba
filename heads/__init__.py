"""Heads: one file a task."""

from sapiens2_lit.heads.base import DecoderHead, Head
from sapiens2_lit.heads.pose import PoseHead
from sapiens2_lit.heads.segmentation import SegmentationHead

__all__ = ["DecoderHead", "Head", "PoseHead", "SegmentationHead"]
