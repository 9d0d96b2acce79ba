"""Write checkpoints of runs as files, and read those that sharded runs wrote as folders."""

import os
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO

from sapiens2_lit.archives.safe_pickle import read_pickle
from sapiens2_lit.archives.verify import verify_file
from sapiens2_lit.archives.write_archive import archive_bytes, write_archive
from sapiens2_lit.atomic_write import check_room, unwritable_is_error, whole_file
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.parallel.checkpoint import read_whole

LOOPS = {"fit_loop", "validate_loop", "test_loop", "predict_loop"}


class RunCheckpointIO(TorchCheckpointIO):
    """Writes a file completely or not at all, directly into its folder; reads the folder of a sharded run like a file.

    Args:
        optimizers: Read the states of optimizers from folders, too, which training needs.
    """

    def __init__(self, optimizers: bool = True) -> None:
        self.optimizers = optimizers

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        needed = archive_bytes(checkpoint)
        with unwritable_is_error(path, needed=needed), whole_file(path, mark="part", durable=True) as part:
            check_room(path.parent, needed)
            write_archive(checkpoint, part)

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: bool | None = None
    ) -> dict[str, Any]:
        if Path(path).is_dir():
            return read_whole(Path(path), self.optimizers)
        if weights_only is False or "://" in str(path):
            if "://" not in str(path):
                verify_file(Path(path))
            return super().load_checkpoint(path, map_location, weights_only)
        return checkpoint_of(read_pickle(Path(path), mmap=False), path)


def checkpoint_of(content: Any, path: Any) -> dict[str, Any]:
    """Return the content of a file if it is a checkpoint of a Trainer.

    Raises:
        WeightsError: It is something else.
    """
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise WeightsError(f"{path}: expected a checkpoint of a run, with a state_dict.")
    loops = content.get("loops")
    if loops is not None and not (isinstance(loops, dict) and set(loops) >= LOOPS):
        raise WeightsError(
            f"{path}: loops: expected the state of {', '.join(sorted(LOOPS))}, as a Trainer saves it."
        )
    for name, state in (content.get("callbacks") or {}).items():
        check_own_folder(state, f"{path}: callbacks: {name}")
    return content


def check_own_folder(state: Any, place: str) -> None:
    """Check that a callback's state lists only checkpoints in its folder, since the callback may remove them.

    Raises:
        WeightsError: It lists a file outside the folder.
    """
    models = state.get("best_k_models") if isinstance(state, dict) else None
    if not models:
        return
    folder = os.path.abspath(str(state.get("dirpath")))  # noqa: PTH100 (`..` is resolved, links are not)
    for file in models:
        if os.path.dirname(os.path.abspath(str(file))) != folder:  # noqa: PTH100, PTH120
            raise WeightsError(f"{place}: best_k_models: found {file}, expected a file in {folder}.")
