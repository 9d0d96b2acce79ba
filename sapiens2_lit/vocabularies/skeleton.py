"""A keypoint vocabulary: names, mirror partners, OKS sigmas, links, groups and colors."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies.file import Color


@dataclass(frozen=True)
class Skeleton:
    """Names of K keypoints and how they belong together; immutable, and checked when made.

    Attributes:
        name: name of the skeleton in messages and pictures.
        keypoints: K different names; a keypoint's index is its place here.
        swap: index of each keypoint's mirror partner, or of the keypoint itself if it has none.
        sigmas: OKS constants (the sigma of COCO's evaluation, k = 2 sigma), positive.
        links: pairs of indices that a picture joins by a line.
        groups: index lists by name: body, feet, face, left_hand, right_hand if they exist, other.
        colors: RGB 0..255 of each keypoint.
        swaps_given: the partners were given, not found by left and right in the names.

    Raises:
        SettingError: a field is wrong; the message names the skeleton, the field and the value.
    """

    name: str
    keypoints: tuple[str, ...]
    swap: tuple[int, ...]
    sigmas: tuple[float, ...]
    links: tuple[tuple[int, int], ...]
    groups: Mapping[str, tuple[int, ...]] = field(hash=False)
    colors: tuple[Color, ...]
    swaps_given: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        self._check_names()
        for key in ("swap", "sigmas", "colors"):
            found = len(getattr(self, key))
            if found != self.num_keypoints:
                self._fail(key, f"has {found} entries, expected {self.num_keypoints}, one a keypoint")
        self._check_swap()
        for keypoint, sigma in zip(self.keypoints, self.sigmas, strict=True):
            if not (math.isfinite(sigma) and sigma > 0):
                self._fail("sigmas", f"of '{keypoint}' is {sigma}, expected a positive number")
        for link in self.links:
            self._check_indices("links", link)
            if len(link) != 2 or link[0] == link[1]:
                self._fail("links", f"has {self._names(link)}, expected pairs of different keypoints")
        for group, members in self.groups.items():
            self._check_indices(f"groups.{group}", members)
            if len(set(members)) != len(members):
                self._fail(f"groups.{group}", f"names a keypoint twice: {self._names(members)}")
        for keypoint, color in zip(self.keypoints, self.colors, strict=True):
            if len(color) != 3 or not all(0 <= channel <= 255 for channel in color):
                self._fail("colors", f"of '{keypoint}' is {list(color)}, expected RGB in 0..255")

    @property
    def num_keypoints(self) -> int:
        """K, the number of keypoints."""
        return len(self.keypoints)

    def map_from(self, other: "Skeleton") -> np.ndarray:
        """Return the place of each keypoint in `other`, by name.

        Returns:
            int64 (K,): indices into `other`'s keypoints, -1 if `other` has no such keypoint.
        """
        places = {keypoint: index for index, keypoint in enumerate(other.keypoints)}
        return np.array([places.get(keypoint, -1) for keypoint in self.keypoints], dtype=np.int64)

    def _check_names(self) -> None:
        if not self.keypoints:
            self._fail("keypoints", "is empty, expected at least one name")
        seen: set[str] = set()
        for keypoint in self.keypoints:
            if keypoint in seen:
                self._fail("keypoints", f"has '{keypoint}' twice, expected different names")
            seen.add(keypoint)

    def _check_swap(self) -> None:
        self._check_indices("swap", self.swap)
        for index, partner in enumerate(self.swap):
            if self.swap[partner] != index:
                here, there, back = self._names((index, partner, self.swap[partner]))
                self._fail("swap", f"of '{here}' is '{there}', whose own is '{back}', expected '{here}'")

    def _check_indices(self, key: str, indices: Iterable[int]) -> None:
        for index in indices:
            if not 0 <= index < self.num_keypoints:
                self._fail(key, f"has index {index}, expected 0..{self.num_keypoints - 1}")

    def _names(self, indices: Iterable[int]) -> list[str]:
        return [self.keypoints[index] for index in indices]

    def _fail(self, key: str, problem: str) -> Any:
        raise SettingError(f"skeleton '{self.name}': `{key}` {problem}.")
