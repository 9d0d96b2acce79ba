from .albedo import AlbedoErrors
from .boundary import BoundaryF1
from .class_boundary import ClassBoundaryF1
from .collect import collect
from .depth import DepthErrors
from .keypoint_ap import KeypointAP
from .matting import MattingErrors
from .normal import NormalAngles
from .oks import oks_nms, person_score
from .pck import PCK
from .pointmap import CameraErrors, PointErrors, SurfaceAngles
from .segmentation import SegmentationIoU

__all__ = [
    "PCK",
    "AlbedoErrors",
    "BoundaryF1",
    "CameraErrors",
    "ClassBoundaryF1",
    "DepthErrors",
    "KeypointAP",
    "MattingErrors",
    "NormalAngles",
    "PointErrors",
    "SegmentationIoU",
    "SurfaceAngles",
    "collect",
    "oks_nms",
    "person_score",
]
