"""What docs/export.md shows runs as it stands there."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.cli.main import main

DOCS = Path(__file__).parents[2] / "docs" / "export.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def place(
    tmp_path: Path,
    onnx_folder: Path,
    torch_folder: Path,
    checkpoint: Any,
    heads: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A working directory with the folders that the page speaks of, and a picture."""
    place = tmp_path / "place"
    place.mkdir()
    (place / "pose_onnx").symlink_to(onnx_folder)
    (place / "pose_torch").symlink_to(torch_folder)
    source = str(checkpoint({"pose": heads["pose"]}))
    args = [source, str(place / "pose_transformers"), "--format", "transformers", "--check", "false"]
    assert main(["export", *args]) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(place / "image.jpg")
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "predict", raising=False)
    return place


@pytest.mark.slow
def test_every_snippet_runs(place: Path, capsys: pytest.CaptureFixture) -> None:
    pytest.importorskip("transformers")
    assert len(BLOCKS) == 4
    scopes: list[dict[str, Any]] = []
    for block in BLOCKS:
        scopes.append({})
        exec(compile(block, str(DOCS), "exec"), scopes[-1])
    printed = capsys.readouterr().out
    assert "torch.Size([17, 2])" in printed
    assert "'linear': (5, 29, 2, 1)" in printed
    assert "left_wrist" in printed
    theirs, _, ours, by_hand = scopes
    # the two crops differ by their resampling: keypoints of random networks follow it by pixels
    assert ours["keypoints"].shape == (17, 3)
    assert np.isfinite(ours["keypoints"]).all()
    assert theirs["people"][0]["keypoints"].isfinite().all()
    assert by_hand["x"].shape == by_hand["y"].shape == (17,)
    assert by_hand["classes"].shape == (2, 1)


def test_the_page_names_every_option_and_every_format() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for word in (
        "--head",
        "--ema",
        "--check",
        "--opset",
        "--device",
        "--overwrite",
        "--push_to_hub",
        "--private",
    ):
        assert word in text
    for form in ("released", "transformers", "torch-export", "onnx"):
        assert f"| `{form}` |" in text
