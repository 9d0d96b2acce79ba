"""Skeletons from shipped data, from the user's YAML or JSON file, and from a COCO category.

A file holds these keys; only the first two are required:

    name: my_dog
    keypoints: [nose, left_ear, right_ear]       # or for each {name, swap, sigma, color, group}
    swaps: [[left_ear, right_ear]]               # default: pairs of names that differ by left/right, l/r
    sigmas: {nose: 0.026}                        # or a list; default 0.05
    links: [[nose, left_ear], [nose, right_ear]] # names, or indices from 0
    groups: {face: [nose, left_ear, right_ear]}

A COCO file (.json) provides the keypoints and links of its category.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.coco_category import is_coco, keypoint_category
from sapiens2_lit.vocabularies.file import SUFFIXES, Entries, expect_list, is_list, read_vocabulary
from sapiens2_lit.vocabularies.skeleton import Skeleton
from sapiens2_lit.vocabularies.skeleton_defaults import guess_colors
from sapiens2_lit.vocabularies.spelling import same_names
from sapiens2_lit.vocabularies.yolo_points import points_of_yolo

SHIPPED = ("coco17", "coco_wholebody133", "sociopticon308")
ALIASES = {"sapiens308": "sociopticon308"}
DEFAULT_SIGMA = 0.05

_FILE_KEYS = frozenset({"name", "keypoints", "swaps", "sigmas", "links", "groups"})
_KEYPOINT_KEYS = frozenset({"name", "swap", "sigma", "color", "group"})


def load_skeleton(source: str | Path | Skeleton) -> Skeleton:
    """Return a skeleton by shipped name or from the user's file.

    Names are coco17, coco_wholebody133, sociopticon308 and sapiens308. A COCO file gives names and lines of its
    category with keypoints.

    Raises:
        SettingError: the name is unknown, or the file is missing, unreadable or has wrong contents; the message names
            the file, the field and the value.
    """
    if isinstance(source, Skeleton):
        return source
    name = ALIASES.get(str(source), str(source))
    if name in SHIPPED:
        return _load_shipped(name)
    path = Path(source).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"skeleton '{source}' is unknown: expected one of {', '.join((*SHIPPED, *ALIASES))}, "
            "or the path of your .yaml or .json file."
        )
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    return _load_file(path, changed)


def skeleton_from_category(category: Mapping[str, Any], name: str) -> Skeleton:
    """Return the skeleton that an entry of `categories` in a COCO file describes, called `name`.

    `keypoints` are its names; `skeleton`, if any, its links (1-based pairs). Swaps come from left and right in the
    names. Sigmas are those of the 308 points for points of the same name, else 0.05. If the keypoints are the same as
    in a shipped skeleton, name by name, its swaps, sigmas, groups and colors are used.

    Raises:
        SettingError: a field does not fit; the message names it and the category.
    """
    where = f"category '{category.get('name', name)}' of {name}"
    keypoints = category.get("keypoints")
    if not is_list(keypoints) or not keypoints:
        raise SettingError(f"{where}: `keypoints` is {keypoints!r}, expected a list of keypoint names.")
    pairs = expect_list(category.get("skeleton") or [], where, "skeleton")
    for pair in pairs:
        if not is_list(pair) or len(pair) != 2 or not all(type(end) is int and end >= 1 for end in pair):
            raise SettingError(f"{where}: `skeleton` has {pair!r}, expected pairs of 1-based indices.")
    links = [[first - 1, second - 1] for first, second in pairs]
    for shipped in map(_load_shipped, SHIPPED):
        if shipped.keypoints == tuple(keypoints):
            known = tuple((first, second) for first, second in links) or shipped.links
            return Skeleton(
                name, shipped.keypoints, shipped.swap, shipped.sigmas, known, shipped.groups, shipped.colors
            )
    data = {"name": name, "keypoints": keypoints, "links": links}
    if all(isinstance(keypoint, str) for keypoint in keypoints):
        data["sigmas"] = known_sigmas(keypoints)
    return _parse(data, where, default_name=name)


@lru_cache(maxsize=16)  # head and data both ask for it, and a COCO file takes a while to read
def _load_file(path: Path, changed: int) -> Skeleton:
    data = read_vocabulary(path, "skeleton")
    if not is_coco(data):
        return _parse(data, str(path), default_name=path.stem)
    category = keypoint_category(data, str(path))
    return skeleton_from_category(category, str(category.get("name") or path.stem))


@lru_cache
def _load_shipped(name: str) -> Skeleton:
    text = resources.files("sapiens2_lit.vocabularies").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return _parse(json.loads(text), f"{name}.json", default_name=name)


def _parse(data: Any, where: str, default_name: str) -> Skeleton:
    data = points_of_yolo(data, where)
    entries = Entries(data, where, "keypoints", "keypoint", _FILE_KEYS, _KEYPOINT_KEYS)
    swaps_given = "swaps" in data or any("swap" in row for row in entries.rows)
    swap = entries.swap() if swaps_given else known_partners(entries.names, entries.swap())
    links, groups = tuple(entries.pairs("links")), _groups(entries)
    guessed = guess_colors(entries.names, swap, groups)
    colors = tuple(entries.color(row, other) for row, other in zip(entries.rows, guessed, strict=True))
    sigmas = entries.numbers("sigmas", "sigma", DEFAULT_SIGMA, "positive numbers")
    try:
        return Skeleton(
            str(data.get("name", default_name)),
            entries.names,
            swap,
            sigmas,
            links,
            groups,
            colors,
            swaps_given=swaps_given,
        )
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error


def known_sigmas(names: Sequence[str]) -> dict[str, float]:
    """Return the sigmas of the names that are points of the 308, or of the 133, in any spelling."""
    found: dict[str, float] = {}
    for known in (_load_shipped("coco_wholebody133"), _load_shipped("sociopticon308")):
        sigmas = dict(zip(known.keypoints, known.sigmas, strict=True))
        found |= {name: sigmas[other] for name, other in same_names(names, known.keypoints).items()}
    return found


def known_partners(names: Sequence[str], guessed: Sequence[int]) -> tuple[int, ...]:
    """Return the partners found by name, replaced by those of the 308 points if these differ.

    Numbered points around an eye or an ear have mirror partners with other numbers.
    """
    known = _load_shipped("sociopticon308")
    same = same_names(names, known.keypoints)
    places = {same[name]: place for place, name in enumerate(names) if name in same}
    swap = list(guessed)
    for keypoint, place in places.items():
        partner = known.keypoints[known.swap[known.keypoints.index(keypoint)]]
        swap[place] = places.get(partner, place)
    mutual = [swap[partner] == place for place, partner in enumerate(swap)]
    return tuple(partner if mutual[place] else place for place, partner in enumerate(swap))


def _groups(entries: Entries) -> dict[str, tuple[int, ...]]:
    given = entries.data.get("groups", {})
    if not isinstance(given, dict):
        raise SettingError(
            f"{entries.where}: `groups` is {given!r}, expected a mapping of group to keypoints."
        )
    groups: dict[str, list[int]] = {}
    for group, found in given.items():
        members = expect_list(found, entries.where, group)
        groups[group] = [entries.index(member, f"groups.{group}") for member in members]
    for place, row in enumerate(entries.rows):
        if "group" in row:
            groups.setdefault(row["group"], []).append(place)
    grouped = {place for members in groups.values() for place in members}
    leftovers = [place for place in range(len(entries.rows)) if place not in grouped]
    if groups and leftovers:
        groups.setdefault("other", []).extend(leftovers)
    return {group: tuple(members) for group, members in groups.items()}
