"""Names of points and classes in any spelling: `L_Eye`, `eyeL`, "Left Eye" and `l-eye` are one name.

The spelling of a name is its words in lower case, joined by `_`, with the side written out and first: `left_eye`. Words
end at separators, between letters and digits, and at capitals inside a name. A side may also be joined to the next word
(`leftknee`, and for the most common parts of the body `lknee`).
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

_SIDES = {"l": "left", "r": "right", "left": "left", "right": "right"}
_OTHER = {"left": "right", "right": "left"}
_WORDS = re.compile(r"[^\W\d_]+|\d+")
# eyeL, eye|LOuter, LShoulder: where a word ends inside letters
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# leftknee, but no other word with that beginning: leftover, leftmost, rightward
_JOINED = re.compile(r"(left|right)(?!over|most|ward|ist|eous|ful)(\w{3,})")
# lknee, but not "ear": otherwise "rear" would be a right ear
_SHORT_JOINED = re.compile(
    r"(l|r)((?:shoulder|elbow|wrist|hand|thumb|hip|knee|ankle|heel|foot|(?:big|small)?toe|eye|eyebrow)s?)"
)


@lru_cache(maxsize=4096)
def spell(name: str) -> str:
    """Return the one spelling of a name, such as `left_eye`; a name without words stays as it is."""
    side, rest = split_side(name)
    return "_".join(filter(None, (side, rest))) or name


@lru_cache(maxsize=4096)
def split_side(name: str) -> tuple[str, str]:
    """Return the side of a name (`left`, `right` or empty) and the spelling of the rest.

    A name with several sides, such as `left_of_right_hand`, keeps them in place and has no side.
    """
    words = [_SIDES.get(word, word) for word in _words(name)]
    sides = [word for word in words if word in _OTHER]
    if len(sides) != 1:
        return "", "_".join(words)
    return sides[0], "_".join(word for word in words if word not in _OTHER)


def mirror(name: str) -> str:
    """Return the spelling of a name with left and right exchanged."""
    return "_".join(_OTHER.get(word, word) for word in spell(name).split("_"))


def has_side(name: str) -> bool:
    """Whether a name says left or right."""
    return mirror(name) != spell(name)


def by_spelling(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that share a spelling, in their order, by that spelling."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(spell(name), []).append(name)
    return found


def same_names(names: Sequence[str], others: Iterable[str]) -> dict[str, str]:
    """Match names with `others`: the one written the same way, else the only one with the same spelling.

    A name that shares its spelling with another of `names`, or with several of `others`, has no match: `Nose` beside
    `nose` may be another point.
    """
    ours, theirs = by_spelling(names), by_spelling(others)
    found = {}
    for spelling, own in ours.items():
        candidates = theirs.get(spelling, [])
        if len(own) == len(candidates) == 1:
            found[own[0]] = candidates[0]
        else:
            found.update({name: name for name in own if name in candidates})
    return found


def guess_swap(names: Sequence[str]) -> tuple[int, ...]:
    """Return mirror partners by names that differ only in their side (left/right, l/r, eyeL/eyeR).

    A name without a partner is its own partner.
    """
    places = {name: place for place, name in enumerate(names)}
    spelled = by_spelling(names)
    partners = []
    for place, name in enumerate(names):
        found = spelled.get(mirror(name), []) if has_side(name) else []
        if len(found) > 1:  # names in two cases: the partner in the same case
            found = [other for other in found if _case(other) == _case(name)]
        partners.append(places[found[0]] if len(found) == 1 else place)
    # a pair must hold both ways: with names in two cases, two names have the same partner
    return tuple(one if partners[one] == place else place for place, one in enumerate(partners))


def describe_pairs(names: Sequence[str], swap: Sequence[int], most: int = 10) -> str:
    """Return the mirror pairs in words, `left_eye - right_eye, ...`, and how many more there are; empty for none.

    Args:
        names: of the points or classes.
        swap: index of each one's mirror partner.
        most: number of pairs written out.
    """
    pairs = [f"{names[place]} - {names[other]}" for place, other in enumerate(swap) if place < other]
    return ", ".join(pairs[:most]) + (f" and {len(pairs) - most} more" if len(pairs) > most else "")


def _words(name: str) -> list[str]:
    words: list[str] = []
    for run in _WORDS.findall(unicodedata.normalize("NFKC", name)):
        for part in _CAPITALS.split(run):
            word = part.casefold()
            joined = _JOINED.fullmatch(word) or _SHORT_JOINED.fullmatch(word)
            words += joined.groups() if joined else [word.lstrip("0") or "0" if word.isdigit() else word]
    return words


def _case(name: str) -> tuple[bool, bool]:
    letters = [letter for letter in name if letter.isalpha()]
    return letters[0].isupper(), letters[-1].isupper()
