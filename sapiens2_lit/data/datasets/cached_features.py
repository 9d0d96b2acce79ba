"""Training samples with features that a frozen backbone computed for them before."""

from collections.abc import Sized
from typing import Any

import torch
from torch.utils.data import Dataset

from sapiens2_lit.data.feature_store import FeatureStore, mark_of
from sapiens2_lit.data.loading import Key, split_key


class CachedDataset(Dataset[dict[str, Any]]):
    """A training dataset that shows each sample in a few views, with their features if they are stored.

    Besides its keys, a sample has `features` (M, C, h, w) bfloat16, zeros if they are not stored; `cached`, whether
    they are stored; `cache_row` and `cache_mark`, the row and the mark to store them with.

    Args:
        dataset: a dataset that takes keys (epoch, index).
        views: an epoch shows view epoch % views of every sample.

    Attributes:
        store: it has `views` rows for each sample; set it before the first sample is read.
    """

    def __init__(self, dataset: Dataset[dict[str, Any]], views: int) -> None:
        self.dataset = dataset
        self.views = views
        self.store: FeatureStore | None = None

    def __len__(self) -> int:
        assert isinstance(self.dataset, Sized)
        return len(self.dataset)

    def __getitem__(self, key: int | Key) -> dict[str, Any]:
        assert self.store is not None, "no store was opened"
        epoch, index = split_key(key, len(self))
        view = epoch % self.views
        sample = self.dataset[(view, index)]
        row, mark = view * len(self) + index, mark_of(sample["image"])
        features = self.store.read(row, mark)
        return {
            **sample,
            "features": torch.zeros(self.store.shape, dtype=torch.bfloat16) if features is None else features,
            "cached": torch.tensor(features is not None),
            "cache_row": torch.tensor(row),
            "cache_mark": torch.tensor(mark),
        }
