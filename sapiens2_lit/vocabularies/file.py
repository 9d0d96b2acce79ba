"""What files of keypoints and of classes share: named entries with mirror partners, numbers and colors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.spelling import guess_swap

Color = tuple[int, int, int]  # RGB, 0 to 255

SUFFIXES = (".yaml", ".yml", ".json")


def read_vocabulary(path: Path, kind: str) -> Any:
    """Return the contents of a YAML or JSON file; `kind` is its name in messages.

    Raises:
        SettingError: it cannot be read, or is neither YAML nor JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"{kind} file {path} cannot be read: {reason}.") from error
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)  # COCO files are large, and YAML reads a hundred times slower
        except (ValueError, RecursionError):
            pass  # with a comma too many it is still YAML; if not, YAML says where reading stops
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingError(f"{kind} file {path} is not valid YAML or JSON: {error}") from error


@dataclass(frozen=True)
class Entries:
    """The entries of a vocabulary file, each a name or a mapping with `name`.

    Attributes:
        data: the file's contents.
        where: name of the file in messages.
        key: key of the list of entries: keypoints, classes.
        one: name of an entry in messages: keypoint, class.
        file_keys, entry_keys: keys that the file and an entry may have.

    Raises:
        SettingError: a field is wrong; the message names it, what was found and what was expected.
    """

    data: Mapping[str, Any]
    where: str
    key: str
    one: str
    file_keys: frozenset[str]
    entry_keys: frozenset[str]

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            found = type(self.data).__name__
            raise SettingError(f"{self.where}: found {found}, expected a mapping with `{self.key}`.")
        expect_keys(self.data, self.file_keys, self.where)
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise SettingError(f"{self.where}: `{self.key}` has '{twice}' twice, expected different names.")

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping with `name` for each entry.

        Raises:
            SettingError: an entry is neither a name nor a mapping with `name`, or has an unknown key.
        """
        rows = []
        for entry in expect_list(self.data.get(self.key), self.where, self.key):
            row = entry if isinstance(entry, dict) else {"name": entry}
            if not isinstance(row.get("name"), str):
                raise SettingError(
                    f"{self.where}: `{self.key}` has {entry!r}, expected names or mappings with `name`."
                )
            expect_keys(row, self.entry_keys, f"{self.where}: {self.one} '{row['name']}'")
            rows.append(row)
        return rows

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each entry, in order."""
        return tuple(row["name"] for row in self.rows)

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each entry in the list, by name."""
        return {name: place for place, name in enumerate(self.names)}

    def index(self, value: Any, key: str) -> int:
        """Return the place of the entry that `value`, found under `key`, names.

        Raises:
            SettingError: `value` is neither an entry's name nor an index.
        """
        if type(value) is int and 0 <= value < len(self.names):
            return value
        if isinstance(value, str) and value in self.places:
            return self.places[value]
        raise SettingError(
            f"{self.where}: `{key}` names {value!r}, expected a {self.one}'s name or index from 0."
        )

    def pairs(self, key: str) -> list[tuple[int, int]]:
        """Return the pairs of entries under `key`, as indices.

        Raises:
            SettingError: there is something other than pairs of entries.
        """
        pairs = []
        for pair in expect_list(self.data.get(key, []), self.where, key):
            if not is_list(pair) or len(pair) != 2:
                raise SettingError(f"{self.where}: `{key}` has {pair!r}, expected pairs of {self.key}.")
            pairs.append((self.index(pair[0], key), self.index(pair[1], key)))
        return pairs

    def swap(self) -> tuple[int, ...]:
        """Return each entry's mirror partner: from the entries, from `swaps`, else from left and right in the names.

        Raises:
            SettingError: `swap` and `swaps` are both given, or an entry has two partners.
        """
        in_rows = any("swap" in row for row in self.rows)
        if in_rows and "swaps" in self.data:
            raise SettingError(
                f"{self.where}: `swaps` and `swap` of the {self.key} are both given, expected one."
            )
        if in_rows:
            return tuple(
                self.index(row.get("swap", row["name"]), f"swap of '{row['name']}'") for row in self.rows
            )
        if "swaps" not in self.data:
            return guess_swap(self.names)
        swap = list(range(len(self.names)))
        for first, second in self.pairs("swaps"):
            if swap[first] != first or swap[second] != second:
                pair = [self.names[first], self.names[second]]
                raise SettingError(f"{self.where}: `swaps` has {pair!r}, of which one already has a partner.")
            swap[first], swap[second] = second, first
        return tuple(swap)

    def numbers(self, key: str, of_one: str, default: float, expected: str) -> tuple[float, ...]:
        """Return one number per entry: from its row, else from the mapping or list under a key of the file.

        Args:
            key: key of the mapping or list in the file.
            of_one: key of the number in a row.
            default: number of an entry that has none.
            expected: what error messages expect.

        Raises:
            SettingError: a value is not a number, or the mapping names an unknown entry.
        """
        given = self.data.get(key, {})
        values: list[Any] = [row.get(of_one, default) for row in self.rows]
        if isinstance(given, dict):
            for name, value in given.items():
                if name not in self.places:
                    raise SettingError(f"{self.where}: `{key}` names {name!r}, which is not a {self.one}.")
                values[self.places[name]] = value
        else:
            values = list(expect_list(given, self.where, key))
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise SettingError(f"{self.where}: `{key}` has {value!r}, expected {expected}.")
        return tuple(float(value) for value in values)

    def color(self, row: Mapping[str, Any], otherwise: Color) -> Color:
        """Return the entry's `color`, or `otherwise`.

        Raises:
            SettingError: `color` is not a list of three integers.
        """
        color = row.get("color", otherwise)
        if not is_list(color) or len(color) != 3 or not all(type(channel) is int for channel in color):
            raise SettingError(
                f"{self.where}: `color` of '{row['name']}' is {color!r}, expected [red, green, blue]."
            )
        red, green, blue = color
        return red, green, blue


def expect_keys(found: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Check that a mapping has only known keys.

    Args:
        found: the mapping.
        known: keys that it may have.
        where: beginning of error messages.

    Raises:
        SettingError: a key is unknown.
    """
    unknown = [key for key in found if key not in known]
    if unknown:
        raise SettingError(f"{where}: `{unknown[0]}` is unknown, expected {', '.join(sorted(known))}.")


def expect_list(value: Any, where: str, key: str) -> Sequence[Any]:
    """Return `value` if it is a list.

    Args:
        value: what the file has under `key`.
        where: beginning of error messages.
        key: name of the field in messages.

    Raises:
        SettingError: it is not a list.
    """
    if not isinstance(value, list | tuple):
        raise SettingError(f"{where}: `{key}` is {value!r}, expected a list.")
    return value


def is_list(value: Any) -> bool:
    """Whether a value is a list or a tuple."""
    return isinstance(value, list | tuple)
