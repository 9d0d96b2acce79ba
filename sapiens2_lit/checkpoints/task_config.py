"""The configuration that a task file of this package holds besides tensors: in a header, or in `meta` of a v1 file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.checkpoints.renames import translate_config
from sapiens2_lit.errors import WeightsError

CONFIG = "sapiens2_lit.config"  # key in a header or in `meta`: JSON of the networks' configuration
V1 = ".pth"


def read_task_config(file: Path) -> dict[str, Any]:
    """Return the configuration of the networks of a task file; empty if it has none.

    Raises:
        WeightsError: The file or its header cannot be read, or it holds something else there.
    """
    try:
        text = _text(file)
        config = json.loads(text) if text else {}
        config = translate_config(config) if isinstance(config, dict) else config
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: expected safetensors with a readable header; {error}.") from error
    if not isinstance(config, dict):
        raise WeightsError(
            f"{file}: {CONFIG}: found {type(config).__name__}, expected a mapping of settings."
        )
    return config


def _text(file: Path) -> str | None:
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as opened:
            return (opened.metadata() or {}).get(CONFIG)
    if file.suffix != V1 or not file.is_file():
        return None
    content = read_pickle(file)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    found = meta.get(CONFIG) if isinstance(meta, Mapping) else None
    return found if isinstance(found, str) else None
