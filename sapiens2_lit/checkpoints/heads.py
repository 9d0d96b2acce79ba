"""One head of a multitask checkpoint as a file of its own."""

from pathlib import Path

from sapiens2_lit.checkpoints.reader import read_weights
from sapiens2_lit.checkpoints.tasks import released_state
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.errors import WeightsError


def take_head(checkpoint: str | Path, head: str, path: str | Path) -> Path:
    """Write the backbone and one head of a checkpoint as a task file in the released layout.

    The file is what `model.weights` of a run with that head alone takes, and predicts what the checkpoint's head did.

    Args:
        checkpoint: a checkpoint or weights file of ours, of any number of heads.
        head: its name under `model.heads`.
        path: the safetensors file to write.

    Raises:
        WeightsError: there is no such head, or no whole backbone beside it.
    """
    found = read_weights(checkpoint)
    tensors = released_state(found.tensors, head)
    backbone = [name for name in tensors if name.startswith("backbone.")]
    if not backbone:
        raise WeightsError(f"{found.origin}: found no backbone, which a task file needs beside the head.")
    if adapters := [name for name in backbone if "lora_" in name]:
        raise WeightsError(
            f"{found.origin}: found adapters ({adapters[0]}), expected them merged into the backbone."
        )
    return write_weights(tensors, path, metadata={"head": head})
