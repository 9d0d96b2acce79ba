"""Training samples whose pixels are varied on the device."""

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import Key, split_key

SEED = "pixel_seed"  # the batch's key, gone once the batch is on the device
_STREAM = 1  # apart from the numbers that decide the view


class SeededPixels(Dataset[dict[str, Any]]):
    """A training dataset whose samples say, by a seed, how their pixels are to be varied.

    The seed depends on the run's seed, the epoch and the index alone, as everything random in a sample: a run that is
    resumed varies them alike.

    Args:
        dataset: what takes keys (epoch, index).
        seed: of the run.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        epoch, index = split_key(key, len(self))
        rng = np.random.default_rng((self.seed, epoch, index, _STREAM))
        return {**self.dataset[key], SEED: torch.tensor(int(rng.integers(2**63)))}
