"""From folders of images and masks to batches: stages, splits, one affine for both, and the errors on the way."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.data.splits import split_stems
from sapiens2_lit.datamodules import PoseDataModule, PoseSource, SegmentationDataModule
from sapiens2_lit.datamodules.base import Shard
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.segmentation import SegmentationAugmentation
from sapiens2_lit.vocabularies import load_classes

SIZE = (64, 48)
PALETTE = load_classes("body29").palette()
COLORLESS = {"photometric": 0, "blur": 0, "noise": 0}


def write_mask(path: Path, size: tuple[int, int], seed: int) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 29, (5, 6), dtype=np.uint8)
    labels = np.kron(blocks, np.ones((20, 20), np.uint8))[: size[0], : size[1]]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures that show their own masks, in the classes' colors."""
    root = tmp_path / "data"
    (root / "images").mkdir(parents=True)
    (root / "splits").mkdir()
    for index in range(6):
        labels = write_mask(root / "masks" / f"{index}.png", (100, 120), index)
        Image.fromarray(PALETTE[labels]).save(root / "images" / f"{index}.png")
    (root / "splits" / "train.txt").write_text("0\n1\n2\n3\n")
    (root / "splits" / "val.txt").write_text("4\n5\n")
    return root


def set_up(root: Path, stage: str = "fit", **settings) -> SegmentationDataModule:
    settings = {"image_size": SIZE, "num_workers": 0, "batch_size": 2} | settings
    data = SegmentationDataModule(str(root), **settings)
    data.setup(stage)
    return data


def agreement(sample: dict) -> float:
    """Share of counted pixels, away from the blocks' edges, whose color is that of their class."""
    image, labels = sample["image"].permute(1, 2, 0).numpy(), sample["segmentation"].numpy()
    counted = labels != 255
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            counted &= labels == np.roll(labels, step, axis)
    assert counted.any()
    return float((np.abs(PALETTE[labels].astype(int) - image).max(axis=-1) <= 3)[counted].mean())


def test_the_batch_has_the_documented_keys(folder):
    data = set_up(folder)
    batch = next(iter(data.train_dataloader()))
    shapes = {key: (tuple(value.shape), value.dtype) for key, value in batch.items() if key != "sample"}
    assert shapes == {
        "image": ((2, 3, 64, 48), torch.uint8),
        "segmentation": ((2, 64, 48), torch.int64),
        "affine": ((2, 2, 3), torch.float32),
    }
    assert batch["sample"][0].endswith(".png")
    labels = set(batch["segmentation"].unique().tolist())
    assert labels <= {*range(29), 255}


def test_image_and_mask_stay_together_whatever_the_view(folder):
    """Mirrored, left and right change names: the colors must be those of the swapped classes."""
    for flip in (0, 1):
        augment = SegmentationAugmentation(flip=flip, scale=(0.8, 2.0), **COLORLESS)
        samples = set_up(folder, augment=augment).datasets["train"]
        swap = torch.from_numpy(samples.label_sources[0].classes.swap_table()).long()
        for epoch in range(3):
            for index in range(4):
                sample = samples[(epoch, index)]
                if flip:
                    sample["segmentation"] = swap[sample["segmentation"]]
                assert agreement(sample) > 0.98


def test_evaluation_shows_the_whole_image_and_ignores_the_rest(folder):
    sample = set_up(folder).datasets["val"][0]
    counted = (sample["segmentation"] != 255).numpy()
    assert counted[12:52].all(), "120 x 100 on 48 x 64 fills 48 x 40"
    assert not counted[:12].any()
    assert not counted[52:].any()
    assert agreement(sample) == 1
    corners = sample["affine"].double() @ torch.tensor([[-0.5, 119.5], [-0.5, 99.5], [1, 1]]).double()
    np.testing.assert_allclose(corners, [[-0.5, 47.5], [11.5, 51.5]], atol=1e-4)


def test_augmentation_depends_on_seed_epoch_and_index_alone(folder):
    samples = set_up(folder, seed=4).datasets["train"]
    once = samples[(3, 2)]
    samples[(0, 0)]
    again = pickle.loads(pickle.dumps(samples))[(3, 2)]
    assert all(torch.equal(again[key], once[key]) for key in ("image", "segmentation", "affine"))
    assert not torch.equal(samples[(4, 2)]["affine"], once["affine"])
    assert not torch.equal(set_up(folder, seed=5).datasets["train"][(3, 2)]["affine"], once["affine"])
    parallel = list(set_up(folder, seed=4, num_workers=2).train_dataloader())
    serial = list(set_up(folder, seed=4).train_dataloader())
    for one, other in zip(serial, parallel, strict=True):
        assert torch.equal(one["segmentation"], other["segmentation"])


