from .albedo import AlbedoDataModule
from .dense import DenseDataModule
from .depth import DepthDataModule
from .matting import MattingDataModule
from .multitask import MultitaskDataModule
from .normal import NormalDataModule
from .pointmap import PointmapDataModule
from .pose import PoseDataModule, PoseSource
from .segmentation import SegmentationDataModule
from .synthetic import SyntheticDataModule
from .unlabeled import UnlabeledDataModule

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
    "UnlabeledDataModule",
]
