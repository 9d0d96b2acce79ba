"""Load the user's own columns, by class path."""

import importlib
import math
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import yaml

from sapiens2_lit.curation.picture import RGB
from sapiens2_lit.errors import SettingError

KINDS = {"double": (int, float), "int64": (int,), "bool": (bool,), "string": (str,)}


class Column(ABC):
    """One number, text or truth value of each picture; derive from it, and name your class with `--columns`.

    Attributes:
        name: Of the column.
        kind: `double`, `int64`, `bool` or `string`.
    """

    name: ClassVar[str]
    kind: ClassVar[str] = "double"

    @abstractmethod
    def __call__(self, image: RGB) -> float | int | bool | str | None:
        """Return the value for RGB uint8 (H, W, 3); None if there is none."""


class Colorfulness(Column):
    """The colorfulness of a picture, from 0 for gray to about 110 (Hasler and Suesstrunk 2003, equation 12)."""

    name = "colorfulness"

    def __call__(self, image: RGB) -> float:
        red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
        across, along = red - green, (red + green) / 2 - blue
        deviation = math.hypot(float(across.std()), float(along.std()))
        return deviation + 0.3 * math.hypot(float(across.mean()), float(along.mean()))


class OwnColumn:
    """A `Column` as a stage of scoring.

    Args:
        column: The column.
        source: Its class path and arguments, for the scores' header.

    Raises:
        SettingError: It has no name, or an unknown kind.
    """

    def __init__(self, column: Column, source: Any) -> None:
        name, kind = getattr(column, "name", None), column.kind
        if not isinstance(name, str) or not name or kind not in KINDS:
            raise SettingError(
                f"--columns {source}: name is {name!r} and kind {kind!r}, expected a name and one of {', '.join(KINDS)}"
            )
        self.column, self.columns, self.about = column, {name: kind}, {"columns": {name: source}}

    def __call__(self, images: list[RGB]) -> list[dict[str, Any]]:
        """Return a row for each picture.

        Raises:
            SettingError: A value is of another kind.
        """
        return [{self.column.name: self._value(image)} for image in images]

    def _value(self, image: RGB) -> Any:
        value, kind = self.column(image), self.column.kind
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or (
            isinstance(value, KINDS[kind]) and (kind == "bool" or not isinstance(value, bool))
        ):
            return value
        raise SettingError(
            f"--columns: {self.column.name} returned {value!r} ({type(value).__name__}), expected {kind} or None"
        )


def load_column(text: str) -> OwnColumn:
    """Return the column that `--columns` names: a class path, or `{class_path: PATH, init_args: {...}}`.

    Raises:
        SettingError: There is no such class, it is not a `Column`, or its arguments do not fit.
    """
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingError(f"--columns {text}: is neither a class path nor YAML: {error}") from error
    given = {"class_path": given} if isinstance(given, str) else given
    if not isinstance(given, dict) or "class_path" not in given or given.keys() - {"class_path", "init_args"}:
        raise SettingError(
            f"--columns {text}: expected a class path such as sapiens2_lit.curation.Colorfulness, or "
            "'{class_path: PATH, init_args: {NAME: VALUE}}'"
        )
    path, arguments = str(given["class_path"]), given.get("init_args") or {}
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # the user's classes may lie in the working directory
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(f"--columns {path}: there is no such class: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Column)):
        raise SettingError(f"--columns {path}: is not a sapiens2_lit.curation.Column")
    try:
        return OwnColumn(found(**arguments), given)
    except TypeError as error:
        raise SettingError(f"--columns {path}: its arguments do not fit: {error}") from error
