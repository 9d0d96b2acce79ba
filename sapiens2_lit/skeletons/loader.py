"""Skeletons from shipped data, from the user's YAML or JSON file, and from a COCO category.

A file holds these keys, all but the first two optional:

    name: my_dog
    keypoints: [nose, left_ear, right_ear]       # or {name, swap, sigma, color, group} each
    swaps: [[left_ear, right_ear]]               # else pairs of names that differ by left/right, l/r
    sigmas: {nose: 0.026}                        # or a list; 0.05 where nothing is said
    links: [[nose, left_ear], [nose, right_ear]] # names, or indices from 0
    groups: {face: [nose, left_ear, right_ear]}
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from sapiens2_lit.errors import SettingError
from sapiens2_lit.skeletons.defaults import guess_colors, guess_swap
from sapiens2_lit.skeletons.skeleton import Color, Skeleton

SHIPPED = ("coco17", "coco_wholebody133", "sociopticon308")
DEFAULT_SIGMA = 0.05

_FILE_KEYS = {"name", "keypoints", "swaps", "sigmas", "links", "groups"}
_KEYPOINT_KEYS = {"name", "swap", "sigma", "color", "group"}
T = TypeVar("T")


def load_skeleton(source: str | Path | Skeleton) -> Skeleton:
    """A skeleton by shipped name (coco17, coco_wholebody133, sociopticon308) or from a .yaml or .json file.

    Raises:
        SettingError: an unknown name, a file that is not there or not readable, or one whose contents do
            not fit; the message names the file, the field and the value.
    """
    if isinstance(source, Skeleton):
        return source
    if str(source) in SHIPPED:
        return _load_shipped(str(source))
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise SettingError(
            f"skeleton '{source}' is unknown: expected one of {', '.join(SHIPPED)}, "
            "or the path of a .yaml or .json file of your own."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingError(f"skeleton file {path} cannot be read: {error.strerror or error}.") from error
    try:
        data = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError as error:
        raise SettingError(f"skeleton file {path} is not valid YAML or JSON: {error}") from error
    return _parse(data, str(path), default_name=path.stem)


def skeleton_from_category(category: Mapping[str, Any], name: str) -> Skeleton:
    """The skeleton that a COCO file's `categories[]` entry describes, called `name`.

    `keypoints` are its names; `skeleton`, if any, its links (1-based pairs). Swaps come from left/right
    names and sigmas are 0.05, unless the keypoints are those of a shipped skeleton, name by name: then its
    swaps, sigmas, groups and colours hold.

    Raises:
        SettingError: naming the category and the field that does not fit.
    """
    where = f"category '{category.get('name', name)}' of {name}"
    keypoints = category.get("keypoints")
    if not _is_list(keypoints) or not keypoints:
        raise SettingError(f"{where}: `keypoints` is {keypoints!r}, expected a list of keypoint names.")
    pairs = _expect_list(category.get("skeleton") or [], where, "skeleton")
    for pair in pairs:
        if not _is_list(pair) or len(pair) != 2 or not all(type(end) is int and end >= 1 for end in pair):
            raise SettingError(f"{where}: `skeleton` has {pair!r}, expected pairs of 1-based indices.")
    links = [[first - 1, second - 1] for first, second in pairs]
    for shipped in map(_load_shipped, SHIPPED):
        if shipped.keypoints == tuple(keypoints):
            known = tuple((first, second) for first, second in links) or shipped.links
            return Skeleton(
                name, shipped.keypoints, shipped.swap, shipped.sigmas, known, shipped.groups, shipped.colors
            )
    return _parse({"name": name, "keypoints": keypoints, "links": links}, where, default_name=name)


@lru_cache
def _load_shipped(name: str) -> Skeleton:
    text = resources.files("sapiens2_lit.skeletons").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return _parse(json.loads(text), f"{name}.json", default_name=name)


def _parse(data: Any, where: str, default_name: str) -> Skeleton:
    if not isinstance(data, dict):
        raise SettingError(f"{where}: found {type(data).__name__}, expected a mapping with `keypoints`.")
    _expect_keys(data, _FILE_KEYS, where)
    rows = _keypoint_rows(data, where)
    names = tuple(row["name"] for row in rows)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingError(f"{where}: `keypoints` has '{twice}' twice, expected different names.")
    places = {name: index for index, name in enumerate(names)}

    def index(value: Any, key: str) -> int:
        if type(value) is int and 0 <= value < len(names):
            return value
        if isinstance(value, str) and value in places:
            return places[value]
        raise SettingError(f"{where}: `{key}` names {value!r}, expected a keypoint's name or index from 0.")

    swap = _swap(data, rows, names, index, where)
    links = tuple(
        (index(first, "links"), index(second, "links")) for first, second in _pairs(data, "links", where)
    )
    groups = _groups(data, rows, index, where)
    guessed = guess_colors(names, swap, groups)
    colors = tuple(_color(row, other, where) for row, other in zip(rows, guessed, strict=True))
    sigmas = _sigmas(data, rows, places, where)
    try:
        return Skeleton(str(data.get("name", default_name)), names, swap, sigmas, links, groups, colors)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error


def _keypoint_rows(data: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    rows = []
    for entry in _expect_list(data.get("keypoints"), where, "keypoints"):
        row = entry if isinstance(entry, dict) else {"name": entry}
        if not isinstance(row.get("name"), str):
            raise SettingError(f"{where}: `keypoints` has {entry!r}, expected names or mappings with `name`.")
        _expect_keys(row, _KEYPOINT_KEYS, f"{where}: keypoint '{row['name']}'")
        rows.append(row)
    return rows


def _swap(
    data: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    index: Callable[[Any, str], int],
    where: str,
) -> tuple[int, ...]:
    in_rows = any("swap" in row for row in rows)
    if in_rows and "swaps" in data:
        raise SettingError(f"{where}: `swaps` and `swap` of the keypoints are both given, expected one.")
    if in_rows:
        return tuple(index(row.get("swap", row["name"]), f"swap of '{row['name']}'") for row in rows)
    if "swaps" not in data:
        return guess_swap(names)
    swap = list(range(len(names)))
    for pair in _pairs(data, "swaps", where):
        first, second = (index(end, "swaps") for end in pair)
        if swap[first] != first or swap[second] != second:
            raise SettingError(f"{where}: `swaps` has {pair!r}, of which one already has a partner.")
        swap[first], swap[second] = second, first
    return tuple(swap)


def _sigmas(
    data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], places: Mapping[str, int], where: str
) -> tuple[float, ...]:
    given = data.get("sigmas", {})
    values: list[Any] = [row.get("sigma", DEFAULT_SIGMA) for row in rows]
    if isinstance(given, dict):
        for name, value in given.items():
            if name not in places:
                raise SettingError(f"{where}: `sigmas` names {name!r}, which is not a keypoint.")
            values[places[name]] = value
    else:
        values = list(_expect_list(given, where, "sigmas"))
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError(f"{where}: `sigmas` has {value!r}, expected positive numbers.")
    return tuple(float(value) for value in values)


def _groups(
    data: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    index: Callable[[Any, str], int],
    where: str,
) -> dict[str, tuple[int, ...]]:
    given = data.get("groups", {})
    if not isinstance(given, dict):
        raise SettingError(f"{where}: `groups` is {given!r}, expected a mapping of group to keypoints.")
    groups: dict[str, list[int]] = {}
    for group, members in given.items():
        groups[group] = [index(member, f"groups.{group}") for member in _expect_list(members, where, group)]
    for place, row in enumerate(rows):
        if "group" in row:
            groups.setdefault(row["group"], []).append(place)
    grouped = {place for members in groups.values() for place in members}
    leftovers = [place for place in range(len(rows)) if place not in grouped]
    if groups and leftovers:
        groups.setdefault("other", []).extend(leftovers)
    return {group: tuple(members) for group, members in groups.items()}


def _color(row: Mapping[str, Any], guessed: Color, where: str) -> Color:
    color = row.get("color", guessed)
    if not _is_list(color) or len(color) != 3 or not all(type(channel) is int for channel in color):
        raise SettingError(f"{where}: `color` of '{row['name']}' is {color!r}, expected [red, green, blue].")
    red, green, blue = color
    return red, green, blue


def _pairs(data: Mapping[str, Any], key: str, where: str) -> list[tuple[Any, Any]]:
    pairs = []
    for pair in _expect_list(data.get(key, []), where, key):
        if not _is_list(pair) or len(pair) != 2:
            raise SettingError(f"{where}: `{key}` has {pair!r}, expected pairs of keypoints.")
        pairs.append((pair[0], pair[1]))
    return pairs


def _expect_keys(found: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = [key for key in found if key not in known]
    if unknown:
        raise SettingError(f"{where}: `{unknown[0]}` is unknown, expected {', '.join(sorted(known))}.")


def _expect_list(value: Any, where: str, key: str) -> Sequence[Any]:
    if not _is_list(value):
        raise SettingError(f"{where}: `{key}` is {value!r}, expected a list.")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)
