"""Save the states of all random generators in every checkpoint, so that a resumed run draws the same numbers."""

import logging
import random
from typing import Any

import lightning as L
import numpy as np
import torch

from sapiens2_lit.parallel.collectives import gather_over_ranks

State = dict[str, Any]

_log = logging.getLogger(__name__)


class RandomState(L.Callback):
    """Saves the generators of PyTorch (CPU and this rank's GPU), NumPy and Python of each rank, and restores them.

    They are restored when training starts, after everything that was built has drawn from them, so that a run resumed
    in the middle of an epoch does not start that epoch again. Validation leaves them unchanged, so that it does not
    matter whether a run is resumed before or after one.
    """

    def __init__(self) -> None:
        self.saved: list[State] | None = None  # of each rank, until restored
        self.before_validation: State | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"ranks": gather_over_ranks(self.before_validation or generator_states())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.saved = state_dict["ranks"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.saved is None:
            return
        saved, self.saved = self.saved, None
        if len(saved) != trainer.world_size:
            _log.warning(
                "The checkpoint has random generators of %d ranks, this run has %d ranks: dropout and other random "
                "choices differ from those of an uninterrupted run.",
                len(saved),
                trainer.world_size,
            )
            return
        restore(saved[trainer.global_rank])

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.before_validation = generator_states()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.before_validation is not None:
            restore(self.before_validation)
            self.before_validation = None


def generator_states() -> State:
    """Return the states of this process's generators, as tensors, numbers and containers of these."""
    _, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 (other code uses it)
    version, words, next_gauss = random.getstate()
    state: State = {
        "torch": torch.get_rng_state(),
        "numpy": [torch.from_numpy(np.asarray(keys, np.int64)), int(place), int(has_gauss), float(gauss)],
        "python": [version, torch.tensor(words), next_gauss],
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore(state: State) -> None:
    """Set this process's generators to a state of `generator_states`; a GPU's only if both have one."""
    torch.set_rng_state(state["torch"].cpu())
    keys, place, has_gauss, gauss = state["numpy"]
    np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), place, has_gauss, gauss))  # noqa: NPY002
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), next_gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
