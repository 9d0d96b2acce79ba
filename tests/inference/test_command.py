"""`sapiens2-lit predict` as users call it."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import QUIET
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state, write_weights
from sapiens2_lit.cli.fit import run
from sapiens2_lit.cli.main import main
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.load import load
from sapiens2_lit.inference.predictor import Predictor

BACKBONE = {
    "class_path": "sapiens2_lit.backbones.Sapiens2",
    "init_args": {"size": "test", "image_size": [64, 48]},
}
CLASSES = {
    "pose": ("PoseHead", {"skeleton": "coco17"}),
    "seg": ("SegmentationHead", {}),
    "normal": ("NormalHead", {}),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, make_model: Any) -> dict[str, str]:
    """Task files of 64 x 48 pixels, as `export` writes them."""
    folder = tmp_path_factory.mktemp("models")
    for task, (kind, settings) in CLASSES.items():
        head = {"class_path": f"sapiens2_lit.heads.{kind}", "init_args": settings}
        config = {"model": {"backbone": BACKBONE, "heads": {task: head}}}
        state = released_state(make_model(task).state_dict(), task)
        write_weights(state, folder / f"{task}.safetensors", metadata={METADATA: json.dumps(config)})
    return {task: str(folder / f"{task}.safetensors") for task in CLASSES}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, picture: Any) -> Path:
    """Four photographs of different sizes, one in a folder of its own."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    for index, name in enumerate(("a.png", "b.png", "c.png", "sub/d.png")):
        Image.fromarray(picture(60 + 20 * index, 90 - 10 * index, index)).save(folder / name)
    return folder


def predict(model: str, images: Path | str, out: Path, *options: object) -> int:
    return main(
        ["predict", "--model", model, "--images", str(images), "--output", str(out), *map(str, options)]
    )


def test_pose_of_people_in_boxes(models: dict[str, str], photos: Path, tmp_path: Path) -> None:
    boxes = {
        "a.png": [[5, 5, 40, 50], [30, 2, 30, 40, 0.5]],
        "d.png": [[1, 1, 20, 60]],
        "b.png": [],
        "c.png": [],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    options = ["--boxes", tmp_path / "boxes.json", "--formats", "coco", "json", "--flip", "--batch-size", 3]
    assert predict(models["pose"], photos, tmp_path / "out", *options) == 0
    results = json.loads((tmp_path / "out" / "pose" / "coco_results.json").read_text())
    images = json.loads((tmp_path / "out" / "pose" / "coco_images.json").read_text())
    found = {image["file_name"]: [r for r in results if r["image_id"] == image["id"]] for image in images}
    assert {file: len(people) for file, people in found.items()} == {
        "a.png": 2,
        "b.png": 0,
        "c.png": 0,
        "sub/d.png": 1,
    }
    (own,) = (
        load(models["pose"], device="cpu", flip=True)
        .predict(photos / "sub" / "d.png", boxes["d.png"])
        .instances
    )
    keypoints = np.array(found["sub/d.png"][0]["keypoints"]).reshape(17, 3)
    np.testing.assert_allclose(keypoints, own.keypoints, atol=0.02)


def test_masks_have_the_size_of_their_images(models: dict[str, str], photos: Path, tmp_path: Path) -> None:
    options = ["--formats", "png", "--scales", 1.0, 1.34]
    assert predict(models["seg"], f"{photos}/*.png", tmp_path / "out", *options) == 0
    masks = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "out").rglob("*.png")}
    assert {name: mask.shape for name, mask in masks.items()} == {
        "a.png": (60, 90), "b.png": (80, 80), "c.png": (100, 70)
    }  # fmt: skip
    expected = load(models["seg"], device="cpu", scales=(1.0, 1.34)).predict(photos / "a.png")
    np.testing.assert_array_equal(masks["a.png"], expected.maps["seg"]["segmentation"])


