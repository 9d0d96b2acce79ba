"""Vocabularies in a run's configuration: those from files are written out, because the files may be missing later."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.vocabularies import classes_loader, skeleton_loader
from sapiens2_lit.vocabularies.classes import Classes
from sapiens2_lit.vocabularies.file import SUFFIXES
from sapiens2_lit.vocabularies.outlined_classes import XML
from sapiens2_lit.vocabularies.skeleton import Skeleton
from sapiens2_lit.vocabularies.tool_classes import LABELMAP

ALIASES = skeleton_loader.ALIASES | classes_loader.ALIASES
_SHIPPED = (*skeleton_loader.SHIPPED, *classes_loader.SHIPPED, *ALIASES)


def is_file_name(vocabulary: str) -> bool:
    """Whether a vocabulary's setting is a file or a folder of LabelMe, not a shipped name."""
    if vocabulary in _SHIPPED:
        return False  # even if a file here has that name
    suffixes = (*SUFFIXES, LABELMAP, XML)
    return vocabulary.lower().endswith(suffixes) or Path(vocabulary).expanduser().is_dir()


def written_out(vocabulary: Skeleton | Classes) -> dict[str, Any]:
    """Return a vocabulary as JSON data, without the colors of mask files, which belong to the data."""
    if isinstance(vocabulary, Classes):
        vocabulary = replace(vocabulary, mask_colors={}, by_color=False)
    written: dict[str, Any] = json.loads(json.dumps(asdict(vocabulary)))
    return written
