"""Class vocabularies from shipped data and from the user's YAML or JSON file.

A file holds these keys, all but `classes` optional:

    name: my_clothes
    classes: [background, shirt, left_shoe, right_shoe] # or a mapping for each: {name, swap, color, weight}
    swaps: [[left_shoe, right_shoe]]                    # default: pairs of names that differ by left/right, l/r
    weights: {left_shoe: 4, right_shoe: 4}              # in the loss; default 1
    background: background                              # default: the class called background, if any
    ignore_index: 255                                   # value or values in the masks that are ignored
    remap: {0: background, 7: shirt, 9: ignore}         # value in the masks -> class, or `ignore`; "7" in JSON
    aliases: {T-Shirt: shirt, dog: ignore}              # name in a tool's labels -> class, or `ignore`
    ignore_colors: [[224, 224, 192]]                    # colors in colored masks that are ignored
    palettes: colors                                    # palette masks are read by color; default: by index

Colored masks are read by the `color` of each class. A labelmap.txt or an annotations.xml of CVAT, a data.yaml of
YOLO, a COCO file and a folder of LabelMe are read as well.

With `remap` every value in the masks must be listed (or be an `ignore_index`): a missing value is an error,
not another class. `remap` wins over the default `ignore_index`; an `ignore_index` in the file that
contradicts it is an error.
"""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.classes import IGNORED, Classes
from sapiens2_lit.vocabularies.file import SUFFIXES, Color, Entries, expect_list, read_vocabulary
from sapiens2_lit.vocabularies.outlined_classes import XML, read_cvat_classes, read_labelme_classes
from sapiens2_lit.vocabularies.tool_classes import LABELMAP, of_tool, read_labelmap

SHIPPED = {"body29": "body29.json", "body28": "body28.json", "body3": "body3.yaml"}
ALIASES = {"sapiens29": "body29", "sapiens28": "body28"}
IGNORE_NAME = "ignore"

_FILE_KEYS = frozenset(
    {
        "name",
        "classes",
        "swaps",
        "weights",
        "background",
        "ignore_index",
        "remap",
        "aliases",
        "ignore_colors",
        "palettes",
    }
)
_CLASS_KEYS = frozenset({"name", "swap", "color", "weight"})
_GOLDEN_ANGLE = 0.381966  # of the color circle: neighbors differ as much as possible


def load_classes(source: str | Path | Classes) -> Classes:
    """Return a class vocabulary by shipped name, from a .yaml or .json file, or from a labeling tool's file.

    Names are body29 (sapiens29), body28 (sapiens28, of Sapiens v1) and body3.

    Raises:
        SettingError: the name is unknown, or the file is missing, unreadable or has wrong contents; the message names
            the file, the field and the value.
    """
    if isinstance(source, Classes):
        return source
    name = ALIASES.get(str(source), str(source))
    if name in SHIPPED:
        return _load_shipped(name)
    path = Path(source).expanduser()
    if path.suffix.lower() == LABELMAP:
        return _parse(read_labelmap(path), str(path), default_name=path.stem)
    if path.suffix.lower() == XML:
        return _parse(read_cvat_classes(path), str(path), default_name=path.stem)
    if path.is_dir():
        return _parse(read_labelme_classes(path), str(path), default_name=path.name)
    if path.suffix.lower() not in SUFFIXES:
        raise SettingError(
            f"classes '{source}' are unknown: expected one of {', '.join((*SHIPPED, *ALIASES))}, "
            "or the path of your .yaml or .json file, of a labelmap.txt or an annotations.xml of CVAT, of a "
            "data.yaml of YOLO, or of a folder of LabelMe."
        )
    return _parse(of_tool(read_vocabulary(path, "classes")), str(path), default_name=path.stem)


