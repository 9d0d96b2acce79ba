"""ONNX and torch.export: the graph in the file computes what the model does, for batches of any size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from torch import Tensor, nn

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.graph import network_of
from sapiens2_lit.export.onnx import write_onnx
from sapiens2_lit.export.plan import Options
from sapiens2_lit.export.torch_export import write_torch_export
from sapiens2_lit.export.verify import compare
from sapiens2_lit.heads import Head
from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.inference.model import InferenceModel, load_model

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Undecided(Head):
    """What no graph can hold: a decision that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Conv2d(16, 2, 1)

    def forward(self, features: list[Tensor]) -> Outputs:
        return self.line(features[-1] if float(features[-1].mean()) > 0 else -features[-1])

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def images(count: int) -> Tensor:
    return torch.from_numpy(
        np.random.default_rng(count).integers(0, 256, (count, 3, 128, 64), dtype=np.uint8)
    )


def run(path: Path, batch: Tensor) -> dict[str, Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, session.run(names, {"image": batch.numpy()})), strict=True))


def flat(answers: dict[str, Outputs]) -> dict[str, Tensor]:
    flattened = {}
    for name, outputs in answers.items():
        parts = outputs.items() if isinstance(outputs, dict) else [("", outputs)]
        flattened |= {f"{name}.{key}".rstrip("."): value for key, value in parts}
    return flattened


def close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance)


def test_onnx_holds_window_tokenizer_grouped_queries_and_every_head(
    onnx_folder: Path, graph_checkpoint: Path
) -> None:
    model = load_model(graph_checkpoint)
    assert model.backbone.blocks[0].attn.repeats == 2
    with_bfloat16 = flat(model(images(1)))
    model.backbone.rope_dtype = torch.float32  # as the file computes positions, and says so
    for count in (1, 2, 5):
        close(run(onnx_folder / "model.onnx", images(count)), flat(model(images(count))), 1e-4)
    assert not torch.equal(with_bfloat16["linear"], flat(model(images(1)))["linear"])


def test_onnx_file_and_its_companions_describe_it(onnx_folder: Path) -> None:
    path = onnx_folder / "model.onnx"
    onnx.checker.check_model(str(path), full_check=True)
    stored = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in stored.opset_import] == [("", 20)]
    assert (onnx_folder / "model.onnx.data").is_file()  # as with weights beyond the limit of one file
    about = json.loads((onnx_folder / "sapiens2_lit.json").read_text())
    assert about["opset"] == 20
    assert about["outputs"]["linear"] == {"dtype": "float32", "shape": ["batch", 29, 2, 1]}
    assert about["outputs"]["mine.mean"] == {"dtype": "float32", "shape": ["batch", 2]}
    assert about["heads"]["pose"]["keypoints"][9] == "left_wrist"
    assert about["heads"]["mine"]["task"] is None
    inside = {entry.key: entry.value for entry in stored.metadata_props}["sapiens2_lit"]
    assert json.loads(inside).items() <= about.items()
    card = ModelCard.load(onnx_folder / "README.md")
    assert card.data.library_name == "onnx"
    assert "(B, 17, 8, 4)" in card.text


def test_float16_halves_the_file_and_keeps_norms_in_float32(
    onnx_folder: Path, graph_checkpoint: Path, tmp_path: Path
) -> None:
    exported = write_onnx(load_model(graph_checkpoint), tmp_path, Options(half=True))
    assert "in float16, outputs equal within" in exported.checked
    path = tmp_path / "model.onnx"
    stored = onnx.load(path)
    sizes = {onnx.TensorProto.FLOAT: 0, onnx.TensorProto.FLOAT16: 0}
    for weight in stored.graph.initializer:
        sizes[weight.data_type] = sizes.get(weight.data_type, 0) + int(np.prod(weight.dims))
    assert sizes[onnx.TensorProto.FLOAT] < 0.1 * sizes[onnx.TensorProto.FLOAT16]
    inside = {entry.key: entry.value for entry in stored.metadata_props}["sapiens2_lit"]
    assert json.loads(inside)["precision"] == "float16"
    means = {name for node in stored.graph.node if node.op_type == "ReduceMean" for name in node.output}
    users = [
        node for node in stored.graph.node if means & set(node.input)
    ]  # a mean square may be beyond float16
    assert sum(node.op_type == "Add" for node in users) == 7
    found, expected = run(path, images(2)), run(onnx_folder / "model.onnx", images(2))
    for name, value in expected.items():
        assert found[name].dtype == value.dtype == torch.float32
        torch.testing.assert_close(found[name], value, rtol=0.02, atol=0.02 * value.abs().max().item())


def test_torch_export_holds_them_too(torch_folder: Path, graph_checkpoint: Path) -> None:
    model = load_model(graph_checkpoint)
    module = torch.export.load(torch_folder / "model.pt2").module()
    for count in (1, 4):
        close(module(images(count)), flat(model(images(count))), 1e-5)
    card = ModelCard.load(torch_folder / "README.md")
    assert card.data.library_name == "pytorch"
    assert "outputs equal within" in card.text


def test_heads_can_be_chosen(graph_checkpoint: Path) -> None:
    network, heads = network_of(load_model(graph_checkpoint), Options(head="mine"))
    assert list(heads) == ["mine"]
    assert list(network(images(1))) == ["mine.left", "mine.mean"]


def test_a_head_that_decides_by_values_is_named(tmp_path: Path) -> None:
    model = InferenceModel(Sapiens2(BackboneSize(16, 1, 2, 32, 1), (32, 32)), {"undecided": Undecided()})
    with pytest.raises(ExportError, match=r"undecided \(Undecided\) cannot be captured as a graph"):
        write_torch_export(model, tmp_path, Options())


def test_wrong_numbers_are_an_error() -> None:
    good = {"mine.left": torch.zeros(2, 3), "mine.mean": torch.full((2,), 50.0)}
    assert compare("onnx", good, {**good, "mine.mean": good["mine.mean"] + 1e-3}, 1e-4) == pytest.approx(
        2e-5, rel=0.01
    )
    for wrong, said in (
        ({**good, "mine.left": good["mine.left"] + 2e-4}, "mine.left differs by 0.0002"),
        ({**good, "mine.left": good["mine.left"] * float("nan")}, "mine.left differs by nan"),
        ({**good, "mine.left": torch.zeros(2, 4)}, r"mine.left is \(2, 4\)"),
        ({"mine.mean": good["mine.mean"]}, r"returns \['mine.mean'\]"),
    ):
        with pytest.raises(ExportError, match=said):
            compare("onnx", good, wrong, 1e-4)
