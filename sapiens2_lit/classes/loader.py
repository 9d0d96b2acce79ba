"""Class vocabularies from shipped data and from the user's YAML or JSON file.

A file holds these keys, all but `classes` optional:

    name: my_clothes
    classes: [background, shirt, left_shoe, right_shoe] # or {name, swap, color, weight} each
    swaps: [[left_shoe, right_shoe]]                    # else pairs of names that differ by left/right, l/r
    weights: {left_shoe: 4, right_shoe: 4}              # in the loss; 1 where nothing is said
    background: background                              # else the class called background, if any
    ignore_index: 255                                   # value or values in the masks that do not count
    remap: {0: background, 7: shirt, 9: ignore}         # value in the masks -> class, or `ignore`

With `remap` every value that occurs must be listed (or be an `ignore_index`): one that is forgotten is an error,
not another class.
"""

import colorsys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.classes.classes import IGNORED, Classes, Color
from sapiens2_lit.errors import SettingError
from sapiens2_lit.skeletons.defaults import guess_swap

SHIPPED = {"body29": "body29.json", "body3": "body3.yaml"}
IGNORE_NAME = "ignore"

_FILE_KEYS = {"name", "classes", "swaps", "weights", "background", "ignore_index", "remap"}
_CLASS_KEYS = {"name", "swap", "color", "weight"}
_GOLDEN_ANGLE = 0.381966  # of the colour circle: neighbours differ as much as they can


def load_classes(source: str | Path | Classes) -> Classes:
    """A class vocabulary by shipped name (body29, body3) or from a .yaml or .json file.

    Raises:
        SettingError: an unknown name, a file that is not there or not readable, or one whose contents do not
            fit; the message names the file, the field and the value.
    """
    if isinstance(source, Classes):
        return source
    if str(source) in SHIPPED:
        return _load_shipped(str(source))
    path = Path(source).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise SettingError(
            f"classes '{source}' are unknown: expected one of {', '.join(SHIPPED)}, "
            "or the path of a .yaml or .json file of your own."
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"classes file {path} cannot be read: {reason}.") from error
    except yaml.YAMLError as error:
        raise SettingError(f"classes file {path} is not valid YAML or JSON: {error}") from error
    return _parse(data, str(path), default_name=path.stem)


@lru_cache
def _load_shipped(name: str) -> Classes:
    text = resources.files("sapiens2_lit.classes").joinpath(SHIPPED[name]).read_text(encoding="utf-8")
    return _parse(yaml.safe_load(text), SHIPPED[name], default_name=name)  # JSON is YAML


def _parse(data: Any, where: str, default_name: str) -> Classes:
    if not isinstance(data, dict):
        raise SettingError(f"{where}: found {type(data).__name__}, expected a mapping with `classes`.")
    _expect_keys(data, _FILE_KEYS, where)
    rows = _rows(data, where)
    names = tuple(row["name"] for row in rows)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SettingError(f"{where}: `classes` has '{twice}' twice, expected different names.")
    places = {name: index for index, name in enumerate(names)}

    def index(value: Any, key: str) -> int:
        if type(value) is int and 0 <= value < len(names):
            return value
        if isinstance(value, str) and value in places:
            return places[value]
        raise SettingError(f"{where}: `{key}` names {value!r}, expected a class's name or index from 0.")

    background = _background(data, names, index)
    colors = tuple(_color(row, place, place == background, where) for place, row in enumerate(rows))
    try:
        return Classes(
            name=str(data.get("name", default_name)),
            names=names,
            swap=_swap(data, rows, names, index, where),
            colors=colors,
            weights=_weights(data, rows, places, where),
            background=background,
            ignored_values=_ignored(data, where),
            remap=_remap(data, index, where),
        )
    except SettingError as error:
        raise SettingError(str(error) if where in str(error) else f"{where}: {error}") from error


