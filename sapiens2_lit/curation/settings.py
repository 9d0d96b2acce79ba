"""Settings of a selection, as written in its YAML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from sapiens2_lit.curation.hashes import LONG_BITS
from sapiens2_lit.errors import SettingError

KEYS = ("cuts", "duplicates", "near_duplicates", "clusters", "sample", "seed")
BOUNDS = ("min", "max", "equals")


@dataclass(frozen=True)
class Cut:
    """One bound of one column; a picture without a value does not pass.

    Attributes:
        column: Its name.
        bound: `min`, `max` or `equals`.
        value: The least, the greatest or the only value that passes.
    """

    column: str
    bound: str
    value: Any

    def __str__(self) -> str:
        return f"{self.column} {self.bound} {self.value}"


@dataclass(frozen=True)
class SelectSettings:
    """The stages of a selection, in this order.

    Attributes:
        cuts: Bounds over columns.
        duplicates: Bits of 256 in which perceptual hashes of duplicates differ at most; None drops only files that are
            equal byte for byte.
        near_duplicates: Least cosine of the embeddings of near-duplicates; None keeps them.
        clusters: Falling numbers of clusters of each level; empty for a sample without balance.
        sample: Pictures in the end; None for all that are left.
        seed: Of clusters and sample.
    """

    cuts: tuple[Cut, ...] = ()
    duplicates: int | None = 48
    near_duplicates: float | None = None
    clusters: tuple[int, ...] = ()
    sample: int | None = None
    seed: int = 0

    @property
    def needs_embedding(self) -> bool:
        """Whether a stage compares embeddings."""
        return self.near_duplicates is not None or bool(self.clusters)


def read_settings(content: Any, origin: str) -> SelectSettings:
    """Return settings from the content of a YAML file.

    Raises:
        SettingError: Naming the file, the field, what was found and what was expected.
    """
    if not isinstance(content, Mapping):
        raise SettingError(f"{origin}: found {type(content).__name__}, expected some of {', '.join(KEYS)}")
    for key in content:
        if key not in KEYS:
            near = get_close_matches(str(key), KEYS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; expected some of {', '.join(KEYS)}"
            raise SettingError(f"{origin}: found {key!r}, which is not a setting of `curate select`{hint}")
    given, plain = dict(content), SelectSettings()
    duplicates = _nested(
        origin, given.get("duplicates", {"hamming": plain.duplicates}), "duplicates", "hamming"
    )
    near = _nested(origin, given.get("near_duplicates"), "near_duplicates", "cosine")
    levels = given.get("clusters") or ()
    levels = (levels,) if isinstance(levels, int) else levels
    falls = isinstance(levels, list | tuple) and all(_is_whole(one, 1) for one in levels)
    if not falls or any(a <= b for a, b in pairwise(levels)):
        raise SettingError(
            f"{origin}: clusters is {levels!r}, expected decreasing whole numbers of clusters, such as [1000, 100]"
        )
    seed, sample = given.get("seed", 0), given.get("sample")
    _expect(
        origin,
        "duplicates.hamming",
        duplicates,
        _is_whole(duplicates, 0, LONG_BITS // 2),
        "0 to 128 bits or null",
    )
    number = isinstance(near, int | float) and not isinstance(near, bool)
    _expect(
        origin,
        "near_duplicates.cosine",
        near,
        number and 0 < near <= 1,
        "a number up to 1, such as 0.97, or null",
    )
    _expect(origin, "sample", sample, _is_whole(sample, 1), "a number of pictures, or null for all")
    _expect(origin, "seed", seed, _is_whole(seed, 0), "0 or more")
    if levels and sample is None:
        raise SettingError(
            f"{origin}: clusters has no effect without sample, the number of pictures to balance to"
        )
    return SelectSettings(
        _cuts(origin, given.get("cuts")), duplicates, near, tuple(levels), sample, int(seed or 0)
    )


def _is_whole(value: Any, least: int, most: int | None = None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and value >= least and (most is None or value <= most)


def _expect(origin: str, key: str, value: Any, fits: bool, expected: str) -> None:
    if value is not None and not fits:
        raise SettingError(f"{origin}: {key} is {value!r}, expected {expected}")


def _nested(origin: str, value: Any, key: str, inner: str) -> Any:
    """Return the one setting below a key; None if the key is null."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or set(value) != {inner}:
        raise SettingError(f"{origin}: {key} is {value!r}, expected {{{inner}: NUMBER}} or null")
    return value[inner]


def _cuts(origin: str, given: Any) -> tuple[Cut, ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise SettingError(f"{origin}: cuts is {given!r}, expected columns, such as short_side: {{min: 384}}")
    found = []
    for column, bounds in given.items():
        if not isinstance(bounds, Mapping) or not bounds or set(bounds) - set(BOUNDS):
            raise SettingError(
                f"{origin}: cuts.{column} is {bounds!r}, expected some of {', '.join(BOUNDS)}, such as {{min: 384}}"
            )
        for bound, value in bounds.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number if bound != "equals" else isinstance(value, int | float | str | bool)):
                raise SettingError(f"{origin}: cuts.{column}.{bound} is {value!r}, expected a number")
            found.append(Cut(str(column), bound, value))
    return tuple(found)
