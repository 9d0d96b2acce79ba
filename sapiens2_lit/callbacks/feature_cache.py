"""Epochs after the first train heads from features on disk, without the frozen backbone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from sapiens2_lit.checkpoints.identity import fingerprint
from sapiens2_lit.datamodules.cached import CachedDataset
from sapiens2_lit.errors import SettingError
from sapiens2_lit.feature_store import GIGABYTE, FeatureStore
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.parallel.strategy import ShardedStrategy


class FeatureCache(L.Callback):
    """Stores what a frozen backbone computes for each training sample, and takes it from there the next time.

    Features are stored in bfloat16. They are valid for a backbone with these weights and for just these pixels: another
    backbone, size or precision takes a cache of its own; a sample whose image or augmentation changed is computed anew,
    and counted.

    Args:
        folder: for the caches; null for no cache.
        views: how many augmented views of each sample there are; epoch e shows view e modulo `views`, so that the first
            `views` epochs compute features and the others read them.
        limit_gb: greatest size of the cache in GB; it is announced before it is made.
    """

    def __init__(self, folder: str | None = None, views: int = 1, limit_gb: float = 50.0) -> None:
        if views < 1:
            raise SettingError(f"feature_cache.views: found {views}, expected 1 or more")
        if folder is None and (views, limit_gb) != (1, 50.0):
            raise SettingError(
                "feature_cache: views and limit_gb have no effect without feature_cache.folder"
            )
        self.folder = folder
        self.views = views
        self.limit_gb = limit_gb
        self.store: FeatureStore | None = None
        self.dataset: CachedDataset | None = None
        self.stale = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Let the training data read from the cache, before its loader is made.

        Raises:
            SettingError: the data cannot be cached.
        """
        if self.folder is None or stage != "fit":
            return
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "wrap_training") or "train" not in getattr(data, "datasets", {}):
            raise SettingError(f"feature_cache: {type(data).__name__} does not hand out samples one by one")
        if getattr(data.augment, "on_device", False):
            raise SettingError(
                "feature_cache: data.augment.on_device varies pixels after the loader; set it to false"
            )
        data.wrap_training = self.wrap

    def wrap(self, dataset: Any) -> CachedDataset:
        self.dataset = CachedDataset(dataset, self.views)
        self.dataset.store = self.store
        return self.dataset

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the cache.

        Raises:
            SettingError: the backbone is trained or sharded, or the cache would be too large.
        """
        if self.folder is None:
            return
        assert isinstance(pl_module, SapiensModule)
        if isinstance(
            trainer.strategy, ShardedStrategy
        ):  # a rank that has its features would not gather blocks
            raise SettingError(
                "feature_cache: a sharded backbone has to run on all ranks at once; use --config strategy/ddp.yaml"
            )
        if pl_module.adaptation is None or pl_module.adaptation.learns:
            raise SettingError(
                "feature_cache: features of a backbone that is trained change; set model.adapt.mode to frozen"
            )
        self.store = self.open(trainer, pl_module, trainer.datamodule)  # type: ignore[attr-defined]  # see setup
        pl_module.feature_cache = self
        if self.dataset is not None:
            self.dataset.store = self.store

    def open(self, trainer: L.Trainer, module: SapiensModule, data: Any) -> FeatureStore:
        backbone = module.backbone
        assert backbone is not None
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            maps = module.features(
                torch.zeros(1, 3, *data.image_size, dtype=torch.uint8, device=module.device)
            )
        about = {
            "backbone": type(backbone).__qualname__,
            "weights": fingerprint(dict(backbone.named_parameters())),
            "rope": str(getattr(backbone, "rope_dtype", None)),
            "maps": str(getattr(backbone, "out_indices", None)),
            "image_size": list(data.image_size),
            "precision": str(trainer.precision),
            "views": self.views,
        }
        rows = len(data.datasets["train"]) * self.views
        assert self.folder is not None
        store = FeatureStore(Path(self.folder), about, rows, (len(maps), *maps[0].shape[1:]), self.limit_gb)
        rank_zero_info(
            "Feature cache %s: %.2f GB when full, %d of %d rows filled.",
            store.folder, store.bytes / GIGABYTE, len(store), rows,
        )  # fmt: skip
        for folder, size in store.others().items():
            rank_zero_warn(
                f"{folder}: a cache of another backbone, precision or dataset ({size / GIGABYTE:.2f} GB); it is "
                "not used: delete it if you like."
            )
        return store

    def features(self, batch: Batch, compute: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
        """The feature maps of a batch from `CachedDataset`; those that are not stored are computed, and stored.

        All pass bfloat16, so that it makes no difference which were stored.
        """
        assert self.store is not None
        missing = (~batch["cached"]).nonzero()[:, 0]
        features: Tensor = batch["features"]
        if len(missing):
            rows, marks = batch["cache_row"][missing].cpu(), batch["cache_mark"][missing].cpu()
            self.stale += int((self.store.marks[rows] != 0).sum())
            found = torch.stack(compute(batch["image"][missing]), dim=1).to(torch.bfloat16)
            self.store.write(rows, marks, found.cpu())
            features = features.index_copy(0, missing, found)
        kind = features.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        return list(features.to(dtype).unbind(dim=1))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.stale:
            rank_zero_warn(
                f"Feature cache: {self.stale} rows were of other pixels than the data now has, and were computed anew: "
                "images, augmentation or seed changed since they were stored."
            )
            self.stale = 0

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.store is not None:
            assert isinstance(pl_module, SapiensModule)
            pl_module.feature_cache = None
            trainer.datamodule.wrap_training = None  # type: ignore[attr-defined]  # set above
            self.store = self.dataset = None
