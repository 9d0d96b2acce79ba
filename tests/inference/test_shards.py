"""A run in parts leaves, byte for byte, what one run leaves."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tree, write_pose_model
from PIL import Image
from processes import start_command
from safetensors import safe_open

from sapiens2_lit.checkpoints import write_weights
from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.predict_devices import devices_of
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.from_released import METADATA
from sapiens2_lit.inference.shard import parse_shard

pytest.importorskip("pyarrow")

FORMATS = ["--formats", "json", "coco", "parquet", "overlay", "--batch_size", "2", "--detector", "none"]
NUM_PHOTOS = 7


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pose_model(tmp_path_factory.mktemp("model") / "pose.safetensors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, picture: Any) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "sub").mkdir()
    for index in range(NUM_PHOTOS):
        name = f"sub/{index}.png" if index % 3 == 0 else f"{index}.png"
        Image.fromarray(picture(50 + index, 40, index)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def whole(model: str, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole")
    assert predict(model, photos, out) == 1, "one picture is broken"
    return tree(out)


def predict(model: str, photos: Path, out: Path, *options: str) -> int:
    given = ["--images", str(photos), "--output", str(out), "--device", "cpu", *FORMATS, *options]
    return main(["predict", "--model", model, *given])


@pytest.mark.parametrize("order", [(2, 1, 3), (3, 2, 1)])
def test_shards_in_any_order_leave_what_one_run_leaves(
    order: tuple[int, ...], model: str, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    statuses = [predict(model, photos, tmp_path, "--shard", f"{index}/3") for index in order]
    assert sorted(statuses) == [0, 0, 1]
    assert {"pose/coco_results.json", "pose/keypoints.parquet", "pose/.coco_results.jsonl"} <= whole.keys()
    assert tree(tmp_path) == whole
    for index in order:
        assert predict(model, photos, tmp_path, "--shard", f"{index}/3", "--resume") in (0, 1)
    assert tree(tmp_path) == whole, "resumed when all was done"


def test_more_shards_than_pictures_and_shards_at_once(
    model: str, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    number = NUM_PHOTOS + 3
    for index in range(1, number):
        predict(model, photos, tmp_path, "--shard", f"{index}/{number}")
        assert (tmp_path / ".shards").exists()
    predict(model, photos, tmp_path, "--shard", f"{number}/{number}")
    assert tree(tmp_path) == whole


def test_an_interrupted_shard_goes_on_and_earlier_results_do_not_count(
    model: str, photos: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict(model, photos, tmp_path) == 1  # whose lists are made anew
    from sapiens2_lit.inference.output import Output

    add = Output.add

    def interrupted(self: Output, frame: Any, made: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        add(self, frame, made)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "add", interrupted)
        assert predict(model, photos, tmp_path, "--shard", "1/2") == 130
    predict(model, photos, tmp_path, "--shard", "2/2")
    assert (tmp_path / ".shards").exists()
    predict(model, photos, tmp_path, "--shard", "1/2", "--resume")
    assert tree(tmp_path) == whole


def test_a_merge_that_was_killed_is_done_again(
    model: str, photos: Path, tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(model, photos, tmp_path, "--shard", "1/2")
    from sapiens2_lit.inference.writers.coco import CocoResults

    def killed(self: CocoResults, folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CocoResults, "make_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            predict(model, photos, tmp_path, "--shard", "2/2")
    predict(model, photos, tmp_path, "--shard", "1/2", "--resume")
    assert tree(tmp_path) == whole


def test_shards_of_different_options_and_whole_runs_are_refused(
    model: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(model, photos, tmp_path, "--shard", "1/3") in (0, 1)
    before = tree(tmp_path)
    for options, message in (
        (["--shard", "2/4"], "--shard was of 3, here it is of 4"),
        (["--shard", "2/3", "--flip"], "--flip was False, here it is True"),
        (["--shard", "2/3", "--formats", "json"], "--formats was json coco parquet overlay, here it is json"),
        ([], "holds shards of a run that is not finished"),
    ):
        capsys.readouterr()
        assert predict(model, photos, tmp_path, *options) == 1
        error = capsys.readouterr().err.split("error: ")[-1]
        assert message in error
        assert ".shards" in error
        assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3/2", "found 3/2, expected I/N with I from 1 to N"),
        ("0/2", "found 0/2, expected I/N with I from 1 to N"),
        ("2", "found '2', expected I/N, such as 1/4"),
        ("-1/2", "expected I/N, such as 1/4"),
    ],
)
def test_a_shard_that_is_none(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        parse_shard(text)
    assert str(parse_shard("2/2")) == "2/2"


def test_devices() -> None:
    assert devices_of("cpu", 3) == ["cpu"] * 3
    for device, number, message in (
        ("cuda:1", 2, "expected auto, cuda or cpu"),
        ("cpu", 0, "expected 1 or more"),
    ):
        with pytest.raises(SettingError, match=message):
            devices_of(device, number)


@pytest.mark.slow
def test_devices_leave_what_one_run_leaves(
    model: str, photos: Path, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    assert predict(model, photos, tmp_path, "--devices", "2") == 1
    assert tree(tmp_path) == whole


@pytest.mark.slow
def test_a_shard_whose_process_is_killed_is_named(model: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for index in range(160):
        (tmp_path / "many" / f"{index:03}.png").hardlink_to(photos / "1.png")
    given = [
        "--images",
        str(tmp_path / "many"),
        "--output",
        str(tmp_path / "out"),
        "--device",
        "cpu",
        *FORMATS,
    ]
    command = start_command(["predict", "--model", model, *given, "--devices", "2"], tmp_path / "log")
    while not list(tmp_path.glob("out/pose/keypoints/*.json")) and command.process.is_alive():
        time.sleep(0.02)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert command.wait() == 1
    error = command.printed()
    assert f"shard 1/2 on cpu (process {children[0]}) was ended by SIGKILL" in error
    assert "Traceback" not in error
    for path in tmp_path.glob("out/pose/keypoints/*.json"):
        json.loads(path.read_text())


def test_parquet_reads_back(model: str, photos: Path, tmp_path: Path) -> None:
    import pyarrow.parquet

    assert predict(model, photos / "1.png", tmp_path) == 0
    (row,) = pyarrow.parquet.read_table(tmp_path / "pose" / "keypoints.parquet").to_pylist()
    (person,) = json.loads((tmp_path / "pose" / "keypoints" / "1.json").read_text())["people"]
    assert (row["file"], row["name"], row["width"], row["height"]) == ("1.png", "1", 40, 51)
    points = np.array([row["keypoints_x"], row["keypoints_y"], row["keypoints_score"]], float).T
    np.testing.assert_array_equal(points, np.array(list(person["keypoints"].values()), float))
    assert (row["score"], row["box"], row["doubt"]) == (person["score"], person["box"], person["doubt"])
    about = json.loads((tmp_path / "pose" / "about.json").read_text())["keypoints"]["parquet"]
    assert about["keypoints"] == list(person["keypoints"])


def test_resume_refuses_results_of_other_weights(
    model: str, photos: Path, whole: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / "out", tmp_path / "other.safetensors"
    with safe_open(model, "pt") as file:
        state = {name: file.get_tensor(name) + 1e-3 for name in file.keys()}  # noqa: SIM118 - no mapping
        write_weights(state, other, metadata={METADATA: file.metadata()[METADATA]})
    assert predict(model, photos, out) == 1, "one picture is broken"
    capsys.readouterr()
    assert predict(str(other), photos, out, "--resume") == 1
    error = capsys.readouterr().err
    assert (
        f"--resume: the results in {out / 'pose'} are of other weights" in error and "Traceback" not in error
    )
    assert tree(out) == whole
    predict(model, photos, out, "--resume")
    assert "other weights" not in capsys.readouterr().err and tree(out) == whole
    predict(str(other), photos, out)
    assert tree(out) != whole, "without --resume all is made anew"
