"""Metrics: torchmetrics classes, one file a family."""

from sapiens2_lit.metrics.keypoint_ap import KeypointAP
from sapiens2_lit.metrics.oks import oks_nms, person_score
from sapiens2_lit.metrics.pck import PCK
from sapiens2_lit.metrics.segmentation import SegmentationIoU

__all__ = ["PCK", "KeypointAP", "SegmentationIoU", "oks_nms", "person_score"]
