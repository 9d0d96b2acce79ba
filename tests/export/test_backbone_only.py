"""The folder of a pretrained backbone is what others load, and says truly whose the weights are."""

import json
from pathlib import Path

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.pretraining_file import ORIGIN
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.export.backbone_only import write_backbone_folder

SIZE = (64, 48)


def pretrained(folder: Path, base: str | None) -> tuple[Path, Sapiens2]:
    torch.manual_seed(0)
    backbone = Sapiens2("test", SIZE).eval()
    licence = "sapiens2-license" if base else None
    origin = {"objective": "mae", "whose": "student", "steps": 3, "base": base, "licence": licence}
    file = folder / "backbone.safetensors"
    write_weights(backbone.state_dict(), file, metadata={ORIGIN: json.dumps(origin)})
    return file, backbone


def test_transformers_loads_it_and_sees_the_same(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    file, backbone = pretrained(tmp_path, None)
    out = tmp_path / "out"
    out.mkdir()
    write_backbone_folder(file, out, "transformers", "mine", check=True)
    model, report = transformers.AutoModel.from_pretrained(out, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        expected = backbone(images)[-1].flatten(2).transpose(1, 2)
        found = model.eval()(pixel_values=images).last_hidden_state[:, -expected.shape[1] :]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("base", "licence"), [(None, None), ("facebook/sapiens2-x", "sapiens2-license")])
def test_a_backbone_from_random_values_is_under_no_licence_of_others(
    tmp_path: Path, base: str | None, licence: str | None
) -> None:
    file, _ = pretrained(tmp_path, base)
    assert Sapiens2("test", SIZE, weights=str(file)).licence == licence
