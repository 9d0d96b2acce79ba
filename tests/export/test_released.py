"""The released layout: there and back without a bit lost, vocabularies included."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sapiens2_lit.checkpoints import released_state
from sapiens2_lit.cli.main import main
from sapiens2_lit.inference.model import load_model


def export(source: Path, out: Path, *options: str) -> Path:
    assert main(["export", str(source), str(out), "--format", "released", *options]) == 0
    return next(out.glob("*.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pose", "seg", "normal", "pointmap", "albedo", "depth", "matting"])
def test_released_to_ours_to_released_is_equal_in_every_byte(
    task: str, checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    first = export(checkpoint({task: heads[task]}), tmp_path / "first")
    assert first.name == f"sapiens2_test_{task}.safetensors"
    # as Meta's files are: no header of ours, and periods that were rounded
    tensors = load_file(first)
    tensors["backbone.rope_embed.periods"] = tensors["backbone.rope_embed.periods"].bfloat16().float()
    given = tmp_path / "given" / f"sapiens2_0.4b_{task}.safetensors"
    given.parent.mkdir()
    save_file(tensors, given, metadata={"format": "pt"})
    (given.parent / "config.json").write_text((first.parent / "config.json").read_text())

    second = export(given.parent, tmp_path / "second")
    with safe_open(second, "pt") as file:
        assert set(file.metadata()) == {"format", "sapiens2_lit.crc32"}, "checksums alone are added"
    save_file(load_file(second), second, metadata={"format": "pt"})
    assert second.read_bytes() == given.read_bytes()


def test_a_run_becomes_the_task_file_of_its_weights(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    file = export(checkpoint({"people": heads["seg"]}), tmp_path / "out")
    model = load_model(checkpoint({"people": heads["seg"]}))
    expected = released_state(model.state_dict(), "people")
    found = load_file(file)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert json.loads((file.parent / "config.json").read_text())["id2label"]["23"] == "Upper_Clothing"


def test_own_vocabularies_and_names_come_back_without_their_files(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    classes, skeleton = tmp_path / "mine.yaml", tmp_path / "rider.yaml"
    classes.write_text("classes: [nobody, rider, horse]\nbackground: nobody\n")
    skeleton.write_text("keypoints: [head, left_hand, right_hand, tail]\nsigmas: {head: 0.03}\n")
    source = checkpoint(
        {
            "parts": {
                "class_path": "sapiens2_lit.heads.SegmentationHead",
                "init_args": {"classes": str(classes)},
            },
            "points": {
                "class_path": "sapiens2_lit.heads.PoseHead",
                "init_args": {"skeleton": str(skeleton), "sigma": 4.0},
            },
        }
    )
    before = load_model(source)
    parts = export(source, tmp_path / "parts", "--head", "parts")
    points = export(source, tmp_path / "points", "--head", "points")
    classes.unlink()
    skeleton.unlink()
    again = load_model(parts.parent)
    assert list(again.heads) == ["parts"]
    assert again.heads["parts"].classes == before.heads["parts"].classes
    again = load_model(points)
    assert again.heads["points"].skeleton == before.heads["points"].skeleton
    assert again.heads["points"].sigma == 4.0
    assert again.image_size == (64, 48)
    with safe_open(points, framework="pt") as opened:
        assert str(tmp_path) not in opened.metadata()["sapiens2_lit.config"]


def test_the_window_tokenizer_has_released_names_too(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    source = checkpoint({"normal": heads["normal"]}, image_size=(64, 64), window_tokenizer=True)
    file = export(source, tmp_path / "out")
    assert file.name == "sapiens2_test-4k_normal.safetensors"
    config = json.loads((file.parent / "config.json").read_text())
    assert config["model_type"] == "sapiens2_lit"  # nothing that transformers would build wrongly
    again = load_model(file.parent)
    assert again.backbone.tokenizer is not None
    assert again.image_size == (64, 64)
