"""Metrics: torchmetrics classes, one file a family."""

from sapiens2_lit.metrics.albedo import AlbedoErrors
from sapiens2_lit.metrics.boundary import BoundaryF1
from sapiens2_lit.metrics.depth import DepthErrors
from sapiens2_lit.metrics.keypoint_ap import KeypointAP
from sapiens2_lit.metrics.matting import MattingErrors
from sapiens2_lit.metrics.normal import NormalAngles
from sapiens2_lit.metrics.oks import oks_nms, person_score
from sapiens2_lit.metrics.pck import PCK
from sapiens2_lit.metrics.pointmap import CameraErrors, PointErrors, SurfaceAngles
from sapiens2_lit.metrics.segmentation import SegmentationIoU

__all__ = [
    "PCK",
    "AlbedoErrors",
    "BoundaryF1",
    "CameraErrors",
    "DepthErrors",
    "KeypointAP",
    "MattingErrors",
    "NormalAngles",
    "PointErrors",
    "SegmentationIoU",
    "SurfaceAngles",
    "oks_nms",
    "person_score",
]