def make_classes(names: Sequence[str], where: str) -> Classes:
    """Return the vocabulary of bare names; pairs, colors and background follow from the names, as in a file.

    Args:
        names: of the classes, in order.
        where: beginning of error messages.

    Raises:
        SettingError: a name occurs twice, or there are too many.
    """
    return _parse({"classes": list(names)}, where, default_name="id2label")


@lru_cache
def _load_shipped(name: str) -> Classes:
    text = resources.files("sapiens2_lit.vocabularies").joinpath(SHIPPED[name]).read_text(encoding="utf-8")
    shipped = _parse(yaml.safe_load(text), SHIPPED[name], default_name=name)  # JSON is YAML
    return replace(shipped, mask_colors={})  # its colors are for drawing: no tool writes masks in them


def _parse(data: Any, where: str, default_name: str) -> Classes:
    entries = Entries(data, where, "classes", "class", _FILE_KEYS, _CLASS_KEYS)
    remap = _remap(entries)
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
            ignored_values=_ignored(entries, remap),
            remap=remap,
            mask_colors=_mask_colors(entries),
            by_color=_palettes(entries),
            aliases=_aliases(entries),
        )
    except SettingError as error:
        raise SettingError(str(error) if where in str(error) else f"{where}: {error}") from error


def _background(entries: Entries) -> int | None:
    if "background" in entries.data:
        given = entries.data["background"]
        return None if given is None else entries.index(given, "background")
    return next((place for place, name in enumerate(entries.names) if name.lower() == "background"), None)


def _ignored(entries: Entries, remap: Mapping[int, int]) -> tuple[int, ...]:
    """Return the ignored values: those of the file, else 255 unless `remap` gives it another meaning."""
    if "ignore_index" not in entries.data:
        return () if remap.get(IGNORED, IGNORED) != IGNORED else (IGNORED,)
    given = entries.data["ignore_index"]
    values = given if isinstance(given, list) else [given]
    if not all(type(value) is int for value in values):
        raise SettingError(
            f"{entries.where}: `ignore_index` is {given!r}, expected a mask value or a list of them."
        )
    for value in values:
        if remap.get(value, IGNORED) != IGNORED:
            raise SettingError(
                f"{entries.where}: `ignore_index` has the mask value {value}, and `remap` makes it "
                f"'{entries.names[remap[value]]}': leave it out of one of them."
            )
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


def _mask_colors(entries: Entries) -> dict[Color, int]:
    """Return the class of each color in the file; empty if two classes share a color, so that it has no meaning."""
    given = [
        (entries.color(row, (0, 0, 0)), place) for place, row in enumerate(entries.rows) if "color" in row
    ]
    found = dict(given)
    if len(found) < len(given) or not found:
        return {}
    for color in expect_list(entries.data.get("ignore_colors", []), entries.where, "ignore_colors"):
        found[entries.color({"name": IGNORE_NAME, "color": color}, (0, 0, 0))] = IGNORED
    return found


def _palettes(entries: Entries) -> bool:
    given = entries.data.get("palettes", "indices")
    if given not in ("indices", "colors"):
        raise SettingError(f"{entries.where}: `palettes` is {given!r}, expected indices or colors.")
    return bool(given == "colors")


def _aliases(entries: Entries) -> dict[str, int]:
    given = entries.data.get("aliases", {})
    if not isinstance(given, dict):
        raise SettingError(
            f"{entries.where}: `aliases` is {given!r}, expected a mapping of names to classes."
        )
    return {
        str(name): IGNORED if target == IGNORE_NAME else entries.index(target, "aliases")
        for name, target in given.items()
    }


def _mask_value(key: Any) -> int | None:
    """Return a key of `remap` as a number: JSON keys are strings of digits."""
    if isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    return key if type(key) is int else None


def _hue(place: int, background: int | None) -> Color:
    """Return black for the background, else a color unlike its neighbors'."""
    if place == background:
        return 0, 0, 0
    value = 0.95 if place % 2 else 0.75
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1, 0.7, value)
    return round(red * 255), round(green * 255), round(blue * 255)
