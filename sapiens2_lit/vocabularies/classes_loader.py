"""Class vocabularies from shipped data and from the user's YAML or JSON file.

A file holds these keys, all but `classes` optional:

    name: my_clothes
    classes: [background, shirt, left_shoe, right_shoe] # or {name, swap, color, weight} each
    swaps: [[left_shoe, right_shoe]]                    # else pairs of names that differ by left/right, l/r
    weights: {left_shoe: 4, right_shoe: 4}              # in the loss; 1 where nothing is said
    background: background                              # else the class called background, if any
    ignore_index: 255                                   # value or values in the masks that do not count
    remap: {0: background, 7: shirt, 9: ignore}         # value in the masks -> class, or `ignore`; "7" in JSON

With `remap` every value that occurs must be listed (or be an `ignore_index`): one that is forgotten is an error,
not another class.
"""

import colorsys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.classes import IGNORED, Classes
from sapiens2_lit.vocabularies.file import SUFFIXES, Color, Entries, read_vocabulary

SHIPPED = {"body29": "body29.json", "body3": "body3.yaml"}
ALIASES = {"sapiens29": "body29"}
IGNORE_NAME = "ignore"

_FILE_KEYS = frozenset({"name", "classes", "swaps", "weights", "background", "ignore_index", "remap"})
_CLASS_KEYS = frozenset({"name", "swap", "color", "weight"})
_GOLDEN_ANGLE = 0.381966  # of the color circle: neighbours differ as much as they can


def load_classes(source: str | Path | Classes) -> Classes:
    """A class vocabulary by shipped name (body29 or sapiens29, body3) or from a .yaml or .json file.

    Raises:
        SettingError: an unknown name, a file that is not there or not readable, or one whose contents do not
            fit; the message names the file, the field and the value.
    """
    if isinstance(source, Classes):
        return source
    name = ALIASES.get(str(source), str(source))
    if name in SHIPPED:
        return _load_shipped(name)
    path = Path(source).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"classes '{source}' are unknown: expected one of {', '.join((*SHIPPED, *ALIASES))}, "
            "or the path of a .yaml or .json file of your own."
        )
    return _parse(read_vocabulary(path, "classes"), str(path), default_name=path.stem)


def make_classes(names: Sequence[str], where: str) -> Classes:
    """The vocabulary of bare names, with pairs, colors and background as of a file that says no more.

    Raises:
        SettingError: a name is there twice, or there are too many; the message begins with `where`.
    """
    return _parse({"classes": list(names)}, where, default_name="id2label")


@lru_cache
def _load_shipped(name: str) -> Classes:
    text = resources.files("sapiens2_lit.vocabularies").joinpath(SHIPPED[name]).read_text(encoding="utf-8")
    return _parse(yaml.safe_load(text), SHIPPED[name], default_name=name)  # JSON is YAML


def _parse(data: Any, where: str, default_name: str) -> Classes:
    entries = Entries(data, where, "classes", "class", _FILE_KEYS, _CLASS_KEYS)
    background = _background(entries)
    colors = tuple(entries.color(row, _hue(place, background)) for place, row in enumerate(entries.rows))
    try:
        return Classes(
            name=str(data.get("name", default_name)),
            names=entries.names,
            swap=entries.swap(),
            colors=colors,
            weights=entries.numbers("weights", "weight", 1.0, "numbers of 0 or more"),
            background=background,
            ignored_values=_ignored(data, where),
            remap=_remap(entries),
        )
    except SettingError as error:
        raise SettingError(str(error) if where in str(error) else f"{where}: {error}") from error


def _background(entries: Entries) -> int | None:
    if "background" in entries.data:
        given = entries.data["background"]
        return None if given is None else entries.index(given, "background")
    return next((place for place, name in enumerate(entries.names) if name.lower() == "background"), None)


def _ignored(data: Mapping[str, Any], where: str) -> tuple[int, ...]:
    given = data.get("ignore_index", IGNORED)
    values = given if isinstance(given, list) else [given]
    if not all(type(value) is int for value in values):
        raise SettingError(f"{where}: `ignore_index` is {given!r}, expected a mask value or a list of them.")
    return tuple(values)


def _remap(entries: Entries) -> dict[int, int]:
    given = entries.data.get("remap", {})
    values = [_mask_value(key) for key in given] if isinstance(given, dict) else [None]
    if None in values or len(set(values)) != len(values):
        raise SettingError(
            f"{entries.where}: `remap` is {given!r}, expected a mapping of mask values, each once, to classes."
        )
    return {
        value: IGNORED if target == IGNORE_NAME else entries.index(target, "remap")
        for value, target in zip(values, given.values(), strict=True)
        if value is not None
    }


def _mask_value(key: Any) -> int | None:
    """A key of `remap` as a number: JSON has strings of digits alone there."""
    if isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    return key if type(key) is int else None


def _hue(place: int, background: int | None) -> Color:
    """Black for the background, else a color unlike its neighbours'."""
    if place == background:
        return 0, 0, 0
    value = 0.95 if place % 2 else 0.75
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1, 0.7, value)
    return round(red * 255), round(green * 255), round(blue * 255)
