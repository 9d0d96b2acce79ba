"""Checks of keypoint names: known ones, unknown ones, mirror partners."""

from collections.abc import Iterator
from dataclasses import dataclass

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding
from sapiens2_lit.data.checks.pose_labels import PoseLabels
from sapiens2_lit.vocabularies import Skeleton, load_skeleton
from sapiens2_lit.vocabularies.file import SUFFIXES
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED
from sapiens2_lit.vocabularies.spelling import describe_pairs, has_side
from sapiens2_lit.vocabularies.synonyms import match_names

_SHOWN_NAMES = 20
_ENOUGH_PEOPLE = 100  # people from which on every point should occur
_SEVERAL_POINTS = 4  # a vocabulary of fewer points may have no sides


@dataclass(frozen=True)
class Mirroring:
    """Whether and how training mirrors images.

    Attributes:
        where: for messages.
        skeleton: the vocabulary for training, with mirror partners.
        flip: probability of a mirror image.
    """

    where: str
    skeleton: Skeleton
    flip: float


class FewKnownPoints(Check[PoseLabels]):
    """Files whose points are mostly unknown to the skeleton, or cover little of it."""

    name = "few_known_points"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        if is_shipped(subject.source) and is_shipped(subject.skeleton):
            return
        known = {subject.source.keypoints[place] for place in subject.columns if place >= 0}
        unknown = [name for name in subject.source.keypoints if name not in known]
        total, wanted = subject.source.num_keypoints, subject.skeleton.num_keypoints
        if len(known) >= 0.5 * total and len(known) >= 0.1 * wanted:
            return
        names_points = subject.path.suffix.lower() in SUFFIXES
        file = f"--model.heads.NAME.skeleton {subject.path if names_points else 'FILE.yaml'}"
        if unknown:
            rest = f"unknown are {_names(unknown)}"
            also = _other_words(unknown, subject.skeleton)
            remedy = f"for a vocabulary with these points: {file} (docs/pose.md); or give both the same names{also}"
        else:
            rest = f"the other {wanted - len(known)} have no labels here"
            remedy = f"to predict only these points: {file}; rows of released weights are taken over by name"
        yield self.finding(
            subject,
            f"{len(known)} of the file's {total} points are among the {wanted} of {subject.skeleton.name}; {rest}.",
            remedy,
            count=len(unknown),
            total=total,
            examples=(
                Example(str(subject.path), "categories", "keypoints", f"has {name}") for name in unknown
            ),
        )


class OtherCategories(Check[PoseLabels]):
    """Labels of other categories, which are all dropped."""

    name = "other_categories"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        others = subject.notes.other_categories
        count, kept = sum(others.values()), len(subject.image)
        if not count:
            return
        listed = ", ".join(f"{number} of '{name}'" for name, number in others.items())
        yield self.finding(
            subject,
            f"annotations of other categories are left out: {listed}; {kept} are kept.",
            "put all points of a person into one category, or train on the other one by a `skeleton` with its names"
            if count > kept / 4
            else "",
            count=count,
            total=count + kept,
            severity="warning" if count > kept / 4 else "note",
        )


