"""Losses: small modules on tensors and masks, one file a family."""

from sapiens2_lit.losses.pose import KeypointMSE, KeypointOHKM
from sapiens2_lit.losses.segmentation import CrossEntropy, Dice

__all__ = ["CrossEntropy", "Dice", "KeypointMSE", "KeypointOHKM"]
