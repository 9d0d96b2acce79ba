"""A class vocabulary: names, mirror partners, colors, loss weights, and the meaning of values in mask files."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.file import Color

IGNORED = 255  # the class of ignored pixels, in every batch
_UNKNOWN = -1


@dataclass(frozen=True)
class Classes:
    """Names of C classes and how they belong together; immutable, and checked when made.

    Attributes:
        name: name of the vocabulary in messages and pictures.
        names: C different names; a class's index is its place here.
        swap: index of each class's mirror partner, or of the class itself if it has none.
        colors: RGB 0..255 of each class.
        weights: of each class in the loss, not negative.
        background: index of the class for pixels without a person, or None.
        ignored_values: values in mask files that mean "ignored", except those in `remap`.
        remap: value in mask files -> class index, or IGNORED. Empty: values are class indices.
        mask_colors: RGB in colored masks -> class index, or IGNORED. Empty: colors have no meaning.
        by_color: palette masks are read by their colors, not by their indices.
        aliases: other names of classes in a tool's labels -> class index, or IGNORED.

    Raises:
        SettingError: a field is wrong; the message names the vocabulary, the field and the value.
    """

    name: str
    names: tuple[str, ...]
    swap: tuple[int, ...]
    colors: tuple[Color, ...]
    weights: tuple[float, ...]
    background: int | None = None
    ignored_values: tuple[int, ...] = (IGNORED,)
    remap: Mapping[int, int] = field(default_factory=dict, hash=False)
    mask_colors: Mapping[Color, int] = field(default_factory=dict, hash=False)
    by_color: bool = False
    aliases: Mapping[str, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.names) <= IGNORED:
            self._fail("classes", f"has {len(self.names)} names, expected 1 to {IGNORED}")
        if len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            self._fail("classes", f"has '{twice}' twice, expected different names")
        for key in ("swap", "colors", "weights"):
            found = len(getattr(self, key))
            if found != self.num_classes:
                self._fail(key, f"has {found} entries, expected {self.num_classes}, one a class")
        for index, partner in enumerate(self.swap):
            if not 0 <= partner < self.num_classes or self.swap[partner] != index:
                self._fail("swap", f"of '{self.names[index]}' is not mutual, expected pairs of classes")
        for name, color, weight in zip(self.names, self.colors, self.weights, strict=True):
            if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
                self._fail("colors", f"of '{name}' is {list(color)}, expected RGB in 0..255")
            if not (math.isfinite(weight) and weight >= 0):
                self._fail("weights", f"of '{name}' is {weight}, expected a number of 0 or more")
        if not any(self.weights):
            self._fail("weights", "are all 0, expected one above 0 at least")
        for value in (*self.ignored_values, *self.remap):
            if not 0 <= value <= 255:
                self._fail("remap or ignore_index", f"has the mask value {value}, expected 0..255")

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.names)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices of all classes except the background."""
        return tuple(index for index in range(self.num_classes) if index != self.background)

    def lookup(self) -> npt.NDArray[np.int16]:
        """Return a table (256,): value in a mask file -> class index, IGNORED, or -1 for a value without meaning."""
        table = np.full(256, _UNKNOWN, dtype=np.int16)
        if not self.remap:
            table[: self.num_classes] = np.arange(self.num_classes)
        table[list(self.ignored_values)] = IGNORED
        for value, index in self.remap.items():  # the meanings in the file win over the defaults
            table[value] = index
        return table

    def find(self, name: str) -> int | None:
        """Return the index of the class that a tool calls `name`; None if unknown.

        Case, spaces and hyphens make no difference.
        """
        if name in self.aliases:
            return self.aliases[name]
        wanted = _plain(name)
        found = [index for index, one in enumerate(self.names) if one == name or _plain(one) == wanted]
        if len(found) != 1:
            return self.names.index(name) if name in self.names else None
        return found[0]

    def nearest(self, name: str) -> str:
        """Return the class name that is most similar to `name`."""
        close = get_close_matches(_plain(name), [_plain(one) for one in self.names], n=1, cutoff=0)
        return next(one for one in self.names if _plain(one) == close[0])

    def swap_table(self) -> npt.NDArray[np.uint8]:
        """Return a table (256,): class -> class in a mirrored image; IGNORED stays."""
        table = np.arange(256, dtype=np.uint8)
        table[: self.num_classes] = self.swap
        return table

    def palette(self) -> npt.NDArray[np.uint8]:
        """Return the RGB (256, 3) of each class; black for other values."""
        table = np.zeros((256, 3), dtype=np.uint8)
        table[: self.num_classes] = self.colors
        return table

    def _fail(self, key: str, problem: str) -> NoReturn:
        raise SettingError(f"classes '{self.name}': `{key}` {problem}.")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).strip()).casefold()
