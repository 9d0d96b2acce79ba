"""ONNX and torch.export: the graph in the file computes what the model does, for batches of any size."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from torch import Tensor, nn

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.check import compare
from sapiens2_lit.export.onnx import write_onnx
from sapiens2_lit.export.plan import Options
from sapiens2_lit.export.torch_export import write_torch_export
from sapiens2_lit.heads import Head
from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.inference.model import InferenceModel, load_model

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


class Grouped(BackboneSize):
    """Grouped queries in every block: released sizes have them in the middle of many."""

    def kv_heads(self, block: int) -> int:
        return self.heads // 2


class TwoAnswers(Head):
    """A head of one's own, with two outputs."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.line = nn.Conv2d(embed_dim, 2, 1)

    def forward(self, features: list[Tensor]) -> Outputs:
        field = self.line(features[-1])
        return {"left": field[:, 0], "mean": field.mean(dim=(2, 3))}

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        assert isinstance(outputs, dict)
        return outputs


class Undecided(TwoAnswers):
    """What no graph can hold: a decision that depends on values."""

    def forward(self, features: list[Tensor]) -> Outputs:
        return self.line(features[-1] if float(features[-1].mean()) > 0 else -features[-1])


def four_k(*heads: tuple[str, type[Head]], rope_dtype: Any = "float32") -> InferenceModel:
    """The window tokenizer and grouped queries, with random values everywhere."""
    torch.manual_seed(0)
    backbone = Sapiens2(Grouped(16, 1, 2, 32, 1), (128, 64), window_tokenizer=True, rope_dtype=rope_dtype)
    model = InferenceModel(backbone, {name: kind(16) for name, kind in heads})
    for parameter in model.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def images(count: int, size: tuple[int, int]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(count).integers(0, 256, (count, 3, *size), dtype=np.uint8))


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


def test_onnx_holds_all_heads_of_a_run(onnx_folder: Path, onnx_checkpoint: Path) -> None:
    model = load_model(onnx_checkpoint)
    for count in (1, 2, 5):
        batch = images(count, (64, 48))
        close(run(onnx_folder / "model.onnx", batch), flat(model(batch)), 1e-4)
    stored = onnx.load(onnx_folder / "model.onnx")
    onnx.checker.check_model(stored, full_check=True)
    assert [(entry.domain, entry.version) for entry in stored.opset_import] == [("", 18)]
    card = ModelCard.load(onnx_folder / "README.md")
    assert card.data.library_name == "onnx"
    assert "(B, 17, 16, 12)" in card.text
    about = json.loads((onnx_folder / "sapiens2_lit.json").read_text())
    assert about["opset"] == 18
    assert about["outputs"]["linear"] == {"dtype": "float32", "shape": ["batch", 29, 4, 3]}
    assert about["heads"]["pose"]["keypoints"][9] == "left_wrist"


def test_onnx_of_window_tokenizer_grouped_queries_and_own_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sapiens2_lit.export.onnx.LARGEST_FILE", 0)
    model = four_k(("mine", TwoAnswers))
    done = write_onnx(model, tmp_path, Options(opset=20))
    assert done.checked.startswith("run by onnxruntime")
    assert (tmp_path / "model.onnx.data").is_file()  # as weights beyond the limit of one file are
    batch = images(3, (128, 64))
    close(run(tmp_path / "model.onnx", batch), flat(model(batch)), 1e-4)


def test_torch_export_of_window_tokenizer_grouped_queries_and_own_head(tmp_path: Path) -> None:
    model = four_k(("mine", TwoAnswers), rope_dtype="bfloat16")
    done = write_torch_export(model, tmp_path, Options())
    assert done.checked.startswith("loaded by torch.export")
    module = torch.export.load(tmp_path / "model.pt2").module()
    for count in (1, 4):
        batch = images(count, (128, 64))
        close(module(batch), flat(model(batch)), 1e-5)


def test_one_head_can_be_chosen(torch_folder: Path) -> None:
    module = torch.export.load(torch_folder / "model.pt2").module()
    assert list(module(images(2, (64, 48)))) == ["linear"]
    card = ModelCard.load(torch_folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("pytorch", "image-segmentation")


def test_a_head_that_decides_by_values_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"undecided \(Undecided\) cannot be captured as a graph"):
        write_torch_export(four_k(("undecided", Undecided)), tmp_path, Options())


def test_wrong_numbers_are_an_error() -> None:
    good = {"mine.left": torch.zeros(2, 3), "mine.mean": torch.full((2,), 50.0)}
    assert compare("onnx", good, {**good, "mine.mean": good["mine.mean"] + 1e-3}, 1e-4) == pytest.approx(
        2e-5, rel=0.01
    )
    for wrong, said in (
        ({**good, "mine.left": good["mine.left"] + 2e-4}, "mine.left differs by 0.0002"),
        ({**good, "mine.left": good["mine.left"] * float("nan")}, "mine.left differs by nan"),
        ({**good, "mine.left": torch.zeros(2, 4)}, r"mine.left is \(2, 4\)"),
        ({"mine.mean": good["mine.mean"]}, r"answers \['mine.mean'\]"),
    ):
        with pytest.raises(ExportError, match=said):
            compare("onnx", good, wrong, 1e-4)
