"""`predict --as_dataset`: a dataset that checks find nothing in, the same in parts, of one teacher, never half."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers import QUIET, tree
from PIL import Image

from sapiens2_lit import interrupts
from sapiens2_lit.cli.check import check_all
from sapiens2_lit.cli.main import main
from sapiens2_lit.data.pseudo.origin import read_origin
from sapiens2_lit.data.pseudo.samples import read_samples
from sapiens2_lit.datamodules import (
    AlbedoDataModule,
    DepthDataModule,
    MattingDataModule,
    NormalDataModule,
    PointmapDataModule,
    PoseDataModule,
    SegmentationDataModule,
)

NUM = 6
DATASETS = {
    "pose": lambda root: PoseDataModule(root, "coco17", (64, 48), val=None, test=None, num_workers=0),
    "seg": lambda root: SegmentationDataModule(root, (64, 48), val=None, test=None, num_workers=0),
    "normal": lambda root: NormalDataModule(root, (64, 48), val=None, test=None, num_workers=0),
    "depth": lambda root: DepthDataModule(root, (64, 48), val=None, test=None, num_workers=0),
    "pointmap": lambda root: PointmapDataModule(root, (64, 48), val=None, test=None, num_workers=0),
    "albedo": lambda root: AlbedoDataModule(root, (64, 48), val=None, test=None, num_workers=0),
    "matting": lambda root: MattingDataModule(root, (64, 48), val=None, test=None, num_workers=0),
}
LABELS = ("masks", "normals", "depths", "pointmaps", "cameras", "albedos", "alphas", "foregrounds")


@pytest.fixture(scope="module")
def teacher(make_model: Any) -> Any:
    """All heads, which say something else of every pixel, and whose people are sure of themselves."""
    model = make_model()
    for name, head in model.named_heads():
        last = head.get_submodule(head.stages[-1])
        last.weight.data.mul_({"pointmap": 1, "depth": 1, "pose": 100}.get(name, 30))
        if name == "pose":
            last.bias.data.fill_(0.5)
    return model


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory, picture: Any) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "sub").mkdir()
    for index in range(NUM):
        name = f"sub/{index}.jpg" if index % 3 == 0 else f"{index}.png"
        Image.fromarray(picture(70 + index, 60, index)).save(folder / name)
    return folder


@pytest.fixture
def predict(teacher: Any, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return predicting(teacher, pool, tmp_path, monkeypatch)


def predicting(teacher: Any, pool: Path, place: Path, patch: pytest.MonkeyPatch) -> Any:
    """Calls the command with a teacher in memory: `predict(DIR, *options) -> its exit status`."""
    patch.setattr("sapiens2_lit.inference.load.load_model", lambda *_, **__: teacher)
    patch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    model, boxes = place / "teacher.ckpt", place / "boxes.json"
    model.write_bytes(b"in memory")
    names = [path.relative_to(pool).as_posix() for path in pool.rglob("*.*")]
    boxes.write_text(json.dumps({name: [[4, 5, 50, 60, 0.9]] for name in names}))

    def call(out: Path, *options: str) -> int:
        given = ["--model", "teacher.ckpt", "--images", str(pool), "--boxes", str(boxes), "--device", "cpu"]
        with patch.context() as there:
            there.chdir(place)
            return main(["predict", *given, "--as_dataset", str(out), "--batch_size", "2", *options])

    return call


@pytest.fixture(scope="module")
def whole(teacher: Any, pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of one run."""
    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        assert predicting(teacher, pool, place, patch)(place / "data") == 0
    return place / "data"


def test_every_picture_has_every_label_a_confidence_and_its_origin(whole: Path, pool: Path) -> None:
    origin, samples = read_origin(whole), read_samples(whole)
    assert origin is not None and origin.finished and origin.images == len(samples) == NUM
    assert origin.date == "2027-01-15"
    assert {name: head["confidence"] for name, head in origin.heads.items()} == {
        **dict.fromkeys(("normal", "depth", "pointmap", "albedo", "matting"), "flip"),
        "pose": "peak",
        "seg": "softmax",
    }
    for sample in samples:
        image = whole / "images" / sample.image
        assert image.is_symlink() and image.resolve() == (pool / sample.image).resolve()
        assert all(any((whole / folder).glob(f"{sample.name}.*")) for folder in LABELS)
        for name, head in origin.heads.items():
            given = sample.confidence[name]
            assert given is not None and 0 < given <= 1
            if head["label"] != "keypoints":
                path = whole / "confidences" / head["label"] / f"{sample.name}.png"
                values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
                assert values.shape == Image.open(image).size[::-1]
                assert values[values > 0].mean() / 255 == pytest.approx(given, abs=3e-3)
    people = json.loads((whole / "annotations" / "train.json").read_text())
    for one in people["annotations"]:
        seen = np.array(one["keypoints"]).reshape(-1, 3)[:, 2] > 0
        scores = np.array(one["keypoint_scores"])
        assert len(scores) == 17 and ((scores >= 0.3) | ~seen).all() and seen.any()


@pytest.mark.parametrize("name", DATASETS)
def test_checks_find_nothing_in_it(whole: Path, name: str) -> None:
    report, checked = check_all({"": DATASETS[name](str(whole))})
    assert not report.errors and not report.warnings, report
    assert len(checked[0].datasets["train"]) == NUM


