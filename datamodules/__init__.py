"""Data for Lightning, one file a task."""

from sapiens2_lit.datamodules.pose import PoseDataModule, PoseSource

__all__ = ["PoseDataModule", "PoseSource"]
