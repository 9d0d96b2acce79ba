"""Names of repositories on the Hugging Face hub, told from paths; nothing is asked of the hub."""

import re

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
RELEASED = "facebook/sapiens2-"


def is_hub_id(source: str) -> bool:
    """Whether `source` looks like `organisation/name` rather than a path to a file."""
    return HUB_ID.fullmatch(source) is not None and not source.endswith(FILE_ENDINGS)


def is_released(hub_id: str) -> bool:
    """Whether it is one of Meta's own repositories, which a file may name to be fetched."""
    return hub_id.startswith(RELEASED) and is_hub_id(hub_id)
