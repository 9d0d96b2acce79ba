"""Configurations put together as they are written; overlays are told from tasks."""

from argparse import ArgumentError
from pathlib import Path

import pytest

from sapiens2_lit.cli.config_files import expect_task, has_task, merged, read_settings, shown
from sapiens2_lit.cli.configs import complete_configs, find_config, resolve_configs, shipped_configs
from sapiens2_lit.errors import SettingError

COMPLETE = complete_configs("fit") + complete_configs("pretrain")


def check(*configs: str, options: tuple[str, ...] = (), needed: bool = True) -> None:
    args = [part for config in configs for part in ("--config", config)]
    expect_task("fit", [*options, *resolve_configs(args)], needed)


def test_shipped_files_are_tasks_or_overlays_by_their_place() -> None:
    for name in shipped_configs():
        assert has_task(read_settings(str(find_config(name)))) == (name in COMPLETE), name
        assert shown(str(find_config(name))) == name


@pytest.mark.parametrize("overlay", [name for name in shipped_configs() if name not in COMPLETE])
def test_overlays_alone_are_refused_by_name(overlay: str) -> None:
    with pytest.raises(
        SettingError, match=rf"{overlay} is an overlay.*\n.*--config pose_17.yaml --config {overlay}"
    ):
        check(overlay)
    check("pose_17.yaml", overlay)


def test_overlays_come_after_what_they_change() -> None:
    with pytest.raises(SettingError, match=r"size/1b.yaml is an overlay: put it after pose_17.yaml"):
        check("size/1b.yaml", "pose_17.yaml")
    check("strategy/ddp.yaml", "pose_17.yaml")
    check("size/smoke.yaml", options=("--data", "PoseDataModule"))


def test_nothing_to_train_is_wrong_usage() -> None:
    with pytest.raises(ArgumentError, match=r"give --config, one of .*pose_17.yaml"):
        check()
    check(needed=False)


def test_files_and_options_are_put_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "data: {class_path: A, init_args: {x: 1, y: {class_path: B, init_args: {z: 2}}}}\noutput: a"
    )
    second.write_text("data: {init_args: {x: 3}}\nmodel: {heads: {}}")
    options = ["--data.y", "C", "--data.init_args.y.z=5", "--trainer.logger+", "D", "--flag"]
    assert merged(["--config", str(first), f"--config={second}", *options]) == {
        "data": {"class_path": "A", "x": 3, "y": {"class_path": "C", "z": 5}},
        "output": "a",
        "model": {"heads": {}},
        "trainer": {"logger": "D"},
        "flag": True,
    }


@pytest.mark.parametrize("text", ["a: [", "- 1", "\x00", ""])
def test_what_is_no_configuration_is_left_to_the_parser(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert read_settings(str(tmp_path / "a.yaml")) == {}
    assert read_settings(str(tmp_path / "absent.yaml")) == {}
