"""Packed data are the folder that they were: samples, order, losses, checks, splits, several datasets."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.data.shards.pack import pack
from sapiens2_lit.data.shards.paths import ShardPath
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.datamodules import (
    MultitaskDataModule,
    NormalDataModule,
    PoseDataModule,
    SegmentationDataModule,
    UnlabeledDataModule,
)
from sapiens2_lit.heads import NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.inference.sources import open_source
from sapiens2_lit.models.network import Network
from sapiens2_lit.models.normalize import normalize

SIZE = (64, 48)
TASKS = {
    "pose": (PoseDataModule, PoseHead),
    "segmentation": (SegmentationDataModule, SegmentationHead),
    "normal": (NormalDataModule, NormalHead),
}


def make(kind: Any, root: Path | str, stage: str = "fit", **settings: Any) -> Any:
    data = kind(str(root), **{"image_size": SIZE, "num_workers": 0, "batch_size": 2} | settings)
    data.setup(stage)
    return data


def assert_same(first: Any, second: Any) -> None:
    """Batches, and what is in them, to the last bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        torch.testing.assert_close(first, second, rtol=0, atol=0, equal_nan=True)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert_same(value, second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second) > 0
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, str):  # such as the path of a sample, whose root is another
        assert first.rpartition("/")[2] == second.rpartition("/")[2]
    else:
        assert first == second


def losses(head: type[Any], batches: list[dict[str, Any]]) -> list[float]:
    """Of three steps of training."""
    torch.manual_seed(0)
    network = Network(Sapiens2("test", SIZE), {"head": head(Sapiens2("test", SIZE).embed_dim)})
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    found = []
    for batch in batches[:3]:
        outputs = network(normalize(batch["image"], network.backbone.mean, network.backbone.std))
        loss = sum(network.heads["head"].loss(outputs["head"], batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("task", TASKS)
def test_samples_and_losses_are_those_of_the_folder(people: Path, packed: Path, task: str) -> None:
    kind, head = TASKS[task]
    folder, shards = make(kind, people), make(kind, packed, shards=ShardReading(window=None))
    assert isinstance(shards.root, ShardPath)
    first, second = list(folder.train_dataloader()), list(shards.train_dataloader())
    assert_same(first, second)
    assert_same(list(folder.val_dataloader()), list(shards.val_dataloader()))
    assert losses(head, first) == losses(head, second)


def test_workers_read_the_same(packed: Path) -> None:
    alone = make(NormalDataModule, packed, shards=ShardReading(window=1))
    workers = make(NormalDataModule, packed, shards=ShardReading(window=1), num_workers=2)
    assert_same(list(alone.train_dataloader()), list(workers.train_dataloader()))


def test_a_path_is_the_same_in_another_process(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = next((open_root(packed) / "images").iterdir())
    stored = pickle.dumps(path)
    monkeypatch.setattr("sapiens2_lit.data.shards.paths._packs", {})  # as where nothing was opened
    assert pickle.loads(stored).read_bytes() == path.read_bytes()


def test_several_datasets_below_one_packed_root(people: Path, packed: Path) -> None:
    found = []
    for root in (people, packed):
        pose = PoseDataModule(root, num_workers=0, batch_size=3, shards=ShardReading(window=None))
        masks = SegmentationDataModule(root, num_workers=0, batch_size=2, shards=ShardReading(window=None))
        data = MultitaskDataModule({"pose": pose, "masks": masks}, image_size=SIZE, schedule="round_robin")
        data.setup("fit")
        found.append([batch for _, batch in zip(range(4), data.train_dataloader(), strict=False)])
    assert len(found[0]) == 4
    assert_same(*found)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "parts", [{"val": 0.3}, {"fold": "1/3"}, {"fold": "0/2", "group_by": "picture"}], ids=str
)
def test_parts_held_out_are_those_of_the_folder(
    people: Path, packed: Path, task: str, parts: dict[str, Any]
) -> None:
    kind, _ = TASKS[task]
    names = []
    for root in (people, packed):
        data = make(kind, root, **parts, shards=ShardReading(window=None))
        names.append(
            [[path.name for path in data.datasets[split].image_paths()] for split in ("train", "val")]
        )
    assert names[0] == names[1]
    train, val = map(set, names[0])
    assert train and val and not train & val


def test_backgrounds_may_be_packed(people: Path, packed: Path) -> None:
    settings = {"background_probability": 1.0, "shards": ShardReading(window=None)}
    first, second = (
        make(SegmentationDataModule, people, backgrounds=str(root / "images"), **settings)
        for root in (people, packed)
    )
    assert isinstance(second.datasets["train"].backgrounds.folder, ShardPath)
    assert_same(list(first.train_dataloader()), list(second.train_dataloader()))


def test_unlabeled_pictures_and_prediction_find_the_same_files(
    people: Path, packed: Path, tmp_path: Path
) -> None:
    first, second = (
        make(UnlabeledDataModule, root / "images", shards=ShardReading(window=None))
        for root in (people, packed)
    )
    assert_same(list(first.train_dataloader()), list(second.train_dataloader()))
    listed = sorted(path.name for path in (people / "images").iterdir())[1:4]
    (tmp_path / "list.txt").write_text("\n".join(listed))
    for only, count in ((None, 10), (tmp_path / "list.txt", 3)):
        found = [list(open_source(root / "images", only=only)) for root in (people, packed)]
        assert len(found[0]) == len(found[1]) == count
        for one, other in zip(*found, strict=True):
            assert (one.name, one.file, one.index) == (other.name, other.file, other.index)
            assert (one.image == other.image).all()


def test_files_beside_the_shards_are_read_and_a_missing_label_is_named(people: Path, tmp_path: Path) -> None:
    copy, out = tmp_path / "people", tmp_path / "packed"
    shutil.copytree(people, copy)
    lost = sorted((copy / "normals").iterdir())[0]
    lost.unlink()
    (copy / "splits").mkdir(exist_ok=True)
    stems = sorted(path.stem for path in (copy / "images").iterdir())
    (copy / "splits" / "train.txt").write_text("\n".join(stems))
    (copy / "splits" / "val.txt").write_text(stems[1])
    pack(copy, out, 60_000, "fast", 1, lambda _: None)
    messages = []
    for root in (copy, out):
        with pytest.raises(ValueError, match=lost.stem) as caught:
            make(NormalDataModule, root)
        messages.append(str(caught.value).replace(str(root), "ROOT"))
    assert messages[0] == messages[1]
