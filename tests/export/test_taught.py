"""An export of a student says whose licence it follows."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from small_teachers import write_teacher

from sapiens2_lit.checkpoints.teachers import Origin
from sapiens2_lit.cli.main import main
from sapiens2_lit.export.provenance import provenance
from sapiens2_lit.inference.model import load_model
from sapiens2_lit.training.distillation.source import find_teacher

META = Origin(
    "facebook/sapiens2-seg-1b", "facebook/sapiens2-seg-1b", "facebook/sapiens2-seg-1b", "sapiens2-license"
)


def taught(path: Path, *teachers: Origin) -> str:
    """A checkpoint from random values that says that it learned from these."""
    write_teacher(path, "seg")
    content = torch.load(path, weights_only=True)
    content["sapiens2_lit"]["teachers"] = [asdict(one) for one in teachers]
    torch.save(content, path)
    return str(path)


def test_the_licence_is_the_teachers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source, out = taught(tmp_path / "student.ckpt", META), tmp_path / "out"
    assert main(["export", "--model", source, "--output", str(out), "--format", "released"]) == 0
    said = json.loads((out / "sapiens2_lit.json").read_text())["derived_from"]
    assert said["licence"] == "sapiens2-license" and said["base"] == META.base
    assert "Sapiens2 License: notice" in (out / "LICENSE").read_text()
    assert "derived from facebook/sapiens2-seg-1b" in (out / "README.md").read_text()
    assert find_teacher(str(out)).origin.licence == "sapiens2-license", (
        "a student of the student follows it, too"
    )


def test_a_licence_of_its_own_stands_beside(tmp_path: Path) -> None:
    source = taught(tmp_path / "student.ckpt", META)
    model = load_model(source)
    model.config["model"]["weights"] = "someone/network"
    found = provenance(model, source)
    assert found.base is not None and found.base.endswith("taught by facebook/sapiens2-seg-1b")
    assert found.licence == "sapiens2-license"


def test_who_learned_from_random_values_is_free(tmp_path: Path) -> None:
    source = taught(tmp_path / "student.ckpt", Origin("runs/teacher", None, None, None))
    assert provenance(load_model(source), source).base is None
    assert find_teacher(source).origin.base is None
    later = taught(tmp_path / "second.ckpt", META)
    assert find_teacher(later).origin.base == META.base, "what a teacher was taught is passed on"
