"""Heads learn the same from stored features, and from none that is of other pixels."""

import logging
import os
import pickle
import shutil
from collections import namedtuple
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.callbacks import FeatureCache
from sapiens2_lit.data.feature_store import FeatureStore, check_sizes, mark_of, reserve
from sapiens2_lit.data.shards.pack import pack
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.datamodules import MultitaskDataModule, PoseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.transforms import PoseAugmentation


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(Sapiens2("test").state_dict(), path)
    return str(path)


class Run:
    """One training; `passes` counts the images that the backbone saw."""

    def __init__(
        self,
        figures: Path,
        folder: Path,
        weights: str,
        cache: FeatureCache | None,
        epochs: int = 3,
        schedule: Any = None,
        **data: Any,
    ) -> None:
        torch.manual_seed(0)
        self.module = SapiensModule(
            partial(Sapiens2, "test", weights=weights),
            {"pose": partial(PoseHead, skeleton="coco17")},
            adapt=Adapt("frozen"),
            optimizer=partial(torch.optim.AdamW, lr=1e-3),
            flip_test=False,
        )
        self.passes, compute = 0, self.module.features

        def counted(images: torch.Tensor) -> list[torch.Tensor]:
            self.passes += len(images)
            return compute(images)

        self.module.features = counted  # type: ignore[method-assign]
        settings = {
            "augment": PoseAugmentation(rotation=5),
            "batch_size": 4,
            "num_workers": 0,
            "seed": 0,
            "val": None,
        }
        self.data: L.LightningDataModule
        if schedule is None:
            self.data = PoseDataModule(str(figures), "coco17", (64, 48), **(settings | data))
        else:
            inner = {name: PoseDataModule(str(figures), "coco17", **(settings | data)) for name in ("a", "b")}
            inner["b"]._seed = 7
            self.data = MultitaskDataModule(dict(inner), schedule, image_size=(64, 48), seed=0)
        self.losses: list[float] = []
        trainer = L.Trainer(
            accelerator="cpu", max_epochs=epochs, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=folder, callbacks=[self.record(), *([cache] if cache else [])],
        )  # fmt: skip
        trainer.fit(self.module, self.data)

    def record(self) -> L.Callback:
        losses = self.losses

        class Record(L.Callback):
            def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, *_: Any) -> None:
                losses.append(float(outputs["loss"]))

        return Record()


PROBE = 1  # image that tells the features' shape


@pytest.mark.slow
def test_later_epochs_read_what_the_first_computed(figures: Path, weights: str, tmp_path: Path) -> None:
    cached = Run(figures, tmp_path, weights, FeatureCache(str(tmp_path / "cache")))
    assert cached.passes == 12 + PROBE
    plain = Run(figures, tmp_path, weights, None)
    assert plain.passes == 36
    first = slice(0, 3)  # the epoch whose augmentation both share; features pass bfloat16
    assert cached.losses[first] == pytest.approx(plain.losses[first], rel=2e-2)
    again = Run(figures, tmp_path, weights, FeatureCache(str(tmp_path / "cache")))
    assert again.passes == PROBE
    assert again.losses == cached.losses


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["round_robin", "all"])
def test_each_of_several_datasets_has_a_cache_of_its_own(
    schedule: Any, figures: Path, weights: str, tmp_path: Path
) -> None:
    """Both have as many samples, and their own augmentation."""
    folder = tmp_path / "cache"
    cached = Run(figures, tmp_path, weights, FeatureCache(str(folder)), epochs=2, schedule=schedule)
    assert cached.passes == 24 + PROBE
    assert len(list(folder.iterdir())) == 2
    plain = Run(figures, tmp_path, weights, None, epochs=1, schedule=schedule)
    assert cached.losses[: len(plain.losses)] == pytest.approx(plain.losses, rel=2e-2)


def test_several_datasets_share_one_limit(figures: Path, weights: str, tmp_path: Path) -> None:
    one = 12 * 4 * 3 * Sapiens2("test").embed_dim * 2 / 1e9
    with pytest.raises(SettingError, match="limit_gb: 24 rows"):
        Run(figures, tmp_path, weights, FeatureCache(str(tmp_path), limit_gb=1.5 * one), schedule="all")


def test_views_differ_and_come_again(figures: Path, weights: str, tmp_path: Path) -> None:
    run = Run(figures, tmp_path, weights, FeatureCache(str(tmp_path / "cache"), views=2), epochs=4)
    assert run.passes == 24 + PROBE
    store = next((tmp_path / "cache").glob("*/marks.int64"))
    marks = torch.from_file(str(store), size=24, dtype=torch.int64)
    assert len(marks.unique()) == 24