def _rows(data: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    rows = []
    for entry in _expect_list(data.get("classes"), where, "classes"):
        row = entry if isinstance(entry, dict) else {"name": entry}
        if not isinstance(row.get("name"), str):
            raise SettingError(f"{where}: `classes` has {entry!r}, expected names or mappings with `name`.")
        _expect_keys(row, _CLASS_KEYS, f"{where}: class '{row['name']}'")
        rows.append(row)
    return rows


def _background(
    data: Mapping[str, Any], names: Sequence[str], index: Callable[[Any, str], int]
) -> int | None:
    if "background" in data:
        return None if data["background"] is None else index(data["background"], "background")
    return next((place for place, name in enumerate(names) if name.lower() == "background"), None)


def _swap(
    data: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    index: Callable[[Any, str], int],
    where: str,
) -> tuple[int, ...]:
    in_rows = any("swap" in row for row in rows)
    if in_rows and "swaps" in data:
        raise SettingError(f"{where}: `swaps` and `swap` of the classes are both given, expected one.")
    if in_rows:
        return tuple(index(row.get("swap", row["name"]), f"swap of '{row['name']}'") for row in rows)
    if "swaps" not in data:
        return guess_swap(names)
    swap = list(range(len(names)))
    for pair in _expect_list(data["swaps"], where, "swaps"):
        if not isinstance(pair, list) or len(pair) != 2:
            raise SettingError(f"{where}: `swaps` has {pair!r}, expected pairs of classes.")
        first, second = (index(end, "swaps") for end in pair)
        if swap[first] != first or swap[second] != second:
            raise SettingError(f"{where}: `swaps` has {pair!r}, of which one already has a partner.")
        swap[first], swap[second] = second, first
    return tuple(swap)


def _weights(
    data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], places: Mapping[str, int], where: str
) -> tuple[float, ...]:
    given = data.get("weights", {})
    values: list[Any] = [row.get("weight", 1.0) for row in rows]
    if isinstance(given, dict):
        for name, value in given.items():
            if name not in places:
                raise SettingError(f"{where}: `weights` names {name!r}, which is not a class.")
            values[places[name]] = value
    else:
        values = list(_expect_list(given, where, "weights"))
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingError(f"{where}: `weights` has {value!r}, expected numbers of 0 or more.")
    return tuple(float(value) for value in values)


def _ignored(data: Mapping[str, Any], where: str) -> tuple[int, ...]:
    given = data.get("ignore_index", IGNORED)
    values = given if isinstance(given, list) else [given]
    if not all(type(value) is int for value in values):
        raise SettingError(f"{where}: `ignore_index` is {given!r}, expected a mask value or a list of them.")
    return tuple(values)


def _remap(data: Mapping[str, Any], index: Callable[[Any, str], int], where: str) -> dict[int, int]:
    given = data.get("remap", {})
    if not isinstance(given, dict) or not all(type(value) is int for value in given):
        raise SettingError(f"{where}: `remap` is {given!r}, expected a mapping of mask values to classes.")
    return {
        value: IGNORED if target == IGNORE_NAME else index(target, "remap") for value, target in given.items()
    }


def _color(row: Mapping[str, Any], place: int, background: bool, where: str) -> Color:
    if "color" not in row:
        if background:
            return 0, 0, 0
        value = 0.95 if place % 2 else 0.75
        red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1, 0.7, value)
        return round(red * 255), round(green * 255), round(blue * 255)
    color = row["color"]
    if not isinstance(color, list) or len(color) != 3 or not all(type(channel) is int for channel in color):
        raise SettingError(f"{where}: `color` of '{row['name']}' is {color!r}, expected [red, green, blue].")
    red, green, blue = color
    return red, green, blue


def _expect_keys(found: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = [key for key in found if key not in known]
    if unknown:
        raise SettingError(f"{where}: `{unknown[0]}` is unknown, expected {', '.join(sorted(known))}.")


def _expect_list(value: Any, where: str, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise SettingError(f"{where}: `{key}` is {value!r}, expected a list.")
    return value