class NoMirrorPairs(Check[Mirroring]):
    """Mirrored images without known left and right points: left would be learned as right."""

    name = "no_mirror_pairs"
    looks_at = Mirroring
    severity = "error"

    def look(self, subject: Mirroring, sampling: Sampling) -> Iterator[Finding]:
        skeleton = subject.skeleton
        if skeleton.swaps_given or not subject.flip or skeleton.num_keypoints < _SEVERAL_POINTS:
            return
        paired = [place for place, partner in enumerate(skeleton.swap) if partner != place]
        alone = [name for name, partner in zip(skeleton.keypoints, skeleton.swap, strict=True)
                 if skeleton.keypoints[partner] == name and has_side(name)]  # fmt: skip
        if not paired:
            yield self.finding(
                subject,
                f"none of the {skeleton.num_keypoints} points of {skeleton.name} ({_names(skeleton.keypoints, 4)}) has "
                "a mirror partner, and training and the flip test mirror images: left would be learned as right.",
                "write `swaps: [[left, right], ...]` by names or indices into the skeleton's file, `swaps: []` if "
                "there are none; or switch mirroring off by --data.augment.flip 0 and --model.flip_test false",
                count=skeleton.num_keypoints,
                total=skeleton.num_keypoints,
            )
        elif alone:
            yield self.finding(
                subject,
                f"{len(alone)} points of {skeleton.name} have a side in their name and no mirror partner: "
                f"{_names(alone)}.",
                "write `swaps: [[left, right], ...]` into the skeleton's file",
                count=len(alone),
                total=skeleton.num_keypoints,
                severity="warning",
            )
        else:
            yield self.finding(
                subject,
                f"{len(paired) // 2} pairs of left and right were found by name: "
                f"{describe_pairs(skeleton.keypoints, skeleton.swap)}.",
                count=len(paired) // 2,
                total=skeleton.num_keypoints,
                severity="note",
            )


class DrawingLines(Check[PoseLabels]):
    """Lines for drawing that do not fit the points; training does not use them."""

    name = "drawing_lines"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        if subject.notes.links:
            yield self.finding(
                subject,
                f"{subject.notes.links}; none of them is used, which changes nothing but pictures.",
                "",
                count=1,
                total=1,
                severity="note",
            )


class NamesTaken(Check[PoseLabels]):
    """Names that differ between file and skeleton: used by position, spelled otherwise, or from another field."""

    name = "names_taken"
    looks_at = PoseLabels
    severity = "note"

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        notes, count = subject.notes, subject.source.num_keypoints
        if notes.unnamed:
            yield self.finding(
                subject,
                f"the file has no names for its {count} points; {subject.skeleton.name}'s names are used, in their "
                "order.",
                count=count,
                total=count,
            )
        if notes.respelled:
            shown = [f"'{theirs}' is {ours}" for theirs, ours in notes.respelled.items()]
            yield self.finding(
                subject,
                f"{len(shown)} names are spelled otherwise in {subject.skeleton.name}: {_names(shown, 5)}.",
                count=len(shown),
                total=count,
            )
        if notes.points_field != "keypoints":
            yield self.finding(
                subject,
                f"the {count} points are read from `{notes.points_field}`: `keypoints` has another number of points.",
                count=count,
                total=count,
            )


class PointsNeverOccur(Check[PoseLabels]):
    """Points of skeleton and file that no person has."""

    name = "points_never_occur"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        people = int(subject.usable.sum())
        columns = subject.columns
        counts = subject.taught[subject.usable].sum(axis=0)
        never = [subject.skeleton.keypoints[place] for place, column in enumerate(columns)
                 if column >= 0 and counts[column] == 0]  # fmt: skip
        if not never or not people:
            return
        yield self.finding(
            subject,
            f"{len(never)} of {(columns >= 0).sum()} points never occur among {people} people: {_names(never)}; they "
            "are not learned.",
            "check whether they were exported; a `skeleton` without them trains only the others"
            if people >= _ENOUGH_PEOPLE
            else "",
            count=len(never),
            total=(columns >= 0).sum(),
            severity="warning" if people >= _ENOUGH_PEOPLE else "note",
        )


def is_shipped(skeleton: Skeleton) -> bool:
    """Whether the names are those of a shipped vocabulary, whose overlap is expected."""
    return any(load_skeleton(name).keypoints == skeleton.keypoints for name in SHIPPED)


def _other_words(unknown: list[str], skeleton: Skeleton) -> str:
    """Return which unknown names are synonyms of points of the skeleton; empty for none."""
    matches = match_names(unknown, skeleton.keypoints, "keypoints")
    shown = [f"'{match.name}' may be {match.source}" for match in matches if match is not None]
    return f" ({_names(shown, 5)})" if shown else ""


def _names(names: "list[str] | tuple[str, ...]", most: int = _SHOWN_NAMES) -> str:
    hidden = len(names) - most
    return ", ".join(names[:most]) + (f" and {hidden} more" if hidden > 0 else "")
