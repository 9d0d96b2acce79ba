"""Hold a stable share of one dataset's pictures out of training: `data.val 0.1`."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from sapiens2_lit.errors import DataError, SettingError

PICTURE, FOLDER = "picture", "folder"  # ways of grouping that are no field of an annotation file
# fields of `images` that tell which pictures show the same person or scene, the best first
GROUP_FIELDS = ("subject", "subject_id", "person_id", "video", "video_id", "vid_id", "video_name", "sequence",
                "sequence_id", "session", "session_id", "clip", "clip_id")  # fmt: skip

_log = logging.getLogger(__name__)


class HeldOut(Protocol):
    """Chooses the keys of a dataset (pictures, subjects, videos) that are held out for validation."""

    def choose(self, keys: Iterable[str]) -> set[str]:
        """Return the held-out keys."""
        ...


@dataclass(frozen=True)
class Share:
    """A share of a dataset to validate on; the rest is trained on.

    A picture's side depends on its hash, so it stays when pictures are added or removed. If no hash falls on one side,
    which happens with few pictures, the nearest one is put there.

    Attributes:
        fraction: of the pictures, above 0 and below 1.
    """

    fraction: float

    def choose(self, keys: Iterable[str]) -> set[str]:
        """Return the held-out keys: at least one, and never all of two or more keys."""
        ordered = sorted(set(keys), key=lambda key: (hash_place(f"val {key}"), key))
        count = sum(hash_place(f"val {key}") < self.fraction for key in ordered)
        return set(ordered[: min(max(count, 1), len(ordered) - 1)])

    def __str__(self) -> str:
        return f"{self.fraction:g}"


def read_share(setting: float | str | None, name: str = "data.val") -> Share | None:
    """Return the share of the training data that a split's setting asks for; None if it is a file or null.

    Raises:
        SettingError: the number is no share.
    """
    if setting is None or isinstance(setting, str):
        return None
    if not 0 < setting < 1:
        raise SettingError(
            f"{name} is {setting:g}, expected a share of the training pictures above 0 and below 1, such as 0.1, a "
            "file, or null."
        )
    return Share(float(setting))


def split_off(keys: Sequence[str], held_out: HeldOut, split: str, where: str, setting: str) -> list[bool]:
    """Return for each entry, by its key, whether it belongs to a split.

    Args:
        keys: of every entry; entries with the same key stay together.
        held_out: chooses the keys.
        split: `train` or `val`.
        where: the file or folder, for messages.
        setting: the setting with its value, for messages.

    Raises:
        DataError: the split gets no entry.
    """
    chosen = held_out.choose(keys)
    kept = [(key in chosen) == (split == "val") for key in keys]
    if keys and not any(kept):
        raise DataError(
            f"{where}: none of {len(set(keys))} pictures belongs to `{split}` of {setting}: "
            + ("take fewer folds." if setting.startswith("data.fold") else "it takes two pictures or more.")
        )
    return kept


def group_keys(images: Sequence[Any], group_by: str | None, where: str) -> list[str]:
    """Return the key of each entry of `images` in an annotation file: a split never separates pictures of one key.

    Args:
        images: the list of the file.
        group_by: a field of its entries, `picture`, `folder`, or None for a field of `GROUP_FIELDS` that all entries
            have, else `picture`.
        where: the file, for messages.

    Raises:
        DataError: `group_by` is not a field of every entry.
    """
    entries = [image if isinstance(image, dict) else {} for image in images]
    names = [str(entry.get("file_name") or entry.get("id")) for entry in entries]
    if group_by is None:
        group_by = _telling_field(entries, where)
    if group_by in (PICTURE, FOLDER):
        return folder_keys(names, group_by)
    if missing := [name for name, entry in zip(names, entries, strict=True) if entry.get(group_by) is None]:
        fields = sorted({field for entry in entries for field in entry})
        raise DataError(
            f"{where}: data.group_by is {group_by!r}, and {len(missing)} of {len(entries)} images have no such field, "
            f"such as {missing[0]}; found {', '.join(fields)}; `picture` and `folder` are possible as well."
        )
    return [f"{group_by} {entry[group_by]}" for entry in entries]


def folder_keys(names: Sequence[str], group_by: str) -> list[str]:
    """Return the key of each picture by its name: its stem, or its folder."""
    paths = [PurePosixPath(name.replace("\\", "/")) for name in names]
    if group_by == FOLDER:
        return [path.parent.as_posix() for path in paths]
    return [path.with_suffix("").as_posix() for path in paths]


def _telling_field(entries: Sequence[dict[str, Any]], where: str) -> str:
    for field in GROUP_FIELDS:
        groups = {str(entry.get(field)) for entry in entries if entry.get(field) is not None}
        if len(groups) > 1 and all(entry.get(field) is not None for entry in entries):
            _log.info(
                "%s: split by `%s`, with %d different values (data.group_by).", where, field, len(groups)
            )
            return field
    return PICTURE


def hash_place(key: str) -> float:
    """Return a number in [0, 1) that depends only on the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) / 2**48