def test_other_pixels_are_computed_anew_and_counted(
    figures: Path, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(tmp_path / "cache")
    Run(figures, tmp_path, weights, FeatureCache(folder), epochs=1)
    changed = Run(
        figures, tmp_path, weights, FeatureCache(folder), epochs=1, augment=PoseAugmentation(rotation=6)
    )
    assert 0 < changed.passes - PROBE <= 12
    assert f"{changed.passes - PROBE} rows did not match the pixels" in caplog.text


def pack_figures(figures: Path, out: Path) -> Path:
    """Write `figures` in shards."""
    pack(figures, out, 10_000, "fast", 1, lambda _: None)
    assert len(list(out.glob("*.tar"))) > 2
    return out


@pytest.mark.slow
def test_packed_data_and_their_folder_share_a_cache(figures: Path, weights: str, tmp_path: Path) -> None:
    """A cache filled from either serves the other; the order of shards and worker processes change no row."""
    packed = pack_figures(figures, tmp_path / "packed")
    as_folder, few_shards = ({"shards": ShardReading(window=window)} for window in (None, 1))
    from_folder, from_pack = tmp_path / "from_folder", tmp_path / "from_pack"
    loose = Run(figures, tmp_path, weights, FeatureCache(str(from_folder)))
    shards = Run(packed, tmp_path, weights, FeatureCache(str(from_pack)), **as_folder)
    assert (loose.passes, shards.passes) == (12 + PROBE, 12 + PROBE)
    assert shards.losses == loose.losses
    for root, folder, settings in ((packed, from_folder, as_folder), (figures, from_pack, {})):
        again = Run(root, tmp_path, weights, FeatureCache(str(folder)), **settings)
        assert again.passes == PROBE
        assert again.losses == loose.losses
    ordered = Run(packed, tmp_path, weights, FeatureCache(str(tmp_path / "own")), **few_shards)
    assert ordered.losses != loose.losses
    plain = Run(packed, tmp_path, weights, None, epochs=1, **few_shards)
    assert ordered.losses[:3] == pytest.approx(plain.losses, rel=2e-2)
    workers = Run(packed, tmp_path, weights, FeatureCache(str(from_folder)), num_workers=2, **few_shards)
    assert workers.passes == PROBE
    assert workers.losses == ordered.losses


@pytest.mark.slow
def test_features_of_a_pack_that_changed_are_computed_anew(
    figures: Path, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three pictures are turned upside down, and the folder is packed again into the same place."""
    copy, packed, folder = tmp_path / "figures", tmp_path / "packed", str(tmp_path / "cache")
    shutil.copytree(figures, copy)
    before = Run(pack_figures(copy, packed), tmp_path, weights, FeatureCache(folder))
    for path in sorted((copy / "images").iterdir())[:3]:  # of those for training
        with Image.open(path) as image:
            turned = image.transpose(Image.Transpose.ROTATE_180)
        turned.save(path)
    shutil.rmtree(packed)
    changed = Run(pack_figures(copy, packed), tmp_path, weights, FeatureCache(folder))
    assert changed.passes == 3 + PROBE
    assert "3 rows did not match the pixels" in caplog.text
    fresh = Run(packed, tmp_path, weights, FeatureCache(str(tmp_path / "new")))
    assert changed.losses == fresh.losses != before.losses


def test_another_backbone_takes_another_cache(
    figures: Path, weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(tmp_path / "cache")
    caplog.set_level(logging.INFO)
    Run(figures, tmp_path, weights, FeatureCache(folder), epochs=1)
    torch.manual_seed(2)
    other = tmp_path / "other.safetensors"
    save_file(Sapiens2("test").state_dict(), other)
    assert Run(figures, tmp_path, str(other), FeatureCache(folder), epochs=1).passes == 12 + PROBE
    assert "belongs to another backbone" in caplog.text


def test_a_cache_above_the_limit_is_refused_before_it_is_made(
    figures: Path, weights: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="limit_gb"):
        Run(figures, tmp_path, weights, FeatureCache(str(tmp_path / "cache"), limit_gb=1e-6))
    assert not list(tmp_path.glob("cache/*/features.bf16"))


def test_a_backbone_that_learns_is_refused(figures: Path, weights: str, tmp_path: Path) -> None:
    module = SapiensModule(partial(Sapiens2, "test"), {"pose": PoseHead}, adapt=Adapt("full"))
    module.configure_model()
    with pytest.raises(SettingError, match=r"model\.adapt\.mode to frozen"):
        FeatureCache(str(tmp_path)).on_fit_start(L.Trainer(accelerator="cpu", logger=False), module)


def test_settings_without_folder_are_an_error() -> None:
    with pytest.raises(SettingError, match="no effect"):
        FeatureCache(views=3)


def new_store(folder: Path) -> FeatureStore:
    return FeatureStore(folder, {"a": 1}, rows=3, shape=(2, 4, 2, 2))


def test_store_gives_back_what_was_written_for_the_same_pixels_alone(tmp_path: Path) -> None:
    store = new_store(tmp_path).open()
    features = torch.randn(1, 2, 4, 2, 2).bfloat16()
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    assert store.read(1, mark_of(image)) is None
    store.write(torch.tensor([1]), torch.tensor([mark_of(image)]), features)
    again = pickle.loads(pickle.dumps(new_store(tmp_path).open()))  # as loader processes get it
    found = again.read(1, mark_of(image))
    assert found is not None
    assert torch.equal(found, features[0])
    assert again.read(1, mark_of(255 - image)) is None
    assert again.read(0, mark_of(image)) is None
    assert len(again) == 1


def test_row_that_another_run_writes_meanwhile_is_not_read(tmp_path: Path) -> None:
    store = new_store(tmp_path).open()
    store.write(torch.tensor([1]), torch.tensor([5]), torch.zeros(1, 2, 4, 2, 2).bfloat16())
    assert store.read(1, 5) is not None
    features = store.features

    class Overwritten:
        def __getitem__(self, row: int) -> torch.Tensor:
            store.marks[row] = 0
            return features[row]

    store.features = Overwritten()  # type: ignore[assignment]
    assert store.read(1, 5) is None


def test_disk_space_is_looked_at_before_and_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 90, 10))
    with pytest.raises(SettingError, match="free"):
        check_sizes([new_store(tmp_path / "new")], limit=1)
    assert not (tmp_path / "new").exists()
    store = new_store(tmp_path / "new").open()
    check_sizes([store], limit=1)  # its space is taken already
    holes = tmp_path / "holes"
    with holes.open("wb") as opened:
        opened.truncate(1 << 20)
    reserve(holes, 1 << 20)
    assert holes.stat().st_size == 1 << 20
    if hasattr(os, "posix_fallocate"):
        assert holes.stat().st_blocks * 512 >= 1 << 20


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"feature_cache\.folder: .*file"):
        new_store(tmp_path / "file").open()
