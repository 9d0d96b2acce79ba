"""Training samples whose pixels are varied on the device."""

from collections.abc import Sized
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import Key, split_key

SEED = "pixel_seed"  # key of the batch; it is gone once the batch is on the device
_STREAM = 1  # separate from the numbers that decide the view


class SeededPixels(Dataset[dict[str, Any]]):
    """A training dataset that adds a seed for the variation of pixels to each sample.

    The seed depends only on the run's seed, the epoch and the index, like everything random in a sample. So a resumed
    run varies samples in the same way.

    Args:
        dataset: a dataset that takes keys (epoch, index).
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
