"""Task files of Sapiens v1: loaded strictly, their heads' formulas, one training step, back to their layout."""

import json
from functools import partial
from pathlib import Path

import pytest
import sapiens1_files as files
import torch
from helpers import QUIET

from sapiens2_lit.backbones import Sapiens1, Sapiens2
from sapiens2_lit.checkpoints import read_meta, read_weights, take_head
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import DepthHead, NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.inference.model import load_model
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.models.build import NetworkFactory
from sapiens2_lit.probing.sources import load_backbone
from sapiens2_lit.vocabularies import load_classes

HEADS = {
    "pose": partial(PoseHead, skeleton="coco17", decoder="sapiens1"),
    "seg": partial(SegmentationHead, classes="body28", decoder="sapiens1"),
    "normal": partial(NormalHead, decoder="sapiens1"),
    "depth": partial(DepthHead, decoder="sapiens1", relative=True, linear=True),
}
FRAME = torch.tensor([1.0, -1.0, -1.0]).view(3, 1, 1)  # OpenGL's y and z, in OpenCV's


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of each task, with the states of an optimizer beside the weights, and one of pretraining."""
    folder = tmp_path_factory.mktemp("v1")
    for task in HEADS:
        files.write_task(folder / f"{task}.pth", task, optimizer={"state": {}, "param_groups": []})
    files.write_backbone(folder / "pretrain.pth")
    return folder


def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (2, 3, 64, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )


@pytest.mark.parametrize("task", HEADS)
@torch.no_grad()
def test_a_task_file_is_read_and_its_head_computes_the_released_formula(task: str, folder: Path) -> None:
    model = load_model(folder / f"{task}.pth")
    backbone, head = model.backbone, model.heads[task]
    assert isinstance(backbone, Sapiens1)
    assert backbone.padding == (2 if task in ("pose", "normal") else 0)
    found = model(images())[task]
    expected = files.run_head(files.head(task), task, model.features(images())[-1])
    stride = {"pose": 4, "seg": 2, "normal": 2, "depth": 1}[task]
    assert found.shape[-2:] == (64 // stride, 48 // stride)
    turned = expected * FRAME if task == "normal" else expected
    torch.testing.assert_close(found, turned, rtol=0, atol=1e-6)
    answers = head.predict(found, {"image": images()})
    if task == "pose":
        assert answers["keypoints"].shape == (2, 17, 3)
        return
    field = torch.nn.functional.interpolate(expected, (64, 48), mode="bilinear", align_corners=False)
    if task == "seg":
        assert head.classes == load_classes("sapiens28")
        assert torch.equal(answers["segmentation"], field.argmax(dim=1).to(torch.uint8))
    elif task == "normal":
        normals = torch.nn.functional.normalize(field) * FRAME
        torch.testing.assert_close(answers["normal"], normals, rtol=0, atol=1e-6)
    else:
        assert head.relative
        torch.testing.assert_close(answers["depth"], field, rtol=0, atol=1e-6)


@pytest.mark.parametrize("task", HEADS)
def test_training_goes_on_from_a_task_file(task: str, folder: Path) -> None:
    backbone = partial(Sapiens1, "test", (64, 48), padding=2 if task in ("pose", "normal") else 0)
    factory = NetworkFactory(backbone, {"mine": HEADS[task]}, str(folder / f"{task}.pth"))
    network = factory.build(read_weights=True)
    batch = example_batch([network.heads["mine"]], 2, (64, 48))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        loss = sum(network.heads["mine"].loss(network(batch["image"])["mine"], batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("task", HEADS)
def test_an_export_is_the_file_that_it_came_from_and_carries_its_licence(
    task: str, folder: Path, tmp_path: Path
) -> None:
    out, source = tmp_path / "out", folder / f"{task}.pth"
    assert main(["export", "--model", str(source), "--output", str(out), "--format", "released"]) == 0
    file = out / f"sapiens_test_{task}.pth"
    content = torch.load(file, weights_only=True)
    expected = files.task_state(task)
    assert content["state_dict"].keys() == expected.keys()
    assert all(torch.equal(content["state_dict"][name], value) for name, value in expected.items())
    assert "no commercial use" in content["meta"]["licence"]
    assert "no commercial use" in (out / "LICENSE").read_text()
    assert "license: cc-by-nc-4.0" in (out / "README.md").read_text()
    assert json.loads((out / "sapiens2_lit.json").read_text())["derived_from"]["licence"] == "cc-by-nc-4.0"
    again, first = load_model(file), load_model(source)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    assert again.backbone.padding == first.backbone.padding


def test_what_is_no_task_file_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no head.*facebook/sapiens-seg-0\.3b"):
        load_model(folder / "pretrain.pth")
    backbone = partial(Sapiens1, "test", (64, 48), padding=2)
    with pytest.raises(WeightsError, match=r"backbone without a head: give it as model\.backbone\.weights"):
        NetworkFactory(backbone, {"pose": HEADS["pose"]}, str(folder / "pretrain.pth")).build(True)
    with pytest.raises(SettingError, match=r"heads\.depth\.linear to true"):
        NetworkFactory(
            backbone, {"depth": partial(DepthHead, decoder="sapiens1")}, str(folder / "depth.pth")
        ).build(True)
    with pytest.raises(SettingError, match=r"was trained with 2.*set padding=2"):
        NetworkFactory(
            partial(Sapiens1, "test", (64, 48)), {"pose": HEADS["pose"]}, str(folder / "pose.pth")
        ).build(True)
    with pytest.raises(WeightsError, match=r"hint: the file is of Sapiens v1.*backbones\.Sapiens1"):
        Sapiens2("test", (64, 48), weights=str(folder / "pretrain.pth"))
    with pytest.raises(WeightsError, match="expected a Sapiens v1 backbone"):
        torch.save(Sapiens2("test").state_dict(), tmp_path / "second.pth")
        Sapiens1("test", (64, 48), padding=0, weights=str(tmp_path / "second.pth"))
    files.write_task(tmp_path / "five.pth", "seg", 5)
    (tmp_path / "config.json").write_text('{"padding": 0}')
    with pytest.raises(WeightsError, match=r"5 classes.*28 \(body28\).*id2label"):
        load_model(tmp_path / "five.pth")
    names = {str(i): f"part_{i}" for i in range(3)}
    (tmp_path / "config.json").write_text(json.dumps({"padding": 0, "id2label": names}))
    files.write_task(tmp_path / "three.pth", "seg", 3)
    model = load_model(tmp_path / "three.pth")
    assert model.heads["seg"].classes.names == tuple(names.values()), "named classes are no normals"


def test_programs_and_objects_are_refused_with_the_way_out(tmp_path: Path) -> None:
    script = tmp_path / "seg_torchscript.pt2"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    with pytest.raises(WeightsError, match=r"TorchScript program.*Use the \.pth"):
        read_weights(script)
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "seg.pt2")
    with pytest.raises(WeightsError, match=r"a program of torch\.export.*Use the \.pth"):
        read_weights(tmp_path / "seg.pt2")
    with pytest.raises(WeightsError, match=r"facebook/sapiens-seg-1b, whose file ends in \.pth"):
        read_weights("facebook/sapiens-seg-1b-torchscript")
    import numpy as np

    torch.save({"state_dict": files.task_state("seg"), "meta": {"seed": np.float64(1)}}, tmp_path / "mm.pth")
    with pytest.raises(WeightsError, match=r"found numpy.*weights_only=False.*mm_clean\.pth"):
        read_weights(tmp_path / "mm.pth")


@torch.no_grad()
def test_a_probe_sees_what_pretraining_saw(folder: Path) -> None:
    (pretrained, task) = (
        load_backbone(str(folder / name), (64, 64)) for name in ("pretrain.pth", "pose.pth")
    )
    assert isinstance(pretrained, Sapiens1) and isinstance(task, Sapiens1)
    assert (pretrained.class_token, pretrained.padding) == (True, 0)
    assert (task.class_token, task.padding) == (False, 2)
    x = pretrained(torch.zeros(1, 3, 64, 64))[0]
    again = Sapiens1("test", (64, 64), class_token=True, weights=str(folder / "pretrain.pth"))
    torch.testing.assert_close(x, again(torch.zeros(1, 3, 64, 64))[0], rtol=0, atol=0)


def test_a_run_says_its_padding_and_its_licence_and_so_does_a_head_taken_out_of_it(
    folder: Path, figures: Path, tmp_path: Path
) -> None:
    overlay = tmp_path / "v1.yaml"
    settings = {"size": "test", "weights": str(folder / "pretrain.pth")}
    backbone = {"class_path": "sapiens2_lit.backbones.Sapiens1", "init_args": settings}
    overlay.write_text(json.dumps({"model": {"backbone": backbone}}))
    command = [
        "fit",
        "--config",
        "pose_17.yaml",
        "--config",
        "size/smoke.yaml",
        "--config",
        str(overlay),
        *QUIET,
    ]
    command += ["--data.root", str(figures), "--trainer.max_steps", "1", "--trainer.limit_val_batches", "1"]
    command += ["--model.adapt.mode", "frozen", "--output", str(tmp_path / "runs")]
    assert main(command) == 0
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    said = read_meta(checkpoint)
    assert said["config"]["model"]["backbone"]["init_args"]["padding"] == 0
    assert "no commercial use" in said["licence"]
    taken = take_head(checkpoint, "pose", tmp_path / "pose.safetensors")
    model, first = load_model(taken), load_model(checkpoint)
    assert model.backbone.padding == 0, "a released pose model would have 2"
    with torch.no_grad():
        assert torch.equal(model(images())["pose"], first(images())["pose"])
