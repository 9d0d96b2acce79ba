"""`samples.jsonl`: the pictures that a model labeled, each with the hash of its bytes and its confidence."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens2_lit.data.pseudo.origin import SAMPLES
from sapiens2_lit.errors import DataError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Sample:
    """A picture with predicted labels.

    Attributes:
        name: the stem of its picture and labels.
        image: its picture, under images/.
        size: bytes of the picture.
        sha256: of these bytes.
        confidence: by head, the mean over its labeled pixels or points; None if nothing is labeled.
    """

    name: str
    image: str
    size: int
    sha256: str
    confidence: Mapping[str, float | None]


def read_samples(root: Path) -> list[Sample]:
    """Return all pictures of a finished folder.

    Raises:
        DataError: the file is missing or broken.
    """
    path = root / SAMPLES
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_sample(json.loads(line)) for line in lines]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{path}: the list of labeled pictures cannot be read ({type(error).__name__}: {error}): predict again."
        ) from error


def find_same(samples: Iterable[Sample], files: Iterable[Path]) -> dict[str, Path]:
    """Return the file that equals a sample's picture, byte for byte, by the sample's name.

    Only files with the size of a sample are hashed.
    """
    by_content: dict[tuple[int, str], list[str]] = {}
    for sample in samples:
        by_content.setdefault((sample.size, sample.sha256), []).append(sample.name)
    sizes = {size for size, _ in by_content}
    found: dict[str, Path] = {}
    for path in dict.fromkeys(files):
        if path.is_file() and (size := path.stat().st_size) in sizes:
            for name in by_content.get((size, hash_of(path)), ()):
                found.setdefault(name, path)
    return found


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sample(line: Mapping[str, Any]) -> Sample:
    return Sample(line["name"], line["image"], line["bytes"], line["sha256"], line["confidence"])
