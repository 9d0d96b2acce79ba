"""The attacks of benchmarks/malicious_files.py run nothing, and each ends with one line of error."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
KINDS = (
    "class path: checkpoint, backbone",
    "class path: checkpoint, head",
    "class path: checkpoint, loss of a head",
    "class path: safetensors header",
    "class path: consolidated file",
    "class path: hub repository",
    "class path: config.yaml, backbone",
    "class path: config.yaml, data",
    "class path: config.yaml, strategy",
    "hyper_parameters of a checkpoint",
    "config.yaml: callbacks, loggers, output",
    "the user's own --config, by type",
    "pickle",
    "array of objects",
    "YAML tag",
)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        cache = str(tmp_path_factory.mktemp("hub"))
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", cache)
        patch.syspath_prepend(str(FOLDER))
        yield runpy.run_path(str(FOLDER / "malicious_files.py"))


@pytest.fixture(scope="module")
def data(script: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return script["make_data"](tmp_path_factory.mktemp("malicious") / "data")


def test_every_kind_is_tried(script: dict[str, Any]) -> None:
    assert {attack.kind for attack in script["attacks"]()} == set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_runs(script: dict[str, Any], data: Path, tmp_path: Path, kind: str) -> None:
    tried = [attack for attack in script["attacks"]() if attack.kind == kind]
    for number, attack in enumerate(tried):
        outcome = script["attempt"](attack, tmp_path / str(number), data)
        assert outcome.refused, f"{attack.name}: {outcome}"


def test_the_same_files_without_an_attack_are_taken(
    script: dict[str, Any], data: Path, tmp_path: Path
) -> None:
    """Else an attack might be refused because its file is no good anyway."""
    attacks = runpy.run_path(str(FOLDER / "attacks.py"))
    good = attacks["networks"]("", None)
    controls = {
        "checkpoint": (attacks["write_checkpoint"], ("predict", "--model", "model.ckpt", *attacks["PREDICT"])),
        "header": (
            attacks["write_safetensors"],
            ("predict", "--model", "model.safetensors", *attacks["PREDICT"]),
        ),
        "consolidated": (
            attacks["write_consolidated"],
            ("predict", "--model", "model.safetensors", *attacks["PREDICT"]),
        ),
        "hub": (attacks["write_hub"], ("predict", "--model", "evil/model", *attacks["PREDICT"])),
        "run": (attacks["write_run"], attacks["TEST"]),
    }  # fmt: skip
    for name, (write, args) in controls.items():
        attack = attacks["Attack"](name, name, lambda _, write=write: write(good), args)
        outcome = script["attempt"](attack, tmp_path / name, data)
        assert outcome.status == 0, f"{name}: {outcome}"


@pytest.mark.slow
def test_options_win_over_hyper_parameters(
    script: dict[str, Any], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that says `layer_decay` changes nothing of the run that goes on from it."""
    from sapiens2_lit.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data)
    content = torch.load(data / "last.ckpt", weights_only=True)
    torch.save({**content, "hyper_parameters": {"layer_decay": 0.123}}, "model.ckpt")
    fit = runpy.run_path(str(FOLDER / "attacks.py"))["FIT"]
    assert main(["fit", *fit, "--ckpt_path", "model.ckpt", "--output", "runs", "--model.head_lr", "0.5"]) == 0
    config = (tmp_path / "runs" / "version_0" / "config.yaml").read_text()
    assert "layer_decay: 1.0" in config and "head_lr: 0.5" in config
