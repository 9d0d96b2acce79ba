"""Help on the settings of a run: what is shown can be set, and is all that there is."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonargparse import Namespace

from sapiens2_lit.cli.config_files import lifted
from sapiens2_lit.cli.fit import run
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.run_help import GROUPS, HelpCLI, by_group, help_text
from sapiens2_lit.cli.run_settings import plain, run_settings


def parsed(*configs: str) -> Namespace:
    options = [part for config in configs for part in ("--config", config)]
    return run(["fit", *options], HelpCLI).config["fit"]


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{name}.")
        elif name not in ("class_path", "config"):
            yield f"{prefix}{name}"


@pytest.mark.slow
@pytest.mark.parametrize("config", ["pose_17.yaml", "multitask_folders.yaml"])
def test_every_setting_of_a_run_is_known(config: str) -> None:
    settings = parsed(config)
    known = {one.key: one for one in run_settings(settings)}
    assert set(leaves(lifted(plain(settings)))) <= known.keys()
    assert known["model.optimizer.lr"].value == 1e-4
    assert known["trainer.max_steps"].value == settings.trainer.max_steps
    ours = [
        one for one in known.values() if one.key.startswith(("model.", "data.")) and one.key.count(".") == 1
    ]
    assert all(one.text for one in ours), [one.key for one in ours if not one.text]


def test_the_usual_settings_fit_two_screens_and_the_rest_is_behind_help_all() -> None:
    args = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml"]
    settings = run_settings(parsed("pose_17.yaml", "size/smoke.yaml"))
    short, long = (help_text("fit", args, settings, everything) for everything in (False, True))
    assert len(short.splitlines()) < 80
    lines = {line.split()[0]: line for line in short.splitlines() if line.startswith("  --")}
    for key, value in (
        ("data.root", "data"),
        ("data.batch_size", "4"),
        ("data.image_size", "[64, 48]"),
        ("model.backbone.size", "test"),
        ("model.optimizer.lr", "0.001"),
        ("model.adapt.mode", "auto"),
        ("model.heads.pose.skeleton", "coco17"),
        ("trainer.max_steps", "-1: 100 epochs, 500 to 10,000 steps"),
    ):
        assert value in lines[f"--{key}"], key
    assert lines.keys() < {line.split()[0] for line in long.splitlines() if line.startswith("  --")}
    assert {one.key for one in settings} == {
        line.split()[0].removeprefix("--") for line in long.splitlines() if line.startswith("  --")
    }


def test_every_group_of_the_usual_settings_is_found() -> None:
    found = by_group(run_settings(parsed("pose_17.yaml")))
    assert found.keys() == GROUPS.keys() - {"objective"}  # of `pretrain` alone


def test_help_is_asked_for_as_an_option(capsys: pytest.CaptureFixture) -> None:
    assert main(["fit", "--config", "normal.yaml", "--data.batch_size", "3", "--help"]) == 0
    printed = capsys.readouterr()
    (line,) = (line for line in printed.out.splitlines() if line.startswith("  --data.batch_size "))
    assert line.split()[1] == "3"
    assert "Seed set to" not in printed.err
    assert main(["fit", "--help_all"]) == 0
    assert "--trainer.accelerator" in capsys.readouterr().out


def test_classes_are_named_without_their_modules(capsys: pytest.CaptureFixture) -> None:
    """Packages import late, and still the parser knows what they hold."""
    command = [
        "fit",
        "--data",
        "NormalDataModule",
        "--model.heads.normal",
        "NormalHead",
        "--model.backbone",
        "Sapiens2",
    ]
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--model.backbone.size", "test", "--print_config"])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert "class_path: sapiens2_lit.datamodules.NormalDataModule" in printed
    assert "class_path: sapiens2_lit.heads.NormalHead" in printed
