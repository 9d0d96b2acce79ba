from .albedo import AlbedoChromaticity, AlbedoGradient, AlbedoL1
from .depth import GradientMatching, ScaleShiftInvariantL1, SiLog
from .masked import DenseTerm
from .matting import (
    AlphaCrossEntropy,
    AlphaGradient,
    AlphaL1,
    AlphaLaplacian,
    CompositeL1,
    ForegroundL1,
)
from .normal import NormalAngle, NormalCosine, NormalGradient, NormalL1
from .pointmap import (
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
from .pose import KeypointMSE, KeypointOHKM
from .segmentation import BalancedCrossEntropy, CrossEntropy, Dice
from .skip_unlabelled import SkipUnlabelled

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
