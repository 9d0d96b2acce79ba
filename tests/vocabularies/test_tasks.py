"""A new dense task is a head, a DataModule, a row and a configuration: everything else reads the row."""

import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import QUIET
from safetensors.torch import load_file

from sapiens2_lit import heads
from sapiens2_lit.cli.main import main
from sapiens2_lit.export.model_card import describe
from sapiens2_lit.export.onnx_program import read_head
from sapiens2_lit.inference.from_released import infer_settings
from sapiens2_lit.inference.model import load_model
from sapiens2_lit.inference.writers.formats import formats_of
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.vocabularies.tasks import TASKS, MapKind, Task, map_kind, map_kinds, maps_of_label

CODE = """
from sapiens2_lit.data.labels.color import AlbedoFolder
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.decoders import build_decoder
from sapiens2_lit.heads.dense import DenseHead
from torch import nn


class AbsoluteError(nn.Module):
    def forward(self, field, target, valid):
        return ((field - target).abs() * valid).mean()


class ShadingHead(DenseHead):
    targets = ("shading",)
    key = "shading"

    def __init__(self, embed_dim: int, decoder: str = "pixel_shuffle") -> None:
        network = build_decoder("shading", embed_dim, 3, decoder, like="albedo")
        super().__init__(network, {"l1": AbsoluteError()}, init_bias=(0.5, 0.5, 0.5))

    def predict(self, outputs, batch):
        return {"shading": self.field(outputs, batch).clamp(0, 1)}


class ShadingFolder(AlbedoFolder):
    key = "shading"


class ShadingDataModule(DenseDataModule):
    def find_labels(self):
        return [ShadingFolder(self.root / "shadings", self.find_valids())]
"""
CONFIG = """
model:
  backbone: {class_path: sapiens2_lit.backbones.Sapiens2, init_args: {size: 0.4b}}
  heads:
    shading: {class_path: new_task.ShadingHead}
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 1.0e-4}}
data: {class_path: new_task.ShadingDataModule, init_args: {root: data, batch_size: 2}}
"""
ROW = Task(
    "new_task.ShadingHead",
    "light alone",
    "image-to-image",
    (MapKind("shading", "color", 3, "share", "clip"),),
)


@pytest.fixture
def new_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The four things of a new task; the folder of its configuration and its data."""
    (tmp_path / "new_task.py").write_text(CODE)
    (tmp_path / "shading.yaml").write_text(CONFIG)
    make_dataset(tmp_path / "data", 10, Settings(size=(64, 48), tasks=("albedo",)), workers=1, progress=False)
    (tmp_path / "data" / "albedos").rename(tmp_path / "data" / "shadings")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(TASKS, "shading", ROW)
    monkeypatch.setenv("SAPIENS2_LIT_TRUST", "new_task")
    yield tmp_path
    sys.modules.pop("new_task", None)


@pytest.mark.slow
def test_a_new_task_trains_predicts_and_is_exported(new_task: Path) -> None:
    root, run, found = new_task, new_task / "run", new_task / "found"
    options = ["--trainer.max_steps", "1", "--data.root", str(root / "data"), "--output", str(run)]
    configs = ["--config", str(root / "shading.yaml"), "--config", "size/smoke.yaml"]
    assert main(["fit", *configs, *QUIET, *options]) == 0
    command = ["predict", "--model", run, "--images", root / "data" / "images", "--output", found]
    assert main([*map(str, command), "--formats", "png", "npy"]) == 0
    picture = cv2.imread(str(found / "shading" / "shading" / "000000.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    values = np.load(found / "shading" / "shading" / "000000.npy")
    np.testing.assert_allclose(picture / 255, values, atol=1 / 255)
    assert json.loads((found / "shading" / "about.json").read_text())["shading"]["npy"]["unit"] == "share"

    model = load_model(run / "version_0" / "checkpoints" / "last.ckpt")
    head = model.heads["shading"]
    assert "light alone" in describe(head, "shading")
    assert example_batch([head], 2, (64, 48))["shading"].shape == (2, 3, 64, 48)
    for name in ("released", "onnx"):
        command = ["export", "--format", name, "--model", run, "--output", root / name]
        assert main([*map(str, command)]) == 0
    (file,) = (root / "released").glob("*_shading.safetensors")
    settings = infer_settings(load_file(file), file, str(file))
    assert settings["heads"]["shading"]["class_path"] == ROW.head
    facts = json.loads((root / "onnx" / "sapiens2_lit.json").read_text())["heads"]["shading"]
    image = torch.randint(0, 256, (1, 3, 64, 48), dtype=torch.uint8)
    raw = model(image)["shading"]
    expected = head.predict(raw, {"image": image})["shading"]
    answer = read_head("shading", facts, {"shading": raw.numpy()}, (64, 48))["shading"]
    np.testing.assert_allclose(answer, expected.numpy(), atol=1e-6)


def test_every_task_has_the_head_that_its_row_names() -> None:
    named = {row.head.rpartition(".")[2] for row in TASKS.values()}
    assert named <= set(heads.__all__)
    for task, row in TASKS.items():
        head = getattr(heads, row.head.rpartition(".")[2])
        learned = [kind.key for label in head.targets for kind in maps_of_label(label)]
        assert learned == [kind.key for kind in row.maps], task


def test_keys_are_unique_and_every_map_has_arrays() -> None:
    keys = [kind.key for kind in map_kinds()]
    assert len(keys) == len(set(keys))
    assert all({"npy", "npz"} <= set(formats_of(key)) for key in keys)
    assert map_kind("temperature") is None
    assert formats_of("temperature") == ()


@pytest.mark.slow
def test_few_shared_modules_name_a_task() -> None:
    """Besides its own files and exports: labels, decoder channels, the row, synthetic people, probing, teaching, tools
    of the app, what was released."""
    root = Path(__file__).parents[2]
    naming = runpy.run_path(str(root / "benchmarks" / "structure.py"))["modules_naming"](root, "albedo")
    exports = {f"sapiens2_lit.{room}" for room in ("losses", "metrics", "heads", "datamodules")}
    others = {name.removeprefix("sapiens2_lit.") for name in set(naming) - exports}
    assert {name for name in others if not name.startswith("probing.")} <= {
        "app.views", "cli.before_after", "cli.predict_dataset", "cli.synth", "data.datasets.synthetic",
        "data.labels.color", "data.readers.exr", "decoders.presets", "inference.confidence",
        "inference.writers.dataset.maps", "training.distillation.soft_terms", "verify.sources", "vocabularies.tasks",
    }  # fmt: skip
