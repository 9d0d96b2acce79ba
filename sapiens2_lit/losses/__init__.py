"""Losses: small modules on tensors and masks, one file a family."""

from sapiens2_lit.losses.pose import KeypointMSE, KeypointOHKM

__all__ = ["KeypointMSE", "KeypointOHKM"]
