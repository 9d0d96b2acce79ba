"""Data for Lightning, one file a task."""

from sapiens2_lit.datamodules.albedo import AlbedoDataModule
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.datamodules.depth import DepthDataModule
from sapiens2_lit.datamodules.matting import MattingDataModule
from sapiens2_lit.datamodules.multitask import MultitaskDataModule
from sapiens2_lit.datamodules.normal import NormalDataModule
from sapiens2_lit.datamodules.pointmap import PointmapDataModule
from sapiens2_lit.datamodules.pose import PoseDataModule, PoseSource
from sapiens2_lit.datamodules.segmentation import SegmentationDataModule
from sapiens2_lit.datamodules.synthetic import SyntheticDataModule

__all__ = [
    "AlbedoDataModule",
    "DenseDataModule",
    "DepthDataModule",
    "MattingDataModule",
    "MultitaskDataModule",
    "NormalDataModule",
    "PointmapDataModule",
    "PoseDataModule",
    "PoseSource",
    "SegmentationDataModule",
    "SyntheticDataModule",
]
