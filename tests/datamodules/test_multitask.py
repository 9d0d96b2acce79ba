"""Several datasets as one datamodule: each keeps its own labels, what is common is set and answered once."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sapiens2_lit.datamodules import (
    MultitaskDataModule,
    NormalDataModule,
    PoseDataModule,
    SegmentationDataModule,
    SyntheticDataModule,
)
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.heads.pose import to_original
from sapiens2_lit.metrics import KeypointAP
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation

SIZE = (64, 48)


def pose(people: Path, **settings: Any) -> PoseDataModule:
    return PoseDataModule(
        people, "sociopticon308", **{"num_workers": 0, "batch_size": 3, "test": "val.json"} | settings
    )


def masks(people: Path, **settings: Any) -> SegmentationDataModule:
    return SegmentationDataModule(str(people), **{"num_workers": 0, "batch_size": 2} | settings)


def several(datasets: dict, stage: str = "fit", **settings: Any) -> MultitaskDataModule:
    data = MultitaskDataModule(datasets, **{"image_size": SIZE} | settings)
    data.setup(stage)
    return data


def test_every_batch_is_its_own_datasets(people: Path):
    data = several({"pose": pose(people), "masks": masks(people)}, schedule="round_robin")
    steps = list(data.train_dataloader())
    assert len(steps) == len(data.train_dataloader()) == 8
    assert [step["dataset"] for step in steps] == ["pose", "masks"] * 4
    for step in steps:
        assert step["image"].shape[2:] == SIZE
        labels = {"keypoints", "segmentation"} & step.keys()
        assert labels == ({"keypoints"} if step["dataset"] == "pose" else {"segmentation"})
        assert len(step["image"]) == {"pose": 3, "masks": 2}[step["dataset"]]
    together = several({"pose": pose(people), "masks": masks(people)}, schedule="all").train_dataloader()
    assert [set(step["batches"]) for step in together] == [{"pose", "masks"}] * 4


def test_what_is_set_once_reaches_all(people: Path):
    datasets = {
        "pose": PoseDataModule(people.name, num_workers=3),
        "masks": SegmentationDataModule(people.name),
    }
    data = several(datasets, root=str(people.parent), batch_size=4, num_workers=0)
    assert [inner.batch_size for inner in data.datasets.values()] == [4, 4]
    assert [inner.num_workers for inner in data.datasets.values()] == [3, 0], "a dataset's own setting wins"
    assert all(inner.image_size == SIZE for inner in data.datasets.values())
    spare = MultitaskDataModule({str(number): masks(people, num_workers=None) for number in range(64)})
    assert spare._workers() == 1


def test_heads_are_told_of_the_dataset_that_knows(people: Path):
    data = several(
        {"normal": NormalDataModule(str(people), num_workers=0), "masks": masks(people), "pose": pose(people)}
    )
    assert data.classes is data.datasets["masks"].classes
    assert data.skeleton is data.datasets["pose"].skeleton
    assert (data.count_classes() == data.datasets["masks"].count_classes()).all()
    assert data.ground_truth("validate") == data.datasets["pose"].ground_truth("validate")
    alone = several({"normal": NormalDataModule(str(people), num_workers=0)})
    assert alone.classes is None and alone.skeleton is None and alone.ground_truth("validate") is None
    with pytest.raises(SettingError, match="none of normal has masks"):
        alone.count_classes()


def test_synthetic_people_tell_of_the_labels_they_give_alone():
    few = {"samples_per_epoch": 4, "val_samples": 2, "num_workers": 0, "batch_size": 2}
    normals = SyntheticDataModule(targets=["normal"], **few)
    data = several(
        {"normals": normals, "both": SyntheticDataModule(targets=["keypoints", "segmentation"], **few)}
    )
    assert data.skeleton is data.datasets["both"].skeleton
    assert (data.count_classes() == data.datasets["both"].count_classes()).all()
    batches = {batch["dataset"]: batch for batch in data.val_dataloader()}
    assert "image_id" in batches["both"] and "image_id" not in batches["normals"]
    assert data.ground_truth("validate") == data.datasets["both"].ground_truth("validate")


def test_classes_of_two_datasets_add_up_or_are_refused(people: Path, tmp_path: Path):
    twice = several({"one": masks(people), "other": masks(people)})
    assert (twice.count_classes() == 2 * twice.datasets["one"].count_classes()).all()
    mixed = several({"one": masks(people), "other": masks(people, classes="body3")})
    with pytest.raises(SettingError, match=r"their classes differ \(one: body29, other: body3\)"):
        _ = mixed.classes


def test_people_of_two_datasets_are_evaluated_together(people: Path):
    """Labels taken for predictions score perfectly, and each person counts once."""
    generated = SyntheticDataModule(samples_per_epoch=4, val_samples=3, batch_size=2, num_workers=0)
    datasets = {"masks": masks(people), "pose": pose(people), "generated": generated}
    data = several(datasets)
    truth = data.ground_truth("validate")
    parts = [datasets[name].ground_truth("validate") for name in ("pose", "generated")]
    assert len(truth["images"]) == len({image["id"] for image in truth["images"]}) == 1 + 3
    assert len(truth["annotations"]) == sum(len(part["annotations"]) for part in parts)
    metric = KeypointAP(data.skeleton, truth)
    for batch in list(data.val_dataloader()) * 2:
        if "image_id" in batch:
            found = to_original(batch["keypoints"].clamp(max=1e6), batch["affine"])
            metric.update(found, batch["image_id"], batch["box_score"], batch["sample_index"])
        else:
            assert batch["dataset"] == "masks"
    assert len(metric.results()) == 4
    assert float(metric.compute()["AP"]) == pytest.approx(1.0)


def test_pixels_vary_on_the_device_in_the_way_of_their_dataset(people: Path):
    vary = SegmentationAugmentation(photometric=1.0, on_device=True)
    data = several({"pose": pose(people, augment=None), "masks": masks(people, augment=vary)}, schedule="all")
    step = next(iter(data.train_dataloader()))
    before = {name: batch["image"].clone() for name, batch in step["batches"].items()}
    moved = data.transfer_batch_to_device(step, torch.device("cpu"), 0)["batches"]
    assert torch.equal(moved["pose"]["image"], before["pose"])
    assert not torch.equal(moved["masks"]["image"], before["masks"])
    assert "pixel_seed" not in moved["masks"]


def test_ranks_walk_through_the_same_datasets(people: Path):
    seen = []
    for rank in range(2):
        data = MultitaskDataModule(
            {"pose": pose(people, batch_size=1), "masks": masks(people, batch_size=1)}, image_size=SIZE
        )
        ranks = {"num_replicas": 2, "rank": rank}
        data.trainer = SimpleNamespace(  # type: ignore[assignment]
            distributed_sampler_kwargs=ranks,
            num_devices=2,
            overfit_batches=0,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
        )
        data.setup("fit")
        train = [(step["dataset"], step["sample"]) for step in data.train_dataloader()]
        evaluated = [batch["dataset"] for batch in data.val_dataloader()]
        seen.append((train, evaluated))
    (first, evaluated), (second, as_well) = seen
    assert [name for name, _ in first] == [name for name, _ in second]
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert evaluated == as_well


def test_datasets_without_a_stage_are_left_out(people: Path):
    data = several({"pose": pose(people, val=None, test=None), "masks": masks(people)})
    assert [batch["dataset"] for batch in data.val_dataloader()] == ["masks"]
    assert data.ground_truth("validate") is None
    data.setup("test")
    assert {batch["dataset"] for batch in data.test_dataloader()} == {"masks"}
    with pytest.raises(SettingError, match="`test` is null in all of them"):
        several({"pose": pose(people, test=None)}, "test")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"datasets": {}}, "data.datasets is empty"),
        ({"schedule": "random"}, "data.schedule is 'random'"),
        ({"weights": {"pose": 1.0}, "schedule": "all"}, "data.weights has no effect with data.schedule all"),
        ({"weights": {"mask": 1.0}}, "data.weights: mask is no dataset, expected some of pose"),
        ({"weights": {"pose": -1.0}}, "data.weights.pose is -1.0"),
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"num_workers": -1}, "data.num_workers is -1"),
        (
            {"image_size": (32, 32)},
            r"data.datasets.pose.image_size is \(64, 48\), but data.image_size is \(32, 32\)",
        ),
    ],
)
def test_settings_are_checked(settings: dict, expected: str):
    with pytest.raises(SettingError, match=expected):
        MultitaskDataModule(**{"datasets": {"pose": PoseDataModule("nowhere", image_size=SIZE)}} | settings)


def test_mistakes_name_the_dataset(people: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"data\.datasets\.normal: .*data\.root"):
        several({"pose": pose(people), "normal": NormalDataModule(str(tmp_path / "nowhere"))})
    data = several({"pose": pose(people)})
    data.trainer = SimpleNamespace(overfit_batches=2)  # type: ignore[assignment]
    with pytest.raises(SettingError, match="overfit_batches has no effect"):
        data.train_dataloader()


def test_every_head_and_every_dataset_must_be_of_use(people: Path):
    data = several({"pose": pose(people), "masks": masks(people)})
    data.labels.check({"one": ("keypoints",), "two": ("segmentation",), "three": ("image",)})
    with pytest.raises(
        SettingError, match=r"model\.heads\.normal: no dataset has normal, which it learns from"
    ):
        data.labels.check({"pose": ("keypoints",), "seg": ("segmentation",), "normal": ("normal",)})
    with pytest.raises(
        SettingError, match=r"data\.datasets\.masks: no head learns from .*need: pose keypoints"
    ):
        data.labels.check({"pose": ("keypoints",)})


def test_problems_of_all_datasets_come_together(tmp_path: Path, people: Path):
    for name in ("first", "second"):
        shutil.copytree(people, tmp_path / name)
        path = tmp_path / name / "annotations/train.json"
        data = json.loads(path.read_text())
        for one in data["annotations"]:
            one["bbox"] = [3, 3, 0, 0]
        path.write_text(json.dumps(data))
    datasets = {
        "a": pose(tmp_path / "first"),
        "b": pose(tmp_path / "second"),
        "c": pose(tmp_path / "nowhere"),
    }
    with pytest.raises(DataError) as error:
        several(datasets)
    text = str(error.value)
    assert "data.datasets.a, train" in text
    assert "data.datasets.b, train" in text
    assert "data.datasets.c: " in text
    assert MultitaskDataModule({"a": pose(people)}, allow=["areas"]).datasets["a"].allow == ("areas",)


def test_all_datasets_have_one_view(people: Path) -> None:
    data = several({"pose": pose(people), "masks": masks(people)}, view="stretch")
    assert data.datasets["masks"].view == data.datasets["masks"].datasets["val"].view == "stretch"
    with pytest.raises(
        SettingError, match=r"data.datasets.masks.view is stretch, but data.view is letterbox"
    ):
        several({"masks": masks(people, view="stretch")})