def test_a_stage_reads_only_what_it_needs(folder):
    (folder / "splits" / "train.txt").unlink()
    assert set(set_up(folder, "validate").datasets) == {"val"}
    with pytest.raises(DataError, match=r"`data.train` is 'splits/train.txt', and there is no such file"):
        set_up(folder)
    (folder / "splits" / "train.txt").write_text("0\n")
    (folder / "splits" / "val.txt").unlink()
    with pytest.raises(
        DataError, match=r"looked for [^,]*\): write it, or set data.val to null, to"
    ) as caught:
        set_up(folder)
    assert "splits/splits" not in str(caught.value)
    with pytest.raises(DataError, match=r"looked for .*data/v.txt, .*data/splits/v.txt\): write it, or set"):
        set_up(folder, val="v.txt")
    with pytest.raises(SettingError, match=r"data.test is null"):
        set_up(folder, "test", test=None)
    (folder / "splits" / "mine.txt").write_text("3\n3\n\n1\n")
    assert set_up(folder, train="mine.txt", val=None).datasets["train"].names.tolist() == ["3.png", "1.png"]


def test_without_files_images_are_split_by_hash_for_good(tmp_path):
    files = {"train": "splits/train.txt", "val": "splits/val.txt", "test": "splits/test.txt"}
    stems = [f"{index:05}" for index in range(2000)]
    parts = {name: split_stems(tmp_path, stems, files, name) for name in files}
    assert sorted(stem for part in parts.values() for stem in part) == stems
    assert [round(len(parts[name]) / 2000, 1) for name in files] == [0.8, 0.1, 0.1]
    fewer = {name: split_stems(tmp_path, stems[::2], files, name) for name in files}
    assert all(set(fewer[name]) <= set(parts[name]) for name in files), "an image keeps its split"
    with pytest.raises(DataError, match=r"none of the 1 belongs to `data.(val|test)`: write split files"):
        for name in ("val", "test"):
            split_stems(tmp_path, ["a"], files, name)


def test_ranks_count_every_sample_once(folder):
    (folder / "splits" / "val.txt").write_text("0\n1\n2\n3\n4\n")
    samples = set_up(folder).datasets["val"]
    counted = []
    for rank in range(2):
        shard = Shard(samples, 2, rank)
        given = [0, 2, 4] if rank == 0 else [1, 3, 0]  # the first again, so that both take three
        counted += [index for index in given if shard[index]["evaluated"]]
    assert sorted(counted) == [0, 1, 2, 3, 4]


def test_problems_are_found_before_training(folder):
    (folder / "masks" / "2.png").unlink()
    with pytest.raises(DataError, match=r"2: the image has no `segmentation` label, expected 2.png here"):
        set_up(folder)
    (folder / "splits" / "val.txt").write_text("4.png\nabsent\n")
    with pytest.raises(
        DataError, match=r"2 problems\n.*4.png: .*\(leave out the suffix\)\n.*absent: there is no"
    ):
        set_up(folder, "validate")
    (folder / "splits" / "val.txt").write_text("\n")
    with pytest.raises(DataError, match="the file is empty"):
        set_up(folder, "validate")
    Image.new("RGB", (9, 9)).save(folder / "images" / "1.jpg")
    with pytest.raises(DataError, match=r"1.png: has the stem of 1.jpg"):
        set_up(folder, "validate")
    with pytest.raises(DataError, match=r"`data.root` must be a folder"):
        set_up(folder / "nowhere")
    with pytest.raises(DataError, match=r"`data.images` must be a folder"):
        set_up(folder, images="photos")


def test_errors_of_masks_cross_worker_processes(folder):
    Image.new("L", (7, 7)).save(folder / "masks" / "4.png")
    with pytest.raises(DataError, match=r"4.png: the mask is 7 x 7, its image .*4.png is 120 x 100"):
        list(set_up(folder, num_workers=1).val_dataloader())


def pose(root: Path, stage: str = "fit", **settings) -> PoseDataModule:
    settings = {"skeleton": "coco17", "image_size": SIZE, "num_workers": 0, "batch_size": 3} | settings
    data = PoseDataModule(str(root), **settings)
    data.setup(stage)
    return data


