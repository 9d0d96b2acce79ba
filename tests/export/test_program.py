"""The program beside an ONNX file: numpy alone reads the outputs as the heads do."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import EXACT_WARPS
from PIL import Image

from sapiens2_lit.cli.main import main
from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.export.agreement import draw_picture, results_of
from sapiens2_lit.export.manifest import describe_head
from sapiens2_lit.inference.class_maps import restore_classes
from sapiens2_lit.inference.model import load_model
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.to_original import restore_field
from sapiens2_lit.inference.views import crop_view, whole_view
from sapiens2_lit.transforms.geometric import apply_affine

pytest.importorskip("onnxruntime")
from sapiens2_lit.export import onnx_program as program

SIZE = (64, 48)
TASKS = ["pose", "seg", "normal", "pointmap", "albedo", "depth", "matting", "linear"]


@pytest.mark.parametrize("task", TASKS)
def test_raw_outputs_mean_the_same(task: str, checkpoint: Any, heads: dict[str, Any]) -> None:
    model = load_model(checkpoint({"mine": heads[task]}))
    head: Any = model.heads["mine"]
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), dtype=np.uint8))
    outputs = model(images)["mine"]
    expected = head.predict(outputs, {"image": images})
    parts = outputs if isinstance(outputs, dict) else {"": outputs}
    raw = {f"mine.{key}".rstrip("."): value.numpy() for key, value in parts.items()}
    found = program.read_head("mine", describe_head(head), raw, SIZE)
    assert found
    for key, value in found.items():
        ours = expected[key].numpy()
        if key == "segmentation":  # where two classes are all but equal, rounding decides
            assert (value == ours).mean() > 0.999
        else:
            np.testing.assert_allclose(value, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 6.0])
def test_keypoints_are_found_where_our_codec_finds_them(sigma: float) -> None:
    """Everywhere on the map, borders and corners included, and under noise."""
    size, maps = (256, 192), (64, 48)
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(0, 1, (400, 2)) * (191, 255), np.ones((400, 1))], axis=1)
    codec = UDPHeatmapCodec(size, maps, sigma)
    heatmaps = codec.encode(torch.tensor(points, dtype=torch.float32)[None])[0]
    heatmaps += 0.02 * torch.from_numpy(rng.standard_normal(heatmaps.shape)).float()
    # `sigma` is said of the released map's size
    found = program.keypoints(heatmaps.numpy(), size, sigma * (256 * 192 / (64 * 48)) ** 0.5)
    expected = codec.decode(heatmaps).numpy()
    np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_allclose(found[0, :, 2], expected[0, :, 2], atol=1e-6)


@pytest.mark.parametrize("box", [None, [40.0, 30.0, 50.0, 120.0], [-20.0, 60.0, 90.0, 200.0]])
def test_points_come_back_to_where_they_were(box: list[float] | None) -> None:
    """A white dot is found in the input where the affine says, and brought back from there."""
    pixels = np.zeros((200, 160, 3), dtype=np.uint8)
    pixels[88:93, 58:63] = 255
    image = Image.fromarray(pixels)
    size = (256, 192)
    view, affine = program.whole(image, size) if box is None else program.crop(image, box, size)
    assert view.shape == (3, *size)
    assert view.dtype == np.uint8
    weight = view[0] / view[0].sum()
    seen = np.array([(weight * np.arange(192)).sum(), (weight * np.arange(256)[:, None]).sum()])
    np.testing.assert_allclose(seen, apply_affine(affine, np.array([[60.0, 90.0]]))[0], atol=0.2)
    back = program.to_original("keypoints", np.array([[*seen, 1.0]]), affine, image.size)
    np.testing.assert_allclose(back[0, :2], [60, 90], atol=0.2)


def test_maps_come_back_in_the_picture() -> None:
    """A ramp over the input becomes the ramp over the original that the affine says; outside nothing is known."""
    image, size = Image.new("RGB", (80, 100)), (64, 48)
    _, affine = program.crop(image, [20.0, 10.0, 30.0, 40.0], size)
    ramp = np.broadcast_to(np.arange(48, dtype=np.float32), (3, 64, 48))
    found = program.to_original("albedo", ramp, affine, image.size)
    assert found.shape == (100, 80, 3)
    columns = affine[0, 0] * np.arange(80) + affine[0, 2]
    inside = (columns > 0) & (columns < 47)
    np.testing.assert_allclose(found[30, inside, 0], columns[inside], atol=1e-3)
    assert np.isnan(found[30, columns < -1]).all()
    logits = np.broadcast_to(np.eye(29, dtype=np.float32)[7][:, None, None], (29, 64, 48))
    classes = program.to_original("segmentation", logits, affine, image.size)
    assert set(np.unique(classes)) == {7, 255}


def test_the_exported_program_runs_on_a_picture(
    onnx_folder: Path, graph_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "person.png"
    pixels = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(picture)
    monkeypatch.setattr(sys, "argv", ["predict.py", str(picture)])
    runpy.run_path(str(onnx_folder / "predict.py"), run_name="__main__")
    found = np.load(picture.with_suffix(".npz"))
    assert sorted(found) == ["linear.segmentation", "mine.left", "mine.mean", "pose.keypoints"]

    model = load_model(graph_checkpoint)
    model.backbone.rope_dtype = torch.float32  # as the file has it
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    heads: Any = model.heads
    outputs = model(images)
    keypoints = heads["pose"].predict(outputs["pose"], {"image": images})["keypoints"][0]
    np.testing.assert_allclose(found["pose.keypoints"], keypoints, atol=0.05)
    segmentation = heads["linear"].predict(outputs["linear"], {"image": images})["segmentation"][0]
    assert (found["linear.segmentation"] == segmentation.numpy()).mean() > 0.99


@EXACT_WARPS
@pytest.mark.parametrize("shape", [(192, 256), (256, 192), (700, 500), (60, 900), (40, 30)])
@pytest.mark.parametrize("view", ["letterbox", "stretch", "box", "person"])
def test_the_program_sees_the_pixels_that_predict_sees(shape: tuple[int, int], view: Any) -> None:
    """Noise, of which every way of resampling makes something else: grey levels equal but for rounding."""
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image, size = Image.fromarray(pixels), (96, 64)
    box = [0.2 * shape[1], 0.3 * shape[0], 0.4 * shape[1], 0.5 * shape[0]]
    if view == "box":
        seen, affine = program.crop(image, box, size)
        ours = crop_view(0, shape, size, np.array([*box, 1], dtype=np.float32))
    elif view == "person":
        seen, affine = program.crop(image, [0, 0, shape[1], shape[0]], size, padding=1.0)
        ours = whole_view(0, shape, size, as_person=True)
    else:
        seen, affine = program.whole(image, size, view)
        ours = whole_view(0, shape, size, view=view)
    np.testing.assert_allclose(affine, ours.affine, atol=1e-5)
    apart = np.abs(seen.transpose(1, 2, 0).astype(int) - ours.render(pixels))
    assert apart.max() <= 1
    assert apart.mean() < 0.1
    logits = np.random.default_rng(1).normal(size=(5, *size)).astype(np.float32)
    back = program.to_original("field", logits, affine, image.size, ours.whole)
    expected = restore_field(logits.transpose(1, 2, 0), ours)
    np.testing.assert_allclose(back[ours.region], expected, atol=1e-3)
    classes = program.to_original("segmentation", logits, affine, image.size, ours.whole)
    assert (classes[ours.region] == restore_classes(logits, ours)).mean() > 0.999


@pytest.mark.slow
def test_grouped_queries_opset_23_and_weights_beside_the_file(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the 4K tokenizer; boxes are for people, and classes are of the whole picture, as in `predict --boxes`."""
    pytest.importorskip("onnxscript")
    (tmp_path / "a_grouped_file.py").write_text(GROUPED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SAPIENS2_LIT_TRUST", "a_grouped_file")
    monkeypatch.setattr("sapiens2_lit.export.onnx.LARGEST_FILE", 0)
    both = {name: heads[name] for name in ("pose", "seg")}
    source = checkpoint(both, image_size=(128, 64), kind="a_grouped_file.Plain", view="stretch")
    out = tmp_path / "out"
    assert main(["export", str(source), str(out), "--format", "onnx", "--opset", "23"]) == 0
    assert (out / "model.onnx.data").is_file()
    session, facts = program.open_model(out / "model.onnx")
    assert facts["opset"] == 23
    assert facts["view"] == "stretch"
    image, box = Image.fromarray(draw_picture((90, 160), 0)), [40.0, 10.0, 50.0, 70.0]
    ours = Predictor(load_model(source), detector=None)
    for boxes in (box, None):
        expected = results_of(ours.predict(np.asarray(image), None if boxes is None else [boxes]))
        found = program.predict(session, facts, image, boxes)
        assert (found["seg.segmentation"] == expected["seg.segmentation"]).mean() > 0.99
        apart = np.linalg.norm(found["pose.keypoints"] - expected["pose.keypoints"], axis=1)
        assert np.median(apart) < 0.1


GROUPED = """
from sapiens2_lit.backbones import BackboneSize, Sapiens2


class Grouped(BackboneSize):
    def kv_heads(self, block):
        return self.heads // 2


class Plain(Sapiens2):
    def __init__(self, image_size=(128, 64), weights=None):
        super().__init__(Grouped(16, 1, 2, 32, 1), image_size, weights=weights)
"""
