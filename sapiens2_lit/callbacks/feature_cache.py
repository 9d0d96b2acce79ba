"""Store features of a frozen backbone on disk, so that epochs after the first train only the heads."""

import logging
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from sapiens2_lit.checkpoints.fingerprint import fingerprint
from sapiens2_lit.data.datasets.cached_features import CachedDataset
from sapiens2_lit.data.feature_store import FeatureStore, check_sizes, others, size_text
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.datamodules.parts import datamodule_parts
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.parallel.strategy import ShardedStrategy
from sapiens2_lit.training.module import SapiensModule

_log = logging.getLogger(__name__)


class FeatureCache(L.Callback):
    """Stores what a frozen backbone computes for each training sample, and reads it the next time.

    Features are stored in bfloat16. They are valid for a backbone with these weights and for exactly these pixels:
    another backbone, size or precision gets its own cache; a sample whose image or augmentation has changed is
    computed again and counted. Validation and test always compute features.

    Args:
        folder: For the caches; null for no cache. Each of several datasets gets its own cache.
        views: Number of augmented views of each sample; epoch e shows view e modulo `views`, so that the first `views`
            epochs compute features and the others read them.
        limit_gb: Largest size of this run's caches in GB; the size is logged before they are created.
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
        self.stores: dict[str, FeatureStore] = {}  # by dataset
        self.datasets: dict[str, CachedDataset] = {}
        self.stale = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Let the training data read from the cache, before their loader is made.

        Raises:
            SettingError: The data cannot be cached.
        """
        if self.folder is None or stage != "fit":
            return
        for name, data in parts_of(trainer).items():
            if data.augments_on_device:
                place = f"data.datasets.{name}" if name else "data"
                raise SettingError(
                    f"feature_cache: {place}.augment.on_device varies pixels after the loader; set it to false"
                )
            data.train_dataset_wrapper = partial(self.wrap, name)

    def wrap(self, name: str, dataset: Any) -> CachedDataset:
        """Return a training dataset that reads its features from the cache."""
        cached = CachedDataset(dataset, self.views)
        cached.store = self.stores.get(name)
        self.datasets[name] = cached
        return cached

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the cache.

        Raises:
            SettingError: The backbone is trained or sharded, or the cache would be too large.
        """
        if self.folder is None:
            return
        assert isinstance(pl_module, SapiensModule)
        if isinstance(
            trainer.strategy, ShardedStrategy
        ):  # a rank with stored features would not take part in gathering blocks
            raise SettingError(
                "feature_cache: a sharded backbone has to run on all ranks at once; use --config strategy/ddp.yaml"
            )
        if pl_module.adaptation is None or pl_module.adaptation.learns:
            raise SettingError(
                "feature_cache: features of a backbone that is trained change; set model.adapt.mode to frozen"
            )
        self.stores = self.open(trainer, pl_module, Path(self.folder))
        pl_module.feature_cache = self
        for name, cached in self.datasets.items():
            cached.store = self.stores[name]

    def open(self, trainer: L.Trainer, module: SapiensModule, folder: Path) -> dict[str, FeatureStore]:
        """Check and log the size of the caches, and return an opened store for each dataset.

        Args:
            trainer: Of the run.
            module: That is trained.
            folder: For the caches.
        """
        parts = parts_of(trainer)
        height, width = next(iter(parts.values())).image_size
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            maps = module.features(torch.zeros(1, 3, height, width, dtype=torch.uint8, device=module.device))
        shape, about = (len(maps), *maps[0].shape[1:]), self.about(trainer, module)
        stores = {}
        for name, data in parts.items():
            own = {**about, "image_size": [height, width], "dataset": name}
            stores[name] = FeatureStore(folder, own, len(data.datasets["train"]) * self.views, shape)
        check_sizes(stores.values(), self.limit_gb)
        for store in stores.values():
            rank_zero_info(
                "Feature cache %s: %s for %d rows", store.folder, size_text(store.bytes), store.rows
            )
            rank_zero_info("  %d of them are filled; training fills the others", len(store.open()))
        for place, size in others(stores.values()).items():
            rank_zero_info(
                "  %s beside it (%s) belongs to another backbone, size, precision, release or number of samples or "
                "views, and is not used: delete it if you like",
                place, size_text(size),
            )  # fmt: skip
        return stores

    def about(self, trainer: L.Trainer, module: SapiensModule) -> dict[str, Any]:
        """Return everything that features depend on besides the pixels."""
        backbone = module.backbone
        assert backbone is not None
        return {
            "release": version("sapiens2-lit"),
            "backbone": type(backbone).__qualname__,
            "weights": fingerprint(dict(backbone.named_parameters())),
            **backbone.feature_settings(),
            "precision": str(trainer.precision),
            "views": self.views,
        }

    def features(self, batch: Batch, compute: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
        """Return the feature maps (B, C, H, W) of a batch from `CachedDataset`; missing ones are computed and stored.

        All features pass through bfloat16, so that it makes no difference which were stored.

        Args:
            batch: Of the training data.
            compute: Returns the feature maps of images (B, 3, H, W).
        """
        store = self.stores[batch.get("dataset", "")]
        missing = (~batch["cached"]).nonzero()[:, 0]
        features: Tensor = batch["features"]
        if len(missing):
            rows, marks = batch["cache_row"][missing].cpu(), batch["cache_mark"][missing].cpu()
            self.stale += int((store.marks[rows] != 0).sum())
            found = torch.stack(compute(batch["image"][missing]), dim=1).to(torch.bfloat16)
            store.write(rows, marks, found.cpu())
            features = features.index_copy(0, missing, found)
        kind = features.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        return list(features.to(dtype).unbind(dim=1))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.stale:  # on this rank
            _log.warning(
                "Feature cache: %d rows did not match the pixels of the data, and were computed again: images, "
                "augmentation or seed have changed since they were stored, or another run varies them differently.",
                self.stale,
            )
            self.stale = 0

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.stores:
            assert isinstance(pl_module, SapiensModule)
            pl_module.feature_cache = None
            for data in parts_of(trainer).values():
                data.train_dataset_wrapper = None
            self.stores, self.datasets = {}, {}


def parts_of(trainer: L.Trainer) -> dict[str, ImageDataModule]:
    """Return the datamodules whose training samples are cached, by name; the name of a single one is "".

    Raises:
        SettingError: The data are of another kind.
    """
    parts = datamodule_parts(getattr(trainer, "datamodule", None))
    for data in parts.values():
        if not isinstance(data, ImageDataModule):
            raise SettingError(
                f"feature_cache: {type(data).__name__} does not hand out samples one by one; expected an "
                "ImageDataModule or several of them"
            )
    return parts
