"""All checks there are, in the order in which they run."""

from sapiens2_lit.data.checks.cameras import StretchedPixels
from sapiens2_lit.data.checks.check import AnyCheck
from sapiens2_lit.data.checks.depths import DepthUnit, FlatDepth, StretchedDepth, UnmeasuredDepth
from sapiens2_lit.data.checks.label_files import BrokenLabels
from sapiens2_lit.data.checks.masks import (
    AbsentClasses,
    IgnoredPeople,
    OneClass,
    PaletteMasks,
    UnpairedClasses,
)
from sapiens2_lit.data.checks.mattes import ColorRange, HardMattes, MatteRange, Trimaps
from sapiens2_lit.data.checks.normals import FlatNormals, NormalAxes, NormalsAgainstDepth, WorldNormals

CHECKS: tuple[AnyCheck, ...] = (
    BrokenLabels(),
    IgnoredPeople(),
    OneClass(),
    AbsentClasses(),
    UnpairedClasses(),
    PaletteMasks(),
    NormalAxes(),
    WorldNormals(),
    FlatNormals(),
    NormalsAgainstDepth(),
    UnmeasuredDepth(),
    FlatDepth(),
    DepthUnit(),
    StretchedDepth(),
    StretchedPixels(),
    Trimaps(),
    MatteRange(),
    HardMattes(),
    ColorRange(),
)
