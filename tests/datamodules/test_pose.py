"""From files to batches: crops, labels, stages, and the errors on the way."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything
from PIL import Image

from sapiens2_lit.datamodules import PoseDataModule, PoseSource
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms import PoseAugmentation

SIZE = (64, 48)


def module(root: Path, **settings) -> PoseDataModule:
    settings = {"skeleton": "coco17", "image_size": SIZE, "num_workers": 0, "batch_size": 3} | settings
    return PoseDataModule(str(root), **settings)


def set_up(root: Path, stage: str = "fit", **settings) -> PoseDataModule:
    data = module(root, **settings)
    data.setup(stage)
    return data


def same(first: dict, second: dict) -> bool:
    return all(
        torch.equal(first[key], second[key])
        if isinstance(first[key], torch.Tensor)
        else first[key] == second[key]
        for key in first.keys() | second.keys()
    )


def test_the_batch_has_the_documented_keys(dataset):
    data = set_up(dataset())
    batch = next(iter(data.train_dataloader()))
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in batch.items() if key != "sample"}
    assert shapes == {
        "image": ((3, 3, 64, 48), torch.uint8),
        "keypoints": ((3, 17, 3), torch.float32),
        "box": ((3, 4), torch.float32),
        "box_score": ((3,), torch.float32),
        "image_id": ((3,), torch.int64),
        "sample_index": ((3,), torch.int64),
        "affine": ((3, 2, 3), torch.float32),
    }
    assert len(batch["sample"]) == 3
    assert "annotation 10" in batch["sample"][0]


def test_labels_go_back_to_the_original_by_the_affine(dataset):
    data = set_up(dataset(), augment=None)
    truth = {annotation["id"]: annotation for annotation in data.ground_truth("validate")["annotations"]}
    samples = data.datasets["val"]
    for row in range(len(samples)):
        sample = samples[row]
        label = truth[int(samples.sources[0].annotation_id[row])]
        assert label["image_id"] == sample["image_id"]
        expected = np.reshape(label["keypoints"], (-1, 3))
        inverse = np.linalg.inv(np.vstack([sample["affine"].numpy(), (0, 0, 1)]))[:2]
        points = sample["keypoints"].numpy()
        seen = points[:, 2] > 0
        assert seen.sum() >= 15
        back = points[seen, :2] @ inverse[:, :2].T + inverse[:, 2]
        np.testing.assert_allclose(back, expected[seen, :2], atol=1e-2)


def test_flipped_samples_are_mirror_images_with_left_and_right_swapped(dataset):
    off = {"half_body": 0, "shift": 0, "scale": (1, 1), "rotation": 0}
    off |= {"photometric": 0, "blur": 0, "median_blur": 0, "dropout": 0}
    plain = set_up(dataset(), augment=PoseAugmentation(flip=0, **off)).datasets["train"]
    flipped = set_up(dataset(), augment=PoseAugmentation(flip=1, **off)).datasets["train"]
    names = plain.skeleton.keypoints
    for row in range(6):
        one, other = plain[row], flipped[row]
        difference = one["image"].flip(-1).int() - other["image"].int()
        assert difference.abs().max() <= 3, "the fixed-point weights of the resampling may round differently"
        for index, name in enumerate(names):
            partner = names.index(
                name.replace("left", "right") if "left" in name else name.replace("right", "left")
            )
            x, y, v = one["keypoints"][index].tolist()
            expected = [47 - x, y, v] if v else [0, 0, 0]
            np.testing.assert_allclose(other["keypoints"][partner].tolist(), expected, atol=1e-4)


def test_augmentation_depends_on_seed_epoch_and_index_alone(dataset):
    root = dataset()
    data = set_up(root, seed=4)
    samples = data.datasets["train"]
    once = samples[(3, 2)]
    samples[(0, 0)]
    assert same(samples[(3, 2)], once)
    assert same(pickle.loads(pickle.dumps(samples))[(3, 2)], once), "as a spawned worker has it"
    assert not torch.equal(samples[(4, 2)]["affine"], once["affine"])
    assert not torch.equal(set_up(root, seed=5).datasets["train"][(3, 2)]["affine"], once["affine"])
    serial = list(data.train_dataloader())
    parallel = list(set_up(root, seed=4, num_workers=2).train_dataloader())
    assert len(serial) == len(parallel) == 2
    assert all(same(one, other) for one, other in zip(serial, parallel, strict=True))


def test_validation_is_not_augmented(dataset):
    data = set_up(dataset())
    first, second = (list(data.val_dataloader()) for _ in range(2))
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    plain = set_up(dataset(), augment=None).datasets["val"]
    assert same(plain[0], data.datasets["val"][0])


def test_the_seed_is_that_of_seed_everything(dataset, monkeypatch):
    root = dataset()
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")  # restored afterwards
    seed_everything(11, verbose=False)
    assert set_up(root).datasets["train"].seed == 11
    assert set_up(root, seed=2).datasets["train"].seed == 2
    monkeypatch.delenv("PL_GLOBAL_SEED")
    assert set_up(root).datasets["train"].seed == 0


def test_a_stage_reads_only_what_it_needs(dataset):
    root = dataset(names=("val.json",))
    data = set_up(root, "validate")
    assert set(data.datasets) == {"val"}
    before = data.datasets["val"]
    data.setup("validate")
    assert data.datasets["val"] is before
    with pytest.raises(
        DataError, match=r"`data.train` is 'annotations/train.json', and there is no such file"
    ):
        data.setup("fit")
    with pytest.raises(SettingError, match="no ground truth for 'test'"):
        data.ground_truth("test")


def test_files_are_found_under_root_and_under_annotations(dataset):
    root = dataset(names=("mine.json",))
    for name in ("annotations/mine.json", "mine.json", str(root / "annotations" / "mine.json")):
        assert len(set_up(root, train=name, val=None).datasets["train"]) == 6


def test_paths_that_are_not_there(tmp_path, dataset):
    with pytest.raises(DataError, match=r"nowhere does not exist: `data.root` must be a folder"):
        set_up(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"photos does not exist: `data.images` must be a folder"):
        set_up(dataset(), images="photos")


def test_nobody_to_train_on(dataset):
    def change(data):
        for annotation in data["annotations"]:
            annotation["iscrowd"] = 1

    with pytest.raises(DataError, match=r"no labeled person; skipped: 6 crowds"):
        set_up(dataset(change=change))


def test_an_image_that_is_not_the_labelled_one(dataset):
    root = dataset()
    Image.new("RGB", (100, 120)).save(root / "images" / "0.jpg")
    samples = set_up(root, augment=None, allow=["image_sizes"]).datasets["train"]
    with pytest.raises(DataError, match=r"0.jpg: the image is 100 x 120 .* says 120 x 100.*stored turned"):
        samples[0]


def test_errors_cross_worker_processes(dataset):
    root = dataset()
    (root / "images" / "0.jpg").write_bytes(b"")
    loader = set_up(root, num_workers=1, allow=["damaged_images"]).val_dataloader()
    with pytest.raises(DataError, match=r"0.jpg: the image is empty"):
        list(loader)


def test_exif_photograph_and_labels_agree(dataset):
    """A camera held upright stores the picture lying: labels were made on the upright one."""
    upright = np.zeros((100, 120, 3), dtype=np.uint8)
    upright[40:43, 70:73] = 255  # centred on (71, 41)

    def change(data):
        data["annotations"] = data["annotations"][:1]
        data["annotations"][0]["keypoints"] = [71, 41, 2, *[0] * 48]
        data["annotations"][0]["bbox"] = [40, 20, 60, 50]

    root = dataset(change=change)
    exif = Image.Exif()
    exif[0x112] = 6
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1)))
    lying.save(root / "images" / "0.jpg", exif=exif, quality=98)
    sample = set_up(root, augment=None, batch_size=1).datasets["val"][0]
    grey = sample["image"].numpy().astype(float).mean(axis=0)
    grey[grey < 60] = 0
    rows, columns = np.mgrid[:64, :48]
    found = np.array([(columns * grey).sum(), (rows * grey).sum()]) / grey.sum()
    np.testing.assert_allclose(found, sample["keypoints"][0, :2].numpy(), atol=0.3)


@pytest.mark.slow
def test_sources_are_mixed_and_keep_their_vocabularies(dataset, tmp_path):
    root = dataset()
    other = tmp_path / "other"
    (other / "images").mkdir(parents=True)
    for image in (root / "images").iterdir():
        (other / "images" / image.name).write_bytes(image.read_bytes())
    data = json.loads((root / "annotations" / "train.json").read_text())
    data["categories"][0]["keypoints"] = ["tail", "right_knee"]
    for annotation in data["annotations"]:
        annotation["keypoints"] = [40, 40, 2, 50, 50, 2]
    (other / "labels.json").write_text(json.dumps(data))
    source = PoseSource(str(other), "labels.json", weight=0.5)
    mixed = set_up(root, sources=[source], augment=None, batch_size=9)
    assert len(mixed.datasets["train"]) == 12
    batches = list(mixed.train_dataloader())
    assert len(batches) == 1, "6 people and half of 6"
    batch = batches[0]
    ours = batch["sample_index"] < 6
    assert ours.sum() == 6
    knee = mixed.skeleton.keypoints.index("right_knee")
    assert (batch["keypoints"][~ours][:, knee, 2] == 2).all()
    assert (batch["keypoints"][~ours][..., 2] > 0).sum() == 3
    assert set(batch["image_id"][ours].tolist()).isdisjoint(batch["image_id"][~ours].tolist())
    ids = {image["id"] for image in mixed.ground_truth("train")["images"]}
    assert set(batch["image_id"].tolist()) <= ids


def test_detections_replace_the_labelled_boxes(dataset):
    root = dataset(people=3)
    found = [{"image_id": 10, "category_id": 1, "bbox": [10, 10, 30, 40], "score": s} for s in (0.9, 0.1)]
    (root / "detections.json").write_text(json.dumps(found))
    data = set_up(root, "validate", detections="detections.json", detection_threshold=0.5)
    (batch,) = data.val_dataloader()
    np.testing.assert_allclose(batch["box"], [[10, 10, 30, 40]])
    np.testing.assert_allclose(batch["box_score"], [0.9])
    assert len(data.ground_truth("validate")["annotations"]) == 3, "missed people count"


@pytest.mark.parametrize("file", ["person_keypoints.json", "wholebody.json"])
def test_pictures_of_people_make_batches_of_308(file, coco_people):
    data = set_up(
        coco_people, skeleton="sociopticon308", train=file, val=file, batch_size=12, image_size=(128, 96)
    )
    (batch,) = data.train_dataloader()
    assert batch["image"].float().std() > 20
    labelled = batch["keypoints"][..., 2] > 0
    assert labelled.any(dim=1).sum() >= 10
    assert labelled.any(dim=0).sum() in range(15, 18) if file == "person_keypoints.json" else range(40, 54)
    points = batch["keypoints"][labelled]
    assert (points[:, 0] >= -0.5).all()
    assert (points[:, 0] < 95.5).all()
    assert (points[:, 1] < 127.5).all()
