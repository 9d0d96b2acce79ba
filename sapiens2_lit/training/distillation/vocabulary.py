"""Match the teacher's keypoints or classes with the student's by name."""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from sapiens2_lit.checkpoints.head_names import HeadNames, names_of
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.vocabularies.synonyms import match_names

_log = logging.getLogger(__name__)
_LISTED = 12  # largest number of names in a message


@dataclass(frozen=True)
class Rows:
    """The teacher's channel for each channel of the student.

    Attributes:
        index: The teacher's channel, by the student's channel.
        known: Whether the teacher has the channel at all.
        whole: Whether the teacher has no other channels.
    """

    index: tuple[int, ...]
    known: tuple[bool, ...]
    whole: bool

    def take(self, outputs: Tensor) -> Tensor:
        """Return the teacher's outputs (B, C, H, W) in the student's order; missing channels are arbitrary ones."""
        if self.index == tuple(range(outputs.shape[1])):
            return outputs
        return outputs[:, torch.tensor(self.index, device=outputs.device)]

    def mask(self, like: Tensor) -> Tensor:
        """Return 1 for channels that the teacher has, else 0, (K,)."""
        return like.new_tensor([float(one) for one in self.known])


def find_rows(name: str, head: Head, teacher: Head, origin: str) -> Rows | None:
    """Match the vocabularies of two heads of one task; None for tasks without one.

    Keypoints that the teacher lacks are not taught. Classes share each pixel, so the teacher must have all of them.

    Args:
        name: Name of the student's head, for messages.
        head: The student's head.
        teacher: The teacher's head.
        origin: The teacher's file, for messages.

    Raises:
        SettingError: The teacher lacks all keypoints, or a class; or two classes match one of the teacher's.
    """
    own, theirs = (vocabulary_of(one) for one in (head, teacher))
    if own is None or theirs is None:
        return None
    matches = match_names(own.names, theirs.names, own.kind)
    missing = [word for word, match in zip(own.names, matches, strict=True) if match is None]
    rows = tuple(0 if match is None else match.row for match in matches)
    what = (
        f"model.teacher: {origin} has other {own.kind} ({theirs.name or 'its own'}) than model.heads.{name}"
    )
    remedy = f"Give the head the teacher's vocabulary, or leave {name} out of model.teacher.heads and label by hand"
    if own.kind == "classes" and (missing or len(set(rows)) < len(rows)):
        lacks = f"it lacks {listed(missing)}" if missing else "several of the head's match one of its classes"
        raise SettingError(f"{what} ({own.name or 'its own'}), and {lacks}. {remedy}")
    if len(missing) == len(own.names):
        raise SettingError(f"{what} ({own.name or 'its own'}), and none has the same name. {remedy}")
    if missing:
        _log.warning(
            "%s: %d of %d are mapped by name, the others are not taught: %s",
            what, len(own.names) - len(missing), len(own.names), listed(missing),
        )  # fmt: skip
    known = tuple(match is not None for match in matches)
    return Rows(rows, known, len(theirs.names) == len(own.names))


def vocabulary_of(head: Head) -> HeadNames | None:
    """Return the names of a head's channels, None if they have no names."""
    vocabulary = head.skeleton or head.classes
    return None if vocabulary is None else names_of(vocabulary)


def listed(names: list[str]) -> str:
    """Return some names as text, cut after a few."""
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
