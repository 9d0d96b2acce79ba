"""Checkpoints of runs as files, and reading those that sharded runs wrote as folders."""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from sapiens2_lit.parallel.checkpoint import read_whole


class RunCheckpointIO(TorchCheckpointIO):
    """Writes a file whole or not at all, and reads the folder of a sharded run as if it were a file.

    Args:
        optimizers: read the states of optimizers from folders, too, as training needs them.
    """

    def __init__(self, optimizers: bool = True) -> None:
        self.optimizers = optimizers

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        part = path.with_name(f".{path.name}.part")
        super().save_checkpoint(checkpoint, part, storage_options)
        part.replace(path)

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        if Path(path).is_dir():
            return read_whole(Path(path), self.optimizers)
        return super().load_checkpoint(path, map_location, weights_only)
