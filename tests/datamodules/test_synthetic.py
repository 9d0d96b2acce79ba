"""Synthetic people on the way into batches, and from disk through the ordinary datamodules."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sapiens2_lit.cli.main import main
from sapiens2_lit.datamodules import PoseDataModule, SyntheticDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

SIZE = (64, 48)
SMALL = {"image_size": SIZE, "num_workers": 0, "batch_size": 2, "samples_per_epoch": 5}
SMALL |= {"val_samples": 3, "test_samples": 2, "skeleton": "coco17"}


def set_up(stage: str = "fit", **settings) -> SyntheticDataModule:
    data = SyntheticDataModule(**{**SMALL, **settings})
    data.setup(stage)
    return data


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key])
        if isinstance(first[key], torch.Tensor)
        else first[key] == second[key]
        for key in first
    )


def test_the_batch_has_the_documented_keys():
    batch = next(iter(set_up().train_dataloader()))
    found = {key: (tuple(value.shape), value.dtype) for key, value in batch.items() if key != "sample"}
    dense = {"normal": 3, "pointmap": 3, "depth": 1, "albedo": 3, "alpha": 1, "foreground": 3}
    assert found == {
        "image": ((2, 3, *SIZE), torch.uint8),
        "keypoints": ((2, 17, 3), torch.float32),
        "segmentation": ((2, *SIZE), torch.int64),
        **{key: ((2, channels, *SIZE), torch.float32) for key, channels in dense.items()},
        "valid": ((2, 1, *SIZE), torch.bool),
        "intrinsics": ((2, 3, 3), torch.float32),
        "affine": ((2, 2, 3), torch.float32),
        "box": ((2, 4), torch.float32),
        "box_score": ((2,), torch.float32),
        "image_id": ((2,), torch.int64),
        "sample_index": ((2,), torch.int64),
    }
    assert len(batch["sample"]) == 2
    assert "index" in batch["sample"][0]


def test_labels_of_a_batch_agree():
    batch = next(iter(set_up().val_dataloader()))
    valid = batch["valid"]
    assert torch.equal(batch["segmentation"][:, None] > 0, valid)
    assert torch.equal(batch["alpha"] >= 0.5, valid)
    assert torch.equal(batch["pointmap"][:, 2:], batch["depth"])
    projected = torch.einsum("bij,bjhw->bihw", batch["intrinsics"], batch["pointmap"])
    pixels = projected[:, :2] / projected[:, 2:]
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    expected = torch.stack([columns, rows]).expand_as(pixels)
    assert (pixels - expected).abs()[valid.expand_as(pixels)].max() < 1e-2
    assert torch.equal(batch["affine"], torch.eye(2, 3).expand(2, 2, 3))


def test_every_epoch_has_new_people_and_none_of_them_is_validated_or_tested_on():
    data = set_up()
    data.setup("test")
    train, val, test = (data.datasets[name] for name in ("train", "val", "test"))
    seen = [int(train[(epoch, row)]["image_id"]) for epoch in range(3) for row in range(5)]
    held_out = [int(samples[row]["image_id"]) for samples in (val, test) for row in range(len(samples))]
    assert len(set(seen + held_out)) == 15 + 5
    assert not torch.equal(train[(0, 0)]["image"], train[(1, 0)]["image"])
    assert not torch.equal(val[0]["image"], test[0]["image"])


def test_a_sample_depends_on_seed_epoch_and_index_alone():
    first, second = set_up(seed=3).datasets["train"], set_up(seed=3).datasets["train"]
    assert same(first[(2, 1)], second[(2, 1)])
    assert not torch.equal(first[(2, 1)]["image"], set_up(seed=4).datasets["train"][(2, 1)]["image"])
    alone, workers = (list(set_up(seed=3, num_workers=count).train_dataloader()) for count in (0, 2))
    assert len(alone) == 2
    assert all(same(a, b) for a, b in zip(alone, workers, strict=True))


def test_training_goes_on_in_the_middle_of_an_epoch():
    whole = set_up(samples_per_epoch=8).train_dataloader()
    batches = iter(whole)
    next(batches)
    state = whole.state_dict()
    expected = list(batches)
    resumed = set_up(samples_per_epoch=8).train_dataloader()
    resumed.load_state_dict(state)
    found = list(resumed)
    assert len(found) == len(expected) == 3
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_true_keypoints_score_perfectly(stage: str):
    data = set_up(stage)
    metrics = PoseHead(32, "coco17").metrics(data, stage)
    loader = data.val_dataloader() if stage == "validate" else data.test_dataloader()
    for batch in loader:
        points = batch["keypoints"].clone()
        points[..., 2] = (points[..., 2] > 0).float()
        metrics["ap"].update(points, batch["image_id"], batch["box_score"], batch["sample_index"])
    assert metrics["ap"].compute()["AP"] == pytest.approx(1.0)


def test_only_the_targets_asked_for():
    sample = set_up(targets=("keypoints", "depth")).datasets["train"][(0, 0)]
    labels = {"keypoints", "depth", "valid", "intrinsics", "affine", "box"}
    assert set(sample) == labels | {"image", "box_score", "image_id", "sample_index", "sample"}


@pytest.mark.slow
def test_the_main_person_is_the_largest():
    samples = set_up(people=(2, 3)).datasets["train"]
    for row in range(3):
        frame = samples.frame(row)
        areas = [person.area for person in frame.people]
        box = frame.people[int(np.argmax(areas))].box
        np.testing.assert_allclose(samples[(0, row)]["box"], box, rtol=1e-6)


def test_a_vocabulary_of_ones_own(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("keypoints: [right_wrist, tail, nose]\n")
    mine = set_up(skeleton=str(tmp_path / "mine.yaml")).datasets["train"][(0, 0)]["keypoints"]
    coco = set_up().datasets["train"][(0, 0)]["keypoints"]
    assert torch.equal(mine[[0, 2]], coco[[10, 0]])
    assert (mine[1] == 0).all()
    (tmp_path / "dog.yaml").write_text("keypoints: [tail, snout]\n")
    with pytest.raises(SettingError, match=r"'dog' shares no keypoint"):
        SyntheticDataModule(skeleton=str(tmp_path / "dog.yaml"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"samples_per_epoch": 0}, "data.samples_per_epoch is 0"),
        ({"val_samples": 0}, "data.val_samples is 0"),
        ({"people": (2, 1)}, r"data.people is \(2, 1\)"),
        ({"field_of_view": (0, 40)}, r"data.field_of_view is \(0, 40\), .* from 1 to 150"),
        ({"people": (1, 21)}, r"data.people is \(1, 21\), .* from 1 to 20"),
        ({"targets": ("smell",)}, "data.targets: smell; expected some of keypoints, segmentation"),
        ({"targets": ()}, "data.targets: empty"),
        ({"batch_size": 0}, "data.batch_size is 0"),
        ({"image_size": (0, 48)}, "data.image_size"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict, expected: str):
    with pytest.raises(SettingError, match=expected):
        SyntheticDataModule(**{**SMALL, **settings})


def test_stages_that_do_not_exist_are_named():
    with pytest.raises(SettingError, match="no ground truth for 'train'"):
        set_up().ground_truth("train")
    with pytest.raises(SettingError, match="no ground truth for 'test'"):
        set_up().ground_truth("test")


def test_the_written_dataset_says_what_the_generator_says(tmp_path: Path):
    """Through the ordinary datamodule: points, boxes and classes of the file are those of the frame."""
    settings = Settings(size=SIZE, people=(1, 2), seed=5, tasks=("pose", "segmentation"))
    make_dataset(tmp_path, 10, settings, workers=1, progress=False)
    generated = set_up(seed=5, people=(1, 2)).datasets["train"]
    data = PoseDataModule(
        str(tmp_path), "coco17", SIZE, masks="masks", padding=1.0, augment=None, num_workers=0, batch_size=1
    )
    data.setup("fit")
    samples = data.datasets["val"]
    people = generated.frame(8).people
    assert len(samples) == len(people)
    for row, person in enumerate(people):
        sample = samples[row]
        assert sample["image_id"] == 8
        np.testing.assert_allclose(sample["box"], person.box, atol=0.01)
        affine = sample["affine"].numpy()
        expected = person.keypoints["coco17"][:, :2] @ affine[:, :2].T + affine[:, 2]
        found = sample["keypoints"].numpy()
        seen = found[:, 2] > 0
        np.testing.assert_allclose(found[seen, :2], expected[seen], atol=0.05)
        assert set(np.unique(sample["segmentation"])) <= {*np.unique(generated.frame(8).segmentation), 255}


@pytest.mark.slow
def test_it_trains_by_the_command(tmp_path: Path):
    """Two heads on people that no disk has seen."""
    (tmp_path / "endless.yaml").write_text(
        f"""
output: {tmp_path}/runs
trainer: {{max_steps: 2, accelerator: cpu, devices: 1, enable_progress_bar: false, num_sanity_val_steps: 0}}
model:
  backbone: {{class_path: sapiens2_lit.backbones.Sapiens2, init_args: {{size: test, weights: null}}}}
  heads:
    pose: {{class_path: sapiens2_lit.heads.PoseHead, init_args: {{skeleton: coco17}}}}
    seg: {{class_path: sapiens2_lit.heads.SegmentationHead}}
data:
  class_path: sapiens2_lit.datamodules.SyntheticDataModule
  init_args:
    image_size: [64, 48]
    targets: [keypoints, segmentation]
    people: [1, 2]
    samples_per_epoch: 4
    val_samples: 2
    batch_size: 2
    num_workers: 0
"""
    )
    assert main(["fit", "--config", str(tmp_path / "endless.yaml")]) == 0
    assert list((tmp_path / "runs" / "version_0" / "checkpoints").glob("best*.ckpt"))
