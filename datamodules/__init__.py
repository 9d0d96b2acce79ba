"""Data for Lightning, one file a task."""

from sapiens2_lit.datamodules.pose import PoseDataModule, PoseSource
from sapiens2_lit.datamodules.segmentation import SegmentationDataModule
from sapiens2_lit.datamodules.synthetic import SyntheticDataModule

__all__ = ["PoseDataModule", "PoseSource", "SegmentationDataModule", "SyntheticDataModule"]
