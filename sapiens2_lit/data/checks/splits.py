"""Checks for images in two splits: training must not use images of validation or test."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Example, Finding

_SIDE = 32  # sides of the small pictures that are compared
_FLAT = 2.0  # gray levels: pictures with less contrast all look the same
_SAME = 3.0  # mean difference in gray levels of pictures that differ only by compression


@dataclass(frozen=True)
class Splits:
    """The images of all splits.

    Attributes:
        where: for messages.
        files: the images by split.
    """

    where: str
    files: Mapping[str, Sequence[Path]]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield every pair of splits."""
        yield from combinations(self.files, 2)


class SameFileInSplits(Check[Splits]):
    """The same file in two splits."""

    name = "same_file_in_splits"
    looks_at = Splits

    def look(self, subject: Splits, sampling: Sampling) -> Iterator[Finding]:
        for first, second in subject.pairs():
            there = set(subject.files[first])
            shared = [(path, path) for path in dict.fromkeys(subject.files[second]) if path in there]
            if shared:
                yield _finding(self, subject, first, second, shared, "the same file is in both")


class SameBytesInSplits(Check[Splits]):
    """The same picture under two names in two splits, byte for byte."""

    name = "same_picture_in_splits"
    looks_at = Splits

    def look(self, subject: Splits, sampling: Sampling) -> Iterator[Finding]:
        sizes = {split: _by_size(files) for split, files in subject.files.items()}
        hashes: dict[Path, bytes] = {}
        for first, second in subject.pairs():
            found = []
            for size in sizes[first].keys() & sizes[second].keys():
                there = {_hash(path, hashes): path for path in sizes[first][size]}
                for path in sizes[second][size]:
                    other = there.get(_hash(path, hashes))
                    if other is not None and other != path and not _is_flat(path):
                        found.append((path, other))
            if found:
                found.sort()
                what = f"{found[0][0].name} is {found[0][1].name} of {first}, for one"
                yield _finding(self, subject, first, second, found, f"the same picture: {what}")


class SimilarInSplits(Check[Splits]):
    """Pictures in two splits that differ only in size or compression."""

    name = "similar_picture_in_splits"
    looks_at = Splits
    quick = False

    def look(self, subject: Splits, sampling: Sampling) -> Iterator[Finding]:
        small = {path: _small(path) for path in {one for files in subject.files.values() for one in files}}
        hashes: dict[Path, bytes] = {}
        for first, second in subject.pairs():
            there: dict[bytes, list[tuple[Path, npt.NDArray[np.float32]]]] = {}
            for path in subject.files[first]:
                if (picture := small[path]) is not None:
                    there.setdefault(_gradients(picture), []).append((path, picture))
            found = []
            for path in subject.files[second]:
                if (picture := small[path]) is None:
                    continue
                for other, like in there.get(_gradients(picture), []):
                    if other == path or _hash(other, hashes) == _hash(path, hashes):
                        continue  # which other checks report
                    if np.abs(picture - like).mean() < _SAME:
                        found.append((path, other))
                        break
            if found:
                yield _finding(
                    self, subject, first, second, found, "the same picture in another size or compression"
                )


def _finding(
    check: Check[Splits],
    subject: Splits,
    first: str,
    second: str,
    shared: Sequence[tuple[Path, Path]],
    what: str,
) -> Finding:
    return check.finding(
        subject,
        f"{len(shared)} of {len(subject.files[second])} images of {second} are in {first} too ({what}): scores on them "
        "are on training pictures."
        if first == "train"
        else f"{len(shared)} of {len(subject.files[second])} images of {second} are in {first} too ({what}).",
        f"take them out of {first} or of {second}",
        count=len(shared),
        total=len(subject.files[second]),
        examples=(_example(path, other) for path, other in shared),
    )


def _example(path: Path, other: Path) -> Example:
    if path == other:
        return Example(str(path), image=str(path))
    return Example(str(path), found=f"is {other}", image=str(path), other=str(other))


def _by_size(files: Sequence[Path]) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    for path in dict.fromkeys(files):
        if path.is_file():
            found.setdefault(path.stat().st_size, []).append(path)
    return found


def _hash(path: Path, known: dict[Path, bytes]) -> bytes:
    if path not in known:
        known[path] = hashlib.sha256(path.read_bytes()).digest()
    return known[path]


def _small(path: Path) -> npt.NDArray[np.float32] | None:
    """Return a picture as (32, 32) gray levels; None if it cannot be decoded or is flat."""
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), dtype=np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_2)
    except (OSError, cv2.error):  # missing or damaged, which other checks report
        return None
    if image is None:
        return None
    small = cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return None if small.std() < _FLAT else np.asarray(small)


def _is_flat(path: Path) -> bool:
    return _small(path) is None


def _gradients(picture: npt.NDArray[np.float32]) -> bytes:
    """Return a hash that compression and size hardly change: which of 4 x 4 neighboring regions are brighter."""
    coarse = cv2.resize(picture, (5, 4), interpolation=cv2.INTER_AREA)
    return np.packbits(coarse[:, 1:] > coarse[:, :-1]).tobytes()
