"""The command `curate`: what it writes, says and refuses, and who reads its list."""

import json
import re
import sys
from pathlib import Path

import cv2
import picture_pool as pool
import pytest

from sapiens2_lit.cli.main import main
from sapiens2_lit.data.splits import SPLIT_FILES, split_stems
from sapiens2_lit.datamodules import UnlabeledDataModule
from sapiens2_lit.inference.sources import open_source

Captured = pytest.CaptureFixture[str]
SELECT = """\
cuts:
  short_side: {min: 30}
  colorfulness: {min: 1}
near_duplicates: {cosine: 0.99999}
clusters: [4, 2]
sample: 6
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of twelve pictures, one of them twice and one gray, and its scores."""
    root = tmp_path_factory.mktemp("curate")
    names = pool.write_pool(root / "pool", 12)
    image = cv2.imread(str(root / "pool" / names[0]))
    assert cv2.imwrite(str(root / "pool" / "again.jpg"), image)
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    assert cv2.imwrite(str(root / "pool" / "gray.png"), gray)
    options = [
        "--backbone",
        "random:test",
        "--image_size",
        "32",
        "32",
        "--shard_size",
        "5",
        "--device",
        "cpu",
    ]
    columns = ["--columns", "sapiens2_lit.curation.Colorfulness"]
    assert (
        main(["curate", "score", str(root / "pool"), "--output", str(root / "scores"), *options, *columns])
        == 0
    )
    (root / "select.yaml").write_text(SELECT)
    return root


def test_a_selection_is_a_list_with_counts_and_a_page(work: Path, capsys: Captured) -> None:
    output = work / "out" / "selected.txt"
    args = ["curate", "select", str(work / "scores"), "--config", str(work / "select.yaml")]
    assert main([*args, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    listed = output.read_text().splitlines()
    assert len(listed) == 6 and "again.jpg" not in listed and "gray.png" not in listed
    counts = json.loads(output.with_suffix(".json").read_text())
    left = {one["stage"]: one["left"] for one in counts["stages"]}
    assert left["scored"] == left["short_side min 30"] == 14
    assert left["colorfulness min 1"] == 13
    assert left["duplicates within 48 bits"] == 12 and counts["selected"] == 6
    for stage, number in left.items():
        assert re.search(rf"{re.escape(stage)} +{number}", said), stage
    page = output.with_suffix(".html").read_text()
    assert "http" not in re.sub(r'"data:[^"]*"', "", page), "self-contained"
    for title in (
        "short_side: min 30",
        "colorfulness: min 1",
        "duplicates: at most 48",
        "near-duplicates: a cosine",
    ):
        assert title in page
    first = output.read_bytes()
    assert main([*args, "--output", str(output)]) == 0
    assert output.read_bytes() == first and output.with_suffix(".html").read_text() == page


def test_the_list_is_read_by_pretrain_predict_and_fit(work: Path, capsys: Captured) -> None:
    output = work / "lists" / "selected.txt"
    assert main(["curate", "select", str(work / "scores"), "--output", str(output)]) == 0
    listed = output.read_text().splitlines()
    data = UnlabeledDataModule(str(work / "pool"), (32, 32), list=str(output), val_samples=0, num_workers=0)
    data.prepare_data()
    data.setup("fit")
    assert [one.name for one in data.datasets["train"].pictures] == listed
    source = open_source(work / "pool", only=output)
    assert [frame.file for frame in source] == listed
    stems = work / "pool" / "train.txt"
    assert main(["curate", "select", str(work / "scores"), "--output", str(stems), "--stems"]) == 0
    known = [name.rpartition(".")[0] for name in listed]
    found = split_stems(work / "pool", [*known, "another"], {**SPLIT_FILES, "train": "train.txt"}, "train")
    assert found == known
    assert [frame.file for frame in open_source(work / "pool", only=stems)] == listed
    for name in ("train.txt", "train.json", "train.html"):
        (work / "pool" / name).unlink()


def test_a_list_of_other_pictures_is_refused(work: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "list.txt").write_text("a/000.png\nnowhere.png\n")
    args = ["predict", "--model", str(tmp_path / "none.ckpt"), "--images", str(work / "pool")]
    (tmp_path / "none.ckpt").write_bytes(b"")
    assert main([*args, "--list", str(tmp_path / "list.txt"), "--output", str(tmp_path / "out")]) == 1
    assert "1 of 2 pictures are not in" in capsys.readouterr().err
    (tmp_path / "list.txt").write_text("\n")
    assert main([*args, "--list", str(tmp_path / "list.txt"), "--output", str(tmp_path / "out")]) == 1
    assert "the list is empty" in capsys.readouterr().err


def test_missing_pictures_leave_nothing_behind(work: Path, tmp_path: Path, capsys: Captured) -> None:
    args = [
        "curate",
        "select",
        str(work / "scores"),
        "--images",
        str(tmp_path),
        "--output",
        str(tmp_path / "s.txt"),
    ]
    assert main(args) == 1
    assert "12 of 12 selected pictures are missing, such as a/000.png" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["score", "POOL"], "the following arguments are required: --output"),
        (["score", "POOL", "--output", "OUT", "--shard", "3/2"], "--shard: found 3/2"),
        (["score", "POOL", "--output", "OUT", "--threshold", "0.3"], "--threshold has no effect without"),
        (["score", "nowhere", "--output", "OUT"], "nowhere: is not a folder"),
        (["score", "POOL", "--output", "OUT", "--backbone", "nowhere"], "nowhere: no such file or folder"),
        (["score", "POOL", "--output", "OUT", "--columns", "no.Where"], "no.Where: there is no such class"),
        (["select", "nowhere", "--output", "OUT/a.txt"], "nowhere: there is no such file or folder"),
        (["select", "SCORES", "--output", "OUT/a.html"], "lies beside the list"),
        (["select", "SCORES", "--output", "OUT/a.txt", "--config", "no.yaml"], "no.yaml"),
        (["selct"], "invalid choice: 'selct'"),
    ],
)
def test_wrong_usage_is_named(
    work: Path, tmp_path: Path, capsys: Captured, args: list[str], message: str
) -> None:
    places = {"POOL": str(work / "pool"), "SCORES": str(work / "scores")}
    typed = [places.get(arg, arg.replace("OUT", str(tmp_path / "out"))) for arg in args]
    assert main(["curate", *typed]) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("step", ["score", "select"])
def test_each_step_has_its_help(step: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit):
        main(["curate", step, "--help"])
    assert f"usage: sapiens2-lit curate {step}" in capsys.readouterr().out


def test_without_pyarrow_no_folder_is_left(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["curate", "score", str(work / "pool"), "--output", str(tmp_path / "new" / "scores")]) == 1
    assert "pip install 'sapiens2-lit[parquet]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
