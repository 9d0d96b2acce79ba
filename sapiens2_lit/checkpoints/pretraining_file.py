"""The backbone that a pretraining saves: a file in the released layout that says where it comes from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sapiens2_lit.lora import is_lora, merge_state
from sapiens2_lit.parallel import whole

NAME = "backbone.safetensors"
ORIGIN = "sapiens2_lit.pretraining"  # key in the header: JSON


def gathered_backbone(backbone: nn.Module, scale: float) -> dict[str, Tensor]:
    """Return all tensors of a backbone on the CPU, with adapters merged; if it is sharded, every rank must call it.

    Args:
        backbone: The backbone.
        scale: Scale of the adapters, alpha / rank.
    """
    tensors = {name: whole(tensor.detach()).cpu() for name, tensor in nn.Module.state_dict(backbone).items()}
    return merge_state(tensors, scale) if any(map(is_lora, tensors)) else tensors


def read_origin(source: str | Path) -> Mapping[str, Any] | None:
    """Return what the header of a pretraining's file says; None for any other file."""
    path = Path(source).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            found = json.loads((opened.metadata() or {}).get(ORIGIN, "null"))
    except (SafetensorError, OSError, ValueError, RecursionError):
        return None  # the code that loads it reports what is wrong
    return found if isinstance(found, dict) else None
