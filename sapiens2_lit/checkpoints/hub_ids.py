"""Distinguish names of repositories on the Hugging Face hub from paths, without asking the hub."""

import re

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
RELEASED = "facebook/sapiens2-"


def is_hub_id(source: str) -> bool:
    """Return whether `source` looks like `organization/name` rather than a path to a file."""
    return HUB_ID.fullmatch(source) is not None and not source.endswith(FILE_ENDINGS)


def is_released(hub_id: str) -> bool:
    """Return whether it is one of Meta's repositories, which may be fetched when a file names them."""
    return hub_id.startswith(RELEASED) and is_hub_id(hub_id)
