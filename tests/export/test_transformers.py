"""Folders for `transformers`: loaded as users load them, with the numbers and names of ours."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sapiens2_lit.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.transformers import check
from sapiens2_lit.inference.model import load_model
from sapiens2_lit.models.normalize import normalize

transformers = pytest.importorskip("transformers")

KINDS = {
    "pose": "Sapiens2ForPoseEstimation",
    "seg": "Sapiens2ForSemanticSegmentation",
    "normal": "Sapiens2ForNormalEstimation",
    "pointmap": "Sapiens2ForPointmapEstimation",
    "matting": "Sapiens2ForImageMatting",
}
LARGE = (512, 384)  # the smallest with the released strides of the scale branch


def export(source: Path, out: Path, *options: str) -> Path:
    assert main(["export", str(source), str(out), "--format", "transformers", *options]) == 0
    return out


def pairs(task: str, ours: Any, theirs: Any, predicted: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    if task == "pointmap":
        return [(ours["pointmap"], theirs.pointmaps), (ours["scale"], theirs.scales)]
    if task == "matting":
        return [(predicted["alpha"], theirs.alphas), (predicted["foreground"], theirs.foregrounds)]
    return [(ours, getattr(theirs, {"pose": "heatmaps", "seg": "logits", "normal": "normals"}[task]))]


@pytest.mark.slow
@pytest.mark.parametrize("task", KINDS)
def test_from_pretrained_answers_as_we_do_and_comes_back(
    task: str, checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    size = LARGE if task == "pointmap" else (64, 48)
    head = (
        {"class_path": "sapiens2_lit.heads.PointmapHead", "init_args": {"image_size": list(size)}}
        if task == "pointmap"
        else heads[task]
    )
    source = checkpoint({"mine": head}, image_size=size, size="tiny" if task == "pose" else "test")
    folder = export(source, tmp_path / "out", "--check", "false")
    theirs = getattr(transformers, KINDS[task]).from_pretrained(folder).eval()
    ours = load_model(source)
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    with torch.no_grad():
        outputs = ours(image)["mine"]
        predicted = ours.heads["mine"].predict(outputs, {"image": image})
        expected = theirs(normalize(image, IMAGENET_MEAN, IMAGENET_STD))
    for own, other in pairs(task, outputs, expected, predicted):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)

    again = load_model(folder)
    assert again.image_size == size
    for name, tensor in ours.state_dict().items():
        if ".losses." not in name:
            assert torch.equal(again.state_dict()[name], tensor), name


def test_the_export_is_checked_by_itself(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    export(checkpoint({"seg": heads["seg"]}, view="stretch"), tmp_path / "out")
    printed = capsys.readouterr().out
    assert "loaded by transformers, outputs equal within" in printed
    assert "on three pictures within" in printed


@pytest.mark.parametrize("task", ["seg", "matting"])
def test_letterboxed_models_whose_padding_nobody_cuts_off_are_refused(
    task: str, checkpoint: Any, heads: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = checkpoint({task: heads[task]}, view="letterbox")
    assert main(["export", str(source), str(tmp_path / "out"), "--format", "transformers"]) == 1
    printed = capsys.readouterr().err
    assert "elsewhere than those of `predict`" in printed
    assert "--data.view stretch" in printed
    assert not (tmp_path / "out").exists()


def test_the_check_finds_a_processor_that_stretches_what_was_letterboxed(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    """The middle of a map pulled over the whole picture, where do_pad is missing."""
    source = checkpoint({"normal": heads["normal"]}, image_size=(128, 96))
    folder = export(source, tmp_path / "out")  # is checked
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    assert settings["do_pad"] is True
    path.write_text(json.dumps({key: value for key, value in settings.items() if key != "do_pad"}))
    model = load_model(source)
    with pytest.raises(ExportError, match=r"normal\.normal lies .* pixels from where"):
        check(model, folder, "normal", model.heads["normal"], "normal")


@pytest.mark.parametrize("size", [(425, 640), (640, 425), (500, 500)])
def test_rows_of_a_letterboxed_picture_come_back_where_they_were(
    size: tuple[int, int], checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    """A picture that says where each row and column is goes through the processor and back by its post-processing."""
    source = checkpoint({"normal": heads["normal"]}, image_size=(1024, 768))
    folder = export(source, tmp_path / "out", "--check", "false")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows / height, columns / width, 0 * rows], axis=-1) * 255
    seen = processor(images=Image.fromarray(picture.astype(np.uint8)), return_tensors="pt")["pixel_values"]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (processor.image_mean, processor.image_std))
    outputs = SimpleNamespace(pointmaps=(seen * std + mean), scales=None)
    (found,) = processor.post_process_pointmap_estimation(outputs, source_sizes=[size])
    places = found["pointmap"][:2].numpy() * np.array([height, width]).reshape(2, 1, 1)
    away = np.abs(places - np.stack([rows, columns]))
    assert away.max() < 2.0 + max(size) / 255, (
        "a grey level is more than a pixel, and edges are rounded to whole ones"
    )


def test_what_transformers_saves_we_read(checkpoint: Any, heads: dict[str, Any], tmp_path: Path) -> None:
    folder = export(checkpoint({"seg": heads["seg"]}), tmp_path / "out", "--check", "false")
    transformers.Sapiens2ForSemanticSegmentation.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    ours, again = load_model(folder).state_dict(), load_model(tmp_path / "saved").state_dict()
    assert all(torch.equal(again[name], ours[name]) for name in again if not name.endswith("periods"))


def test_own_classes_and_keypoints_are_named_there(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    classes = tmp_path / "mine.yaml"
    classes.write_text("classes: [nobody, rider, horse]\nbackground: nobody\n")
    both = {
        "seg": {"class_path": "sapiens2_lit.heads.SegmentationHead", "init_args": {"classes": str(classes)}},
        "pose": heads["pose"],
    }
    source = checkpoint(both)
    config = transformers.AutoConfig.from_pretrained(
        export(source, tmp_path / "seg", "--head", "seg", "--check", "false")
    )
    assert config.id2label == {0: "nobody", 1: "rider", 2: "horse"}
    assert config.num_labels == 3
    config = transformers.AutoConfig.from_pretrained(
        export(source, tmp_path / "pose", "--head", "pose", "--check", "false")
    )
    assert config.id2label[9] == "left_wrist"
    assert [5, 6] in config.flip_pairs


def test_flipped_heatmaps_are_those_of_our_flip_test(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    """flip_pairs, as `transformers` takes them, swap what our skeleton swaps."""
    source = checkpoint({"pose": heads["pose"]})
    folder = export(source, tmp_path / "out", "--check", "false")
    theirs = transformers.Sapiens2ForPoseEstimation.from_pretrained(folder).eval()
    ours = load_model(source)
    image = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        pairs = torch.tensor(theirs.config.flip_pairs)
        expected = theirs(normalize(image.flip(-1), IMAGENET_MEAN, IMAGENET_STD), flip_pairs=pairs).heatmaps
        found = ours.heads["pose"].unflip(ours(image.flip(-1))["pose"])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_image_processor_prepares_as_we_do(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    folder = export(checkpoint({"pose": heads["pose"]}), tmp_path / "out", "--check", "false")
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    found = processor(images=Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    expected = normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None], IMAGENET_MEAN, IMAGENET_STD)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    config = json.loads((folder / "preprocessor_config.json").read_text())
    assert config["size"] == {"height": 64, "width": 48}
    assert config["keypoint_heatmap_downscale_factor"] == 4


@pytest.mark.parametrize(
    ("head", "settings", "expected"),
    [
        ("albedo", {}, "no Sapiens2 model of this task; take --format released"),
        ("depth", {}, "no Sapiens2 model of this task; take --format released"),
        ("linear", {}, "no Sapiens2 model of this task; take --format onnx"),
        ("pointmap", {}, "its scale branch has the strides [1, 1, 1]"),
        ("normal", {"window_tokenizer": True, "image_size": (64, 64)}, "no window tokenizer"),
    ],
)
def test_what_transformers_cannot_hold_is_said(
    head: str,
    settings: dict[str, Any],
    expected: str,
    checkpoint: Any,
    heads: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    source = checkpoint({head: heads[head]}, **settings)
    assert main(["export", str(source), str(tmp_path / "out"), "--format", "transformers"]) == 1
    printed = capsys.readouterr().err
    assert expected in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()
