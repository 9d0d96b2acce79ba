from .udp import UDPHeatmapCodec

__all__ = ["UDPHeatmapCodec"]
