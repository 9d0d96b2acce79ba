"""Losses: small modules on tensors and masks, one file a family."""

from sapiens2_lit.losses.albedo import AlbedoChromaticity, AlbedoGradient, AlbedoL1
from sapiens2_lit.losses.depth import GradientMatching, ScaleShiftInvariantL1, SiLog
from sapiens2_lit.losses.masked import DenseTerm
from sapiens2_lit.losses.matting import (
    AlphaCrossEntropy,
    AlphaGradient,
    AlphaL1,
    AlphaLaplacian,
    CompositeL1,
    ForegroundL1,
)
from sapiens2_lit.losses.normal import NormalAngle, NormalCosine, NormalGradient, NormalL1
from sapiens2_lit.losses.pointmap import (
    PointAligned,
    PointCentroidL1,
    PointIntrinsics,
    PointL1,
    PointMultiscaleL1,
    PointNormal,
    PointScale,
    PointSiLog,
    PointTerm,
)
from sapiens2_lit.losses.pose import KeypointMSE, KeypointOHKM
from sapiens2_lit.losses.segmentation import BalancedCrossEntropy, CrossEntropy, Dice
from sapiens2_lit.losses.skip_unlabelled import SkipUnlabelled

__all__ = [
    "AlbedoChromaticity",
    "AlbedoGradient",
    "AlbedoL1",
    "AlphaCrossEntropy",
    "AlphaGradient",
    "AlphaL1",
    "AlphaLaplacian",
    "BalancedCrossEntropy",
    "CompositeL1",
    "CrossEntropy",
    "DenseTerm",
    "Dice",
    "ForegroundL1",
    "GradientMatching",
    "KeypointMSE",
    "KeypointOHKM",
    "NormalAngle",
    "NormalCosine",
    "NormalGradient",
    "NormalL1",
    "PointAligned",
    "PointCentroidL1",
    "PointIntrinsics",
    "PointL1",
    "PointMultiscaleL1",
    "PointNormal",
    "PointScale",
    "PointSiLog",
    "PointTerm",
    "ScaleShiftInvariantL1",
    "SiLog",
    "SkipUnlabelled",
]
