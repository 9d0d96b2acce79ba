"""Match names of two vocabularies: as written, as spelled, or by the table of synonyms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml

from sapiens2_lit.vocabularies.spelling import by_spelling, same_names, spell, split_side

Kind = Literal["keypoints", "classes"]
How = Literal["name", "spelling", "synonym"]


@dataclass(frozen=True)
class Match:
    """A name found in another vocabulary.

    Attributes:
        name: the name wanted.
        place: its index among the names wanted.
        source: the name in the other vocabulary.
        row: its index there.
        how: the two names are written the same way, spelled the same way, or synonyms.
    """

    name: str
    place: int
    source: str
    row: int
    how: How


def match_names(wanted: Sequence[str], known: Sequence[str], kind: Kind) -> list[Match | None]:
    """Find each wanted name among the known ones; None for names that are not there.

    Two names may match the same one: a hand's root and its wrist both match the wrist of a vocabulary without roots.

    Args:
        wanted: names to look for.
        known: names of the other vocabulary.
        kind: which table of synonyms to use.
    """
    rows = {name: row for row, name in enumerate(known)}
    same = same_names(wanted, known)
    ambiguous = {name for names in by_spelling(wanted).values() if len(names) > 1 for name in names}
    meanings: dict[str, str] = {}
    for name in known:
        meanings.setdefault(meaning(name, kind), name)
    found: list[Match | None] = []
    for place, name in enumerate(wanted):
        source, how = same.get(name), "spelling"
        if source is None and name not in ambiguous:
            source, how = meanings.get(meaning(name, kind)), "synonym"
        how = "name" if source == name else how
        found.append(None if source is None else Match(name, place, source, rows[source], how))  # type: ignore[arg-type]
    return found


def meaning(name: str, kind: Kind) -> str:
    """Return one name for all synonyms of a name: the first of its list in `synonyms.yaml`, with its side."""
    table = _table(kind)
    spelled = spell(name)
    if spelled in table:
        return table[spelled]
    side, rest = split_side(name)
    joined = "_".join(filter(None, (side, table.get(rest, rest)))) or spelled
    return table.get(joined, joined)


@lru_cache
def _table(kind: Kind) -> dict[str, str]:
    text = resources.files("sapiens2_lit.vocabularies").joinpath("synonyms.yaml").read_text(encoding="utf-8")
    return {spell(name): spell(names[0]) for names in yaml.safe_load(text)[kind] for name in names}
