"""The command `probe`: what it reads, writes and says."""

import json
from argparse import ArgumentError
from pathlib import Path

import pytest

from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.probe_options import read_options
from sapiens2_lit.errors import SettingError


def test_options_win_over_files_and_later_files_over_earlier_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("steps: 7\nseeds: 2\nbackbones: [random:pico]\ndata: {root: people}\n")
    config = ["--config", "probe.yaml", "--config", str(own)]
    found = read_options([*config, "--seeds", "1", "--data.image_size", "64", "48", "--tasks", "seg", "pose"])
    assert (found.settings.steps, found.settings.seeds, found.settings.batch_size) == (7, 1, 16)
    assert (found.settings.data.root, found.settings.data.image_size) == ("people", (64, 48))
    assert found.settings.tasks == ("segmentation", "pose")
    assert found.backbones == ("random:pico",)
    assert found.output == Path("probe")


def test_files_and_lines_that_say_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="give --backbones"):
        read_options(["--config", "probe.yaml"])
    with pytest.raises(SettingError, match=r"pose_17.yaml: configures a training"):
        read_options(["--config", "pose_17.yaml", "--backbones", "random:nano"])
    own = tmp_path / "own.yaml"
    own.write_text("- steps")
    with pytest.raises(SettingError, match="found list, expected settings of probe"):
        read_options(["--config", str(own), "--backbones", "random:nano"])


def test_bad_input_ends_with_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "page"
    assert (
        main(["probe", "--backbones", "random:nano", "--data.root", "nowhere", "--output", str(output)]) == 1
    )
    assert "nowhere does not exist" in capsys.readouterr().err
    assert main(["probe", "--backbones", "a=random:nano", "a=random:nano", "--output", str(output)]) == 1
    assert "'a' occurs 2 times" in capsys.readouterr().err
    assert not list(output.glob("*"))


@pytest.mark.slow
def test_the_command_writes_numbers_and_a_page_that_needs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ("--data.train_images", "8", "--data.val_images", "4", "--data.test_images", "10")
    data = ("--data.image_size", "64", "48", *sizes, "--data.num_workers", "0")
    budget = (
        "--seeds",
        "1",
        "--steps",
        "3",
        "--bootstrap",
        "100",
        "--probes",
        "linear",
        "--tasks",
        "pose",
        "albedo",
    )
    backbones = ("--backbones", "random:test", "small=random:test")
    assert (
        main(["probe", "--config", "probe.yaml", *backbones, *data, *budget, "--output", str(tmp_path)]) == 0
    )
    said = capsys.readouterr().out
    found = json.loads((tmp_path / "results.json").read_text())
    rows = found["backbones"]
    assert [*rows] == ["random:test", "small", "random", "pixels", "position"]
    assert rows["small"]["albedo"]["mae"]["mean"] == rows["random"]["albedo"]["mae"]["mean"] > 0
    assert rows["small"]["permuted"].keys() == {"pose", "albedo"}
    page = (tmp_path / "report.html").read_text()
    assert "One seed" in page and "One seed" in said
    assert page.count("data:image/jpeg") == 4 * len(found["facts"]["data"]["fingerprint"]) * 6
    assert 'src="http' not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results.json"]
