"""Checks of entries of keypoint files that cannot be used, and of labels that are dropped."""

from collections.abc import Iterator

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding, counted
from sapiens2_lit.data.checks.pose_labels import PoseLabels


class BadEntries(Check[PoseLabels]):
    """Images and annotations that cannot be read."""

    name = "bad_entries"
    looks_at = PoseLabels
    severity = "error"
    can_be_meant = False

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        notes = subject.notes
        if not notes.bad:
            return
        skips = notes.on_bad == "skip"
        remedies = [*notes.hints] if skips else [*notes.hints, "--data.on_bad skip leaves them out"]
        images = f"{counted(notes.bad_images, 'image')} and " if notes.bad_images else ""
        yield self.finding(
            subject,
            f"{images}{counted(notes.bad_people, 'annotation')} cannot be used"
            + (" and are left out." if skips else "."),
            "; ".join(remedies),
            count=notes.bad_count,
            total=len(subject.image) + len(subject.file_name),
            examples=notes.bad,
            severity="warning" if skips else "error",
        )


class MovedImages(Check[PoseLabels]):
    """Image names from another machine, such as a server, that were found by the ends of their paths."""

    name = "moved_images"
    looks_at = PoseLabels
    severity = "note"

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        if subject.notes.moved is None:
            return
        there, here = subject.notes.moved
        yield self.finding(
            subject,
            f"image names are from another machine and were found by their ends: {there} is {here} in {subject.folder}",
            "",
            count=len(subject.file_name),
            total=len(subject.file_name),
        )


class MostLabelsDropped(Check[PoseLabels]):
    """A file of which more than half of the labeled people are left out."""

    name = "most_labels_dropped"
    looks_at = PoseLabels

    def look(self, subject: PoseLabels, sampling: Sampling) -> Iterator[Finding]:
        others = sum(subject.notes.other_categories.values())
        unused = int((subject.people & ~subject.usable).sum()) + int(subject.crowd.sum())
        dropped = unused + others + subject.notes.bad_people
        used = int(subject.usable.sum())
        if dropped <= used:
            return
        reasons = ", ".join(
            f"{count} {reason}"
            for reason, count in subject.skipped.items()
            if reason != "without labeled keypoints"
        )
        yield self.finding(
            subject,
            f"{dropped} of {dropped + used} labeled people are left out: {reasons or 'no point is known'}.",
            "look at the reasons above; `iscrowd: 1` leaves a person out, and so does another `category_id`",
            count=dropped,
            total=dropped + used,
        )