def test_training_on_it_twice_is_the_same(whole: Path, tmp_path: Path) -> None:
    settings = [
        *("--config", "segmentation_29.yaml", "--config", "size/smoke.yaml", "--data.root", str(whole)),
        *("--data.val", "null", "--trainer.max_steps", "2", "--trainer.limit_val_batches", "0"),
        *("--data.confidence", "{min: 0.05, weight: true}", "--seed_everything", "3", *QUIET),
    ]
    losses = []
    for run in ("one", "two"):
        assert main(["fit", *settings, "--output", str(tmp_path / run)]) == 0
        lines = (tmp_path / run / "version_0" / "metrics.csv").read_text().splitlines()
        place = next(index for index, key in enumerate(lines[0].split(",")) if "loss" in key)
        losses.append([line.split(",")[place] for line in lines[1:]])
    assert losses[0] == losses[1] and any(losses[0])


def test_shards_leave_what_one_run_leaves(predict: Any, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "data"
    assert predict(out, "--shard", "2/2") == predict(out, "--shard", "1/2") == 0
    assert tree(out) == tree(whole)


def test_an_interrupted_run_is_no_dataset_until_it_goes_on(
    predict: Any,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sapiens2_lit.inference.output import Output

    out, add = tmp_path / "data", Output.add

    def interrupted(self: Output, frame: Any, made: Any) -> None:
        if not interrupts.received():  # a second signal ends a command at once
            os.kill(os.getpid(), signal.SIGINT)
        add(self, frame, made)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "add", interrupted)
        assert predict(out) == 130
    capsys.readouterr()
    assert main(["check", "--config", "normal.yaml", "--data.root", str(out), "--output", str(tmp_path)]) == 1
    assert "`finished` is false" in capsys.readouterr().out
    assert predict(out, "--resume") == 0
    assert tree(out) == tree(whole)
    commands = capsys.readouterr().out
    assert f"--config pose_17.yaml --data.root {out} --data.val 0.1" in commands


def test_copies_instead_of_links(predict: Any, whole: Path, tmp_path: Path) -> None:
    assert predict(tmp_path / "data", "--copy_images") == 0
    assert tree(tmp_path / "data") == tree(whole)
    assert not any(path.is_symlink() for path in (tmp_path / "data").rglob("*"))


def test_what_does_not_belong_together_is_refused(
    predict: Any,
    pool: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    teacher: Any,
) -> None:
    out = tmp_path / "data"
    out.mkdir()
    (out / "mine.txt").write_text("labels of somebody's own")

    def refused(*words: str, options: tuple[str, ...] = ()) -> None:
        before = tree(out)
        assert predict(out, *options) != 0
        said = capsys.readouterr().err
        assert all(word in said for word in words), said
        assert tree(out) == before

    refused("not empty", "pseudo_labels.json")
    (out / "mine.txt").unlink()
    refused("--formats", "no effect", options=("--formats", "png"))
    held = tmp_path / "held"
    held.mkdir()
    (held / "other.png").write_bytes((pool / "1.png").read_bytes())
    refused("1 of 6 pictures", "1.png is", "other.png", options=("--held_out", str(held)))
    assert predict(out) == 0
    bias = teacher.heads["normal"].get_submodule(teacher.heads["normal"].stages[-1]).bias.data
    bias[0] += 0.5
    try:
        refused("pseudo_labels.json", "teacher.fingerprint", "another folder", options=("--resume",))
    finally:
        bias[0] -= 0.5
    refused("settings.flip", options=("--no_flip",))
    (out / "images" / "1.png").unlink()
    Image.new("RGB", (60, 71), (9, 8, 7)).save(out / "images" / "1.png")
    refused("images/1.png", "a picture other than", options=("--resume",))


def test_two_pictures_of_one_name_are_named(
    predict: Any, pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = [pool / "a.png", pool / "a.jpg", pool / "a_jpg.png"]
    for path in twins:
        path.write_bytes((pool / "1.png").read_bytes())
    try:
        assert predict(tmp_path / "data") != 0
    finally:
        for path in twins:
            path.unlink()
    said = capsys.readouterr().err
    assert "a.jpg" in said and "a_jpg.png" in said and "rename one" in said
    assert not (tmp_path / "data").exists()


def test_a_teachers_own_vocabulary_lies_beside_its_labels(make_model: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from sapiens2_lit.inference.writers.dataset.build import own_vocabularies
    from sapiens2_lit.inference.writers.dataset.sample_list import write_vocabularies
    from sapiens2_lit.vocabularies import load_classes, load_skeleton

    heads = dict(make_model("pose", "seg").named_heads())
    assert own_vocabularies([*heads.values()]) == {}, "these have names"
    skeleton, classes = load_skeleton("coco17"), load_classes("body3")
    heads["pose"].skeleton = replace(skeleton, name="mine", keypoints=("tip", *skeleton.keypoints[1:]))
    heads["seg"].classes = replace(classes, name="own", names=("none", *classes.names[1:]), remap={})
    write_vocabularies(tmp_path, own_vocabularies([*heads.values()]))
    found, there = load_skeleton(tmp_path / "skeleton.json"), load_classes(tmp_path / "classes.json")
    for key in ("name", "keypoints", "swap", "sigmas", "links"):
        assert getattr(found, key) == getattr(heads["pose"].skeleton, key)
    for key in ("name", "names", "swap", "colors", "weights", "background"):
        assert getattr(there, key) == getattr(heads["seg"].classes, key)