def test_masks_come_along_with_people_through_their_affine(dataset):
    root = dataset()
    for index in range(3):
        labels = write_mask(root / "masks" / f"{index}.png", (100, 120), index)
        Image.fromarray(PALETTE[labels]).save(root / "images" / f"{index}.jpg", quality=100, subsampling=0)
    plain = pose(root, masks="masks", augment=None)
    sample = plain.datasets["train"][0]
    assert sample["segmentation"].shape == SIZE
    x, y, _ = sample["keypoints"][0].tolist()
    original = np.linalg.solve(
        sample["affine"][:, :2].numpy(), np.array([x, y]) - sample["affine"][:, 2].numpy()
    )
    mask = np.array(Image.open(root / "masks" / "0.png"))
    column, row = np.rint(original).astype(int)
    around = mask[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
    assert int(sample["segmentation"][round(y), round(x)]) in around
    batch = next(iter(pose(root, masks="masks").train_dataloader()))
    assert batch["segmentation"].shape == (3, *SIZE)
    assert batch["segmentation"].dtype == torch.int64
    assert "segmentation" not in next(iter(pose(root).train_dataloader()))


def test_pose_sources_bring_masks_of_their_own(dataset):
    root = dataset()
    for index in range(3):
        write_mask(root / "masks" / f"{index}.png", (100, 120), index)
    data = pose(root, masks="masks", sources=[PoseSource(str(root))], augment=None)
    last = len(data.datasets["train"]) - 1
    assert torch.equal(
        data.datasets["train"][last]["segmentation"], data.datasets["train"][5]["segmentation"]
    )
    with pytest.raises(DataError, match=r"`data.sources\[0\].masks` must be a folder"):
        pose(root, masks="masks", sources=[PoseSource(str(root), masks="other")])
    (root / "masks" / "1.png").unlink()
    with pytest.raises(DataError, match=r"1: the image has no `segmentation` label"):
        pose(root, masks="masks")


def test_classes_without_masks_are_said_to_have_no_effect(dataset, caplog):
    pose(dataset(), classes="body29")
    assert "data.masks is null" in caplog.text


def test_masks_without_labels_are_left_out_and_counted(folder, caplog):
    """A batch of such masks alone would teach nothing, and some losses have no value there."""
    Image.fromarray(np.full((100, 120), 255, np.uint8)).save(folder / "masks" / "1.png")
    Image.fromarray(np.full((100, 120), 255, np.uint8)).save(folder / "masks" / "4.png")
    data = set_up(folder)
    replaced = data.datasets["train"][(0, 1)]
    assert replaced["sample"].endswith("2.png")
    assert (replaced["segmentation"] != 255).sum() >= 16
    held_out = data.datasets["val"][0]
    assert held_out["sample"].endswith("4.png")
    assert (held_out["segmentation"] == 255).all()
    data.teardown("fit")
    assert (
        "1.png: fewer than 16 pixels are valid (data.min_valid); another sample takes its place"
        in caplog.text
    )
    assert "train: 1 of 4 samples were left out" in caplog.text
    assert "val: 1 of 2 samples were left out" in caplog.text
    assert set_up(folder, min_valid=0).datasets["train"][(0, 1)]["sample"].endswith("1.png")


def test_views_of_ignored_pixels_are_drawn_again(folder):
    for index in range(4):
        mask = np.array(Image.open(folder / "masks" / f"{index}.png"))
        mask[:, 30:] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    augment = SegmentationAugmentation(scale=(4, 4), **COLORLESS)
    samples = set_up(folder, augment=augment).datasets["train"]
    seen = [
        int((samples[(epoch, index)]["segmentation"] != 255).sum())
        for epoch in range(5)
        for index in range(4)
    ]
    assert min(seen) >= 16
    assert samples.skipped.count == 0


@pytest.mark.parametrize("augment", [None, SegmentationAugmentation(flip=0, **COLORLESS)])
def test_stretched_images_fill_the_input_and_labels_go_with_them(
    folder: Path, augment: SegmentationAugmentation | None
) -> None:
    data = set_up(folder, view="stretch", augment=augment)
    for sample in data.datasets["val"]:
        affine = sample["affine"].numpy()
        np.testing.assert_allclose(affine[[0, 1], [0, 1]], (48 / 120, 64 / 100), rtol=1e-5)
        assert (sample["segmentation"] != 255).all(), "no padding"
        assert agreement(sample) > 0.95
    assert all(agreement(sample) > 0.95 for sample in data.datasets["train"])
    with pytest.raises(SettingError, match=r"data.view is 'squash', expected letterbox or stretch"):
        set_up(folder, view="squash")