def test_normals_on_people_of_another_model(models: dict[str, str], photos: Path, tmp_path: Path) -> None:
    options = ["--formats", "npy", "--mask-with", models["seg"], "--no-ema", "--precision", "bf16"]
    assert predict(models["normal"], photos / "a.png", tmp_path / "out", *options) == 0
    (path,) = (tmp_path / "out" / "normal").rglob("a.npy")
    labels = (
        load(models["seg"], device="cpu", precision="bf16")
        .predict(photos / "a.png")
        .maps["seg"]["segmentation"]
    )
    np.testing.assert_array_equal(np.isnan(np.load(path)).all(axis=2), labels == 0)


def test_resume_does_what_is_missing(
    models: dict[str, str], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert predict(models["seg"], photos, out, "--formats", "png") == 0
    files = sorted(out.rglob("*.png"))
    times = {path: path.stat().st_mtime_ns for path in files}
    files[1].unlink()
    seen: list[int] = []
    start = Predictor.start
    monkeypatch.setattr(
        Predictor,
        "start",
        lambda self, images, *rest: seen.append(len(images)) or start(self, images, *rest),
    )
    assert predict(models["seg"], photos, out, "--formats", "png", "--resume") == 0
    assert seen == [1]
    assert sorted(out.rglob("*.png")) == files
    assert [path for path in files if path.stat().st_mtime_ns != times[path]] == [files[1]]


def test_unreadable_files_are_listed_and_the_others_done(
    models: dict[str, str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "broken.png").write_bytes((photos / "a.png").read_bytes()[:100])
    (images / "good.png").write_bytes((photos / "a.png").read_bytes())
    (images / "text.jpg").write_text("no image")
    assert predict(models["seg"], images, tmp_path / "out", "--formats", "png") == 1
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["good.png"]
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert "2 of the files" in printed and "broken.png" in printed and "text.jpg" in printed


@pytest.mark.slow
def test_predict_agrees_with_the_trainer(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """On a checkpoint with adapters, averaged weights and a backbone that it does not hold."""
    pytest.importorskip("peft")
    torch.manual_seed(0)
    write_weights(Sapiens2("test").state_dict(), tmp_path / "pretrain.safetensors")
    command = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
        *QUIET,
        "--trainer.max_steps",
        "4",
    ]
    command += ["--data.root", str(figures), "--output", str(tmp_path / "runs"), "--data.batch_size", "4"]
    command += ["--model.backbone.weights", str(tmp_path / "pretrain.safetensors")]
    command += [
        "--model.adapt.mode",
        "lora",
        "--model.ema",
        "{decay: 0.5}",
        "--trainer.limit_val_batches",
        "0",
    ]
    assert main(command) == 0
    runs = ["--model", str(tmp_path / "runs" / "last")]
    cli = run(["test", *runs, "--data.test", "val.json", *QUIET])
    batches = cli.trainer.predict(cli.model, cli.datamodule.test_dataloader())
    expected = torch.cat([batch["pose"]["keypoints"] for batch in batches]).numpy()
    images, out = str(tmp_path / "photos"), tmp_path / "out"
    labels = json.loads((figures / "annotations" / "val.json").read_text())
    for image in labels["images"]:
        copy_to = tmp_path / "photos" / image["file_name"]
        copy_to.parent.mkdir(parents=True, exist_ok=True)
        copy_to.write_bytes((figures / "images" / image["file_name"]).read_bytes())
    boxes = ["--boxes", str(figures / "annotations" / "val.json"), "--flip", "--formats", "coco"]
    assert main(["predict", *runs, "--images", images, *boxes, "--output", str(out)]) == 0
    results = json.loads((out / "pose" / "coco_results.json").read_text())
    results.sort(key=lambda result: result["image_id"])
    assert len(results) == len(expected) > 0
    for result, keypoints in zip(results, expected, strict=True):
        np.testing.assert_allclose(np.array(result["keypoints"]).reshape(-1, 3), keypoints, atol=0.02)
    (tmp_path / "pretrain.safetensors").rename(tmp_path / "moved.safetensors")
    again = [
        "predict",
        *runs,
        "--images",
        str(figures / "images" / "000000.jpg"),
        "--formats",
        "json",
        "--output",
        str(out),
    ]
    assert main(again) == 1
    assert "pretrained backbone that it belongs to was not found" in capsys.readouterr().err
    assert main([*again, "--backbone", str(tmp_path / "moved.safetensors")]) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--images", "nowhere"], "nowhere: no such file, folder or pattern"),
        (["--images", "EMPTY"], "found no image or video"),
        (["--out", "FILE"], "is a file, expected a folder"),
        (["--boxes", "nowhere.json"], "nowhere.json: the file does not exist"),
        (["--formats", "ply"], "ply"),
        (["--formats", "coco"], "coco"),
        (["--model", "nowhere.safetensors"], "nowhere.safetensors: no such file or folder"),
        (["--mask_with", "pose"], "mask_with: 'pose' is not a head"),
        (["--scales", "0"], "scales: found [0.0]"),
        (["--precision", "half"], "precision: found 'half'"),
        (["--device", "gpu"], "device: found 'gpu'"),
        (["--frame", "blender"], "--frame is 'blender'"),
        (["--batch-size", "many"], "--batch_size"),
        (["--nothing", "1"], "--nothing"),
        (["--ckpt_path", "a.ckpt"], "--ckpt_path is an older name of --model"),
        (["--data.predict", "images"], "--data.predict is gone: give --images PATH"),
    ],
)
def test_mistakes_are_answered_in_one_message(
    options: list[str],
    expected: str,
    models: dict[str, str],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    places = {"EMPTY": str(tmp_path / "empty"), "FILE": str(tmp_path / "file")}
    command = ["predict", "--model", models["seg"], "--images", str(photos), "--out", str(tmp_path / "out")]
    assert main([*command, *(places.get(option, option) for option in options)]) in (1, 2)
    printed = capsys.readouterr().err.split("error: ")[-1]
    assert expected in printed
    assert "Traceback" not in printed
    assert not list((tmp_path / "out").rglob("*.png"))


def test_boxes_that_no_head_looks_at_are_refused(
    models: dict[str, str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": [[5, 5, 40, 50]]}))
    options = ["--boxes", tmp_path / "boxes.json", "--formats", "png"]
    assert predict(models["seg"], photos, tmp_path / "out", *options) == 1
    assert "--boxes: no head of" in capsys.readouterr().err
    assert predict(models["seg"], photos / "a.png", tmp_path / "out", *options, "--dense_view", "crop") == 0
    (path,) = (tmp_path / "out").rglob("*.png")
    mask = np.asarray(Image.open(path))
    assert (mask[:, 70:] == 255).all() and (mask[10:50, 10:40] != 255).all()
    (tmp_path / "boxes.json").write_text(json.dumps({"other.png": [[5, 5, 40, 50]]}))
    assert predict(models["seg"], photos, tmp_path / "out", *options, "--dense-view", "crop") == 1
    assert "has no boxes for any of the 4 images" in capsys.readouterr().err


def test_image_ids_of_a_coco_file_stand_in_coco_results(
    models: dict[str, str], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = [{"id": 40 + index, "file_name": f"photos/{name}.png"} for index, name in enumerate("abcd")]
    people = [{"id": 1, "image_id": 42, "bbox": [5, 5, 40, 50]}]
    options = ["--boxes", tmp_path / "coco.json", "--formats", "coco"]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": people}))
    assert predict(models["pose"], photos, tmp_path / "out", *options) == 0
    results = json.loads((tmp_path / "out" / "pose" / "coco_results.json").read_text())
    assert [result["image_id"] for result in results] == [42]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images[1:], "annotations": people}))
    assert predict(models["pose"], photos, tmp_path / "out", *options) == 1
    assert "has no `image_id` of 1 pictures, such as a.png" in capsys.readouterr().err


def test_help_lists_the_options(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", "--help"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "--images PATH" in printed and "--model SOURCE" in printed
    assert main(["predict", "--model", "somewhere"]) == 2
    assert "--images" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are of another kind there")
def test_an_output_folder_that_cannot_be_written_is_found_before_any_work(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **settings: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # as root, tests may write everywhere
    assert predict("nowhere.safetensors", photos, tmp_path / "out") == 1
    assert "out cannot be written: Permission denied" in capsys.readouterr().err
