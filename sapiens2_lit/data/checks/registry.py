"""All checks there are, in the order in which they run."""

from sapiens2_lit.data.checks import photographs, pose_entries, pose_names, pose_places, pose_units, splits
from sapiens2_lit.data.checks.check import AnyCheck

CHECKS: tuple[AnyCheck, ...] = (
    pose_entries.BadEntries(),
    pose_units.UnitCoordinates(),
    pose_units.PerCentCoordinates(),
    pose_units.CornerBoxes(),
    pose_places.PointsOutsideImage(),
    pose_places.PointsOutsideBox(),
    pose_places.ExchangedCoordinates(),
    pose_places.MissingAsLabelled(),
    pose_places.FlatBoxes(),
    pose_places.Areas(),
    pose_entries.MostLabelsDropped(),
    pose_names.NoMirrorPairs(),
    pose_names.FewKnownPoints(),
    pose_names.OtherCategories(),
    pose_names.PointsNeverOccur(),
    pose_names.NamesTaken(),
    pose_names.DrawingLines(),
    photographs.DamagedImages(),
    photographs.WrongSizes(),
    photographs.TurnedImages(),
    photographs.TwelveBits(),
    splits.SameFileInSplits(),
    splits.SameBytesInSplits(),
    splits.SimilarInSplits(),
)
