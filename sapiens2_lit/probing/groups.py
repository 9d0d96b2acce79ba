"""Check that splits share nothing: no subject or video, and no picture, whatever its name."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from sapiens2_lit.data.checks import run_checks
from sapiens2_lit.data.checks.splits import SameBytesInSplits, SameFileInSplits, SimilarInSplits, Splits
from sapiens2_lit.errors import DataError, SettingError

Group = Callable[[str], str]
FOLDER = "folder"


def group_among(setting: str, stems: Iterable[str]) -> Group | None:
    """Return the grouping by `data.group` for these stems; a single folder with all of them is not a subject or video.

    Raises:
        SettingError: It is not a regular expression with a group.
    """
    group = group_of(setting)
    if setting == FOLDER and group is not None:
        known = list(stems)
        if len(known) > 1 and len(set(map(group, known))) == 1:
            return None
    return group


def group_of(setting: str) -> Group | None:
    """Return the function of `data.group` from a stem to its subject or video; None if every picture stands alone.

    Raises:
        SettingError: It is not a regular expression with a group.
    """
    if setting == "none":
        return None
    if setting == FOLDER:
        return lambda stem: stem.rpartition("/")[0] or stem
    try:
        pattern = re.compile(setting)
    except re.error as error:
        raise SettingError(f"data.group: {setting!r} is not a regular expression: {error}") from error
    if not pattern.groups:
        raise SettingError(
            f"data.group: found {setting!r}, expected folder, none, or a regular expression with a group for the "
            "subject or video, such as '^(s[0-9]+)_'"
        )

    def group(stem: str) -> str:
        found = pattern.search(stem)
        return found[1] if found and found[1] else stem

    return group


def expect_apart(where: str, stems: Mapping[str, Sequence[str]], group: Group | None) -> None:
    """Check that no subject or video is in two splits.

    Args:
        where: The dataset, for messages.
        stems: By split.
        group: The subject or video of a stem, or None.

    Raises:
        DataError: Naming one that is.
    """
    if group is None:
        return
    seen: dict[str, tuple[str, str]] = {}
    for split, names in stems.items():
        for stem in names:
            first_split, first = seen.setdefault(group(stem), (split, stem))
            if first_split != split:
                raise DataError(
                    f"{where}: {first} is in {first_split} and {stem} in {split}, of the same subject or video "
                    f"({group(stem)}): put all of its pictures into one split, or set data.group"
                )


def expect_other_files(where: str, files: Mapping[str, Sequence[Path]]) -> None:
    """Check that no picture is in two splits: by name, by bytes, or with another size or compression.

    Raises:
        DataError: Naming all that are.
    """
    checks = (SameFileInSplits(), SameBytesInSplits(), SimilarInSplits())
    report = run_checks([Splits(where, files)], checks, quick=False)
    if report.findings:
        lines = []
        for one in report.findings:
            shown = "; ".join(str(example) for example in one.examples)
            lines.append(f"{one.where}: {one.message} {shown}".rstrip())
        raise DataError(
            "the same picture is in two splits, so that scores would be those of memorized pictures:\n  "
            + "\n  ".join(lines)
        )


def expect_other_pixels(marks: Mapping[str, Tensor], samples: Mapping[str, Sequence[str]]) -> None:
    """Check that no picture is in two splits as the network sees it.

    Args:
        marks: By split, (N,) hashes of the pixels.
        samples: By split, names of the pictures for messages.

    Raises:
        DataError: Naming two that are the same.
    """
    seen: dict[int, tuple[str, str]] = {}
    for split, values in marks.items():
        for mark, sample in zip(values.tolist(), samples[split], strict=True):
            first_split, first = seen.setdefault(mark, (split, sample))
            if first_split != split:
                raise DataError(
                    f"the same picture is in two splits: {first} ({first_split}) and {sample} ({split}) have the "
                    "same pixels: take it out of one of them"
                )
