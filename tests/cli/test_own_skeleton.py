"""Points of one's own from the tool's file, to the first step of training and to predictions elsewhere."""

import json
from pathlib import Path

import pytest
import yaml
from helpers import QUIET
from own_points import OWN_POINTS, write_cvat

from sapiens2_lit.cli.main import main
from sapiens2_lit.inference.model import load_model

TINY = ["--config", "pose_17.yaml", "--config", "size/smoke.yaml", *QUIET, "--trainer.max_steps", "1"]
FILE = "annotations/person_keypoints_default.json"


@pytest.fixture(scope="module")
def cvat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cvat(tmp_path_factory.mktemp("cvat"), 4).parents[1]


def fit(root: Path, output: Path, *options: str) -> int:
    return main(
        ["fit", *TINY, "--data.root", str(root), "--output", str(output), "--data.val", "null", *options]
    )


def test_names_and_links_come_from_the_tools_file(
    cvat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model.heads.pose.skeleton", FILE, "--data.train", Path(FILE).name]
    assert fit(cvat, tmp_path / "runs", *given) == 0
    said = capsys.readouterr()
    said = said.out + said.err
    assert "24 of the 24 points of person" in said
    assert "11 pairs of left and right were found by name: l_eye - r_eye, l_ear - r_ear" in said
    run = tmp_path / "runs" / "version_0"
    saved = yaml.safe_load((run / "config.yaml").read_text())
    places = [saved["model"]["heads"]["pose"], saved["data"]]
    assert [one["init_args"]["skeleton"] for one in places] == [str(cvat / FILE)] * 2
    (cvat / FILE).rename(cvat / "away")  # the model goes where the data do not
    try:
        skeleton = load_model(run / "checkpoints" / "last.ckpt").heads["pose"].skeleton
    finally:
        (cvat / "away").rename(cvat / FILE)
    assert skeleton.keypoints == tuple(OWN_POINTS) and len(skeleton.links) == 5


def test_points_without_names_take_those_of_the_setting(
    cvat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((cvat / FILE).read_text())
    data["categories"] = [{"id": 1, "name": "person", "keypoints": []}]
    (cvat / "annotations" / "nameless.json").write_text(json.dumps(data))
    (cvat / "points.yaml").write_text(yaml.safe_dump({"keypoints": [*OWN_POINTS]}))
    assert (
        fit(
            cvat,
            tmp_path,
            "--data.images",
            "images/default",
            "--data.train",
            "nameless.json",
            "--data.file_skeleton",
            "points.yaml",
        )
        == 0
    )
    said = capsys.readouterr()
    assert "17 of the 17 points of coco17 (the file has 24)" in said.out + said.err
    assert fit(cvat, tmp_path, "--data.images", "images/default", "--data.train", "nameless.json") == 1
    said = capsys.readouterr()
    assert "72 numbers" in said.err and "data.file_skeleton" in said.err


def test_a_file_that_is_nowhere_names_the_places(
    cvat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(cvat, tmp_path, "--model.heads.pose.skeleton", "points.json") == 1
    said = capsys.readouterr().err
    assert (
        "model.heads.pose.skeleton is points.json" in said
        and str(cvat / "annotations" / "points.json") in said
    )


def test_a_further_dataset_has_its_own_file_of_names(
    cvat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((cvat / FILE).read_text())
    data["categories"] = [{"id": 1, "name": "person", "keypoints": []}]
    (cvat / "annotations" / "more.json").write_text(json.dumps(data))
    (cvat / "annotations" / "more.yaml").write_text(yaml.safe_dump({"keypoints": [*OWN_POINTS]}))
    more = {
        "root": str(cvat),
        "annotations": "more.json",
        "images": "images/default",
        "skeleton": "more.yaml",
    }
    given = ["--data.train", Path(FILE).name, "--data.sources", json.dumps([more])]
    assert fit(cvat, tmp_path, *given) == 0
    said = capsys.readouterr()
    assert "data.sources[0] (more.json): 4 people" in said.out + said.err
    more["skeleton"] = "none.yaml"
    assert fit(cvat, tmp_path, "--data.train", Path(FILE).name, "--data.sources", json.dumps([more])) == 1
    assert "data.sources[0].skeleton is none.yaml, and there is no such file" in capsys.readouterr().err
