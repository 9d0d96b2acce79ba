"""What runs of before saved still loads: configurations, checkpoints, headers of exported files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints.reader import read_meta
from sapiens2_lit.checkpoints.renames import CLASS_PATHS, old_names, old_option, translate_config
from sapiens2_lit.cli.fit import run
from sapiens2_lit.cli.main import main
from sapiens2_lit.heads import MattingHead
from sapiens2_lit.inference.build_from_config import read_factories
from sapiens2_lit.inference.from_released import METADATA, config_of
from sapiens2_lit.training.adaptation import adapt_from_dict
from sapiens2_lit.training.loss_weighting import GradientNorms

SAVED = (
    Path(__file__).with_name("old_layout") / "config.yaml"
)  # as `fit --config multitask.yaml` wrote it then


@pytest.fixture
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(SAVED.read_text())
    return found


def test_a_saved_configuration_is_translated_once_and_for_all(config: dict[str, Any]) -> None:
    translated = translate_config(config)
    model, adapt = translated["model"], translated["model"]["adapt"]
    assert model["head_checkpointing"] == "stages"
    assert model["loss_weighting"]["init_args"]["alpha"] == 0.25
    assert (adapt["mode"], adapt["auto_freeze_below"], adapt["also_train"]) == ("last_blocks", 10, ["norms"])
    assert translate_config(translated) == translated
    assert not list(old_names(translated)) and list(old_names(config))
    same = {"trainer", "data", "checkpoint"}
    assert {name: translated[name] for name in same} == {name: config[name] for name in same}


@pytest.mark.parametrize("path", sorted(set(CLASS_PATHS.values())))
def test_new_class_paths_exist(path: str) -> None:
    from importlib import import_module

    module, _, name = path.rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)


def test_the_command_line_reads_a_run_of_before(tmp_path: Path) -> None:
    from sapiens2_lit.cli.plan_settings import PlanCLI

    cli = run(["fit", "--config", str(SAVED)], PlanCLI)
    assert isinstance(cli.model.balancer, GradientNorms)
    assert (cli.model.balancer.alpha, cli.model.factory.head_checkpointing) == (0.25, "stages")
    assert cli.model.adapt.unfreeze_at == {1: 2}


def test_a_checkpoint_of_before_is_read(config: dict[str, Any], tmp_path: Path) -> None:
    meta = {"config": config, "adapt": config["model"]["adapt"] | {"schedule": {1: 2}}}
    torch.save({"sapiens2_lit": meta, "state_dict": {}}, tmp_path / "last.ckpt")
    found = read_meta(tmp_path / "last.ckpt")
    assert not list(old_names(found["config"]))
    backbone, heads = read_factories(found["config"], "here")
    assert isinstance(backbone(), Sapiens2) and set(heads) == set(config["model"]["heads"])
    adapt = adapt_from_dict(found["adapt"])
    assert (adapt.mode, adapt.last, adapt.auto_freeze_below) == ("last_blocks", 1, 10)


def test_the_header_of_an_exported_file_is_read(tmp_path: Path) -> None:
    head = {"class_path": "sapiens2_lit.heads.MattingHead", "init_args": {"colour_loss": None}}
    backbone = {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": {"size": "test"}}
    config = {"model": {"backbone": backbone, "heads": {"matting": head}}}
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors", {METADATA: json.dumps(config)})
    _, heads = read_factories(config_of(tmp_path / "a.safetensors"), "here")
    assert isinstance(heads["matting"](32), MattingHead)


@pytest.mark.parametrize(
    ("option", "old", "new"),
    [
        ("--model.recompute=stages", "--model.recompute", "--model.head_checkpointing"),
        ("--model.balance.alpha", "--model.balance.alpha", "--model.loss_weighting.alpha"),
        ("--model.adapt.schedule", "--model.adapt.schedule", "--model.adapt.unfreeze_at"),
        ("--model.adapt.mode=last", "model.adapt.mode last", "last_blocks"),
        ("--model.heads.m.colour_loss", "--model.heads.m.colour_loss", "--model.heads.m.color_loss"),
    ],
)
def test_options_of_before_are_answered_by_the_new_ones(option: str, old: str, new: str) -> None:
    assert old_option(option) == (old, new)


@pytest.mark.parametrize(
    "option", ["--model.adapt.mode=lora", "--data.schedule", "--ckpt_path=last", "--model"]
)
def test_options_of_today_are_left_alone(option: str) -> None:
    assert old_option(option) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.recompute", "stages"], "--model.recompute is now called --model.head_checkpointing"),
        (["--model.adapt.mode", "last"], "model.adapt.mode last is now called last_blocks"),
        (
            ["--model.adapt", "{mode: frozen, extra: [norms]}"],
            "model.adapt.extra is now called model.adapt.also_train",
        ),
    ],
)
def test_the_command_line_names_the_new_option(
    options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_users_file_is_translated_with_a_warning(
    config: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from sapiens2_lit.cli.old_names import in_todays_names

    (tmp_path / "mine.yaml").write_text(
        "model: {recompute: stages, warmup_steps: 1e1}\ntrainer: {max_steps: 1}\n"
    )
    _, text = in_todays_names(["--config", str(tmp_path / "mine.yaml")])
    assert yaml.safe_load(text)["model"]["head_checkpointing"] == "stages"
    assert "mine.yaml: model.recompute is now called model.head_checkpointing" in caplog.text
    (tmp_path / "new.yaml").write_text("model: {head_checkpointing: stages}\n")
    assert in_todays_names(["--config", str(tmp_path / "new.yaml")])[1] == str(tmp_path / "new.yaml")
