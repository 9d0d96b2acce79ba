"""Keypoints to heatmaps and back."""

from sapiens2_lit.codecs.udp import UDPHeatmapCodec

__all__ = ["UDPHeatmapCodec"]
