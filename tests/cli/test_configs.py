"""Configurations by name."""

from pathlib import Path

import pytest
import yaml

from sapiens2_lit.cli.configs import find_config, resolve_configs, shipped_configs, summary
from sapiens2_lit.cli.main import main
from sapiens2_lit.errors import SettingError


def test_own_files_win_over_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = find_config("pose_17.yaml")
    Path("pose_17.yaml").write_text("{}")
    assert shipped.is_absolute()
    assert find_config("pose_17.yaml") == Path("pose_17.yaml")


def test_every_form_of_the_option_is_resolved() -> None:
    resolved = resolve_configs(
        ["fit", "--config", "pose_17.yaml", "-c", "size/smoke.yaml", "--config=size/1b.yaml", "--x", "1"]
    )
    assert [Path(a.removeprefix("--config=")).name for a in resolved] == [
        "fit", "--config", "pose_17.yaml", "-c", "smoke.yaml", "1b.yaml", "--x", "1",
    ]  # fmt: skip


def test_an_old_name_means_the_file_of_today() -> None:
    assert find_config("size/test.yaml") == find_config("size/smoke.yaml")
    assert "size/test.yaml" not in shipped_configs()


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(SettingError, match=r"pose_9\.yaml(.|\n)*pose_308\.yaml"):
        find_config("pose_9.yaml")


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_files_are_valid_and_described(name: str) -> None:
    content = yaml.safe_load(find_config(name).read_text())
    assert set(content) <= {"output", "seed_everything", "trainer", "model", "data"}
    assert len(summary(name)) > 20
    if name.startswith("size/"):
        assert "heads" not in content["model"], "an overlay's heads would replace the run's"


def test_configs_command_lists_and_shows(capsys: pytest.CaptureFixture) -> None:
    assert main(["configs"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in shipped_configs())
    assert main(["configs", "show", "pose_308.yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["output"] == "runs/pose_308"
    assert main(["configs", "show", "nothing.yaml"]) == 1
    assert "nothing.yaml" in capsys.readouterr().err


def test_wrong_usage_is_answered_with_the_usage(capsys: pytest.CaptureFixture) -> None:
    assert main(["train"]) == 2
    assert "fit" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert main(["--version"]) == 0
