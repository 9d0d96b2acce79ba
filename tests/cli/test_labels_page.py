"""docs/labels.md: every command of it leads from the tool's folder to the first training step, with no file edited."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import tool_folders as tools
from helpers import QUIET

from sapiens2_lit.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "labels.md"
FOLDERS: dict[str, Callable[[tools.Source, Path], None]] = {
    "coco2017": tools.coco2017,
    "roboflow": tools.roboflow,
    "yolo_pose": tools.yolo_pose,
    "yolo_seg": tools.yolo_segment,
    "cvat_coco": tools.cvat_coco,
    "cvat_images": tools.cvat_xml,
    "cvat_masks": tools.cvat_masks,
    "label_studio": tools.label_studio,
    "supervisely": tools.supervisely,
    "labelme": tools.labelme,
    "labelme_masks": tools.labelme_masks,
}
COMMANDS = re.findall(
    r"^    sapiens2-lit (fit .*--data\.root .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
)
SMALL = [
    "--config",
    "size/smoke.yaml",
    "--trainer.max_steps",
    "1",
    "--trainer.limit_val_batches",
    "1",
    *QUIET,
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tools.Source:
    return tools.make_source(tmp_path_factory.mktemp("source"))


def folder_of(command: str) -> str:
    args = shlex.split(command)
    return args[args.index("--data.root") + 1]


def test_the_page_shows_every_tool() -> None:
    assert {folder_of(command) for command in COMMANDS} == FOLDERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=folder_of)
def test_from_the_folder_of_a_tool_to_the_first_step(
    source: tools.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = folder_of(command)
    Path(name).mkdir()
    FOLDERS[name](source, Path(name))
    before = {path: path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
    assert main([*shlex.split(command), *SMALL, "--output", "run"]) == 0
    assert Path("run/version_0/checkpoints/last.ckpt").exists()
    assert {path: path.read_bytes() for path in Path(name).rglob("*") if path.is_file()} == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolo_pose", "cvat_masks", "labelme_masks"])
def test_check_reads_the_same(
    source: tools.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    FOLDERS[name](source, Path(name))
    command = shlex.split(next(one for one in COMMANDS if folder_of(one) == name))
    options = ["--config", "size/smoke.yaml", "--data.num_workers", "0", "--output", "page"]
    assert main(["check", *command[1:], *options]) in (0, 3)
    assert "<img" in Path("page/check.html").read_text(encoding="utf-8")
