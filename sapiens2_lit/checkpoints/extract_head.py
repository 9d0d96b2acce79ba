"""Save one head of a multitask checkpoint as a separate file."""

import json
from pathlib import Path

from sapiens2_lit.checkpoints.format import VOCABULARY
from sapiens2_lit.checkpoints.head_names import read_head_names, to_json
from sapiens2_lit.checkpoints.reader import locate, read_meta, read_weights
from sapiens2_lit.checkpoints.released_names import released_state
from sapiens2_lit.checkpoints.sapiens1_file import PADDING, own_padding
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.errors import WeightsError


def take_head(checkpoint: str | Path, head: str, path: str | Path, *, backbone: str | None = None) -> Path:
    """Write the backbone and one head of a checkpoint as a task file in the released layout.

    The file can be the `model.weights` of a run with only that head, and predicts what the checkpoint's head predicted:
    it contains averaged weights if there are any, and adapters are merged.

    Args:
        checkpoint: A checkpoint or weights file of this project, with any number of heads.
        head: Name of the head under `model.heads`.
        path: The safetensors file to write.
        backbone: Where the pretrained backbone is, if the checkpoint holds only what was trained and the backbone has
            moved.

    Raises:
        WeightsError: There is no such head, no complete backbone beside it, or the checkpoint's backbone is not found.
    """
    found = read_weights(checkpoint, backbone=backbone)
    tensors = released_state(found.tensors, head)
    backbone_names = [name for name in tensors if name.startswith("backbone.")]
    if not backbone_names:
        raise WeightsError(f"{found.origin}: found no backbone, which a task file needs beside the head.")
    if adapters := [name for name in backbone_names if "lora_" in name]:
        raise WeightsError(
            f"{found.origin}: found adapters ({adapters[0]}) in a file that does not say how to merge them."
        )
    names = read_head_names(str(checkpoint), found.tensors).get(head)
    vocabulary = {} if names is None else {VOCABULARY: json.dumps(to_json(names))}
    metadata = {"head": head, **vocabulary, **of_v1(locate(checkpoint)[0][0])}
    return write_weights(tensors, path, metadata=metadata)


def of_v1(checkpoint: Path) -> dict[str, str]:
    """Return what a header must add for a Sapiens v1 backbone: its padding, which no tensor shows, and its license."""
    padding = own_padding(checkpoint)
    if padding is None:
        return {}
    licence = read_meta(checkpoint).get("licence")
    return {PADDING: str(padding), **({"licence": str(licence)} if licence else {})}
