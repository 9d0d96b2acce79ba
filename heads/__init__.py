"""Heads: one file a task."""

from sapiens2_lit.heads.base import DecoderHead, Head
from sapiens2_lit.heads.pose import PoseHead

__all__ = ["DecoderHead", "Head", "PoseHead"]
