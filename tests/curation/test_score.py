"""Scores: a row a picture, whole shards, nothing twice."""

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import picture_pool as pool
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.curation.columns import Colorfulness, Column, OwnColumn, load_column
from sapiens2_lit.curation.people import People
from sapiens2_lit.curation.score import score
from sapiens2_lit.curation.scores import read_scores
from sapiens2_lit.curation.shards import shard_file
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.heads import NormalHead, PoseHead
from sapiens2_lit.inference.detect import Detector
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor


def test_each_picture_has_a_row(tmp_path: Path) -> None:
    names = pool.write_pool(tmp_path / "pool", 5)
    (tmp_path / "pool" / "z.jpg").write_bytes(b"\xff\xd8 no picture")
    exif = Image.Exif()
    exif[274], exif[271] = 6, "A Maker"
    Image.fromarray(pool.textured(9, (30, 50))).save(tmp_path / "pool" / "turned.jpg", exif=exif)
    done = score(
        tmp_path / "pool", tmp_path / "scores", lambda: [OwnColumn(Colorfulness(), "it")], shard_size=3
    )
    assert (done.pictures, done.shards, done.damaged, done.open) == (7, 3, 1, 0)
    rows = {row["path"]: row for row in read_scores([tmp_path / "scores"]).table.to_pylist()}
    assert sorted(rows) == sorted([*names, "turned.jpg", "z.jpg"])
    turned, bad, first = rows["turned.jpg"], rows["z.jpg"], rows[names[0]]
    assert (turned["width"], turned["height"], turned["short_side"]) == (30, 50, 30), "upright"
    assert turned["exif_orientation"] == 6 and turned["exif_make"] == "A Maker"
    assert bad["damage"].startswith("z.jpg: the JPEG is truncated") and bad["phash"] is None
    assert first["damage"] is None and len(first["phash"]) == 16 and len(first["phash256"]) == 64
    assert first["colorfulness"] == pytest.approx(Colorfulness()(pool.textured(0)))
    assert bad["colorfulness"] is None


def test_blur_is_less_sharp_and_light_is_brighter(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    for name, one in (("a", image), ("b", cv2.GaussianBlur(image, (0, 0), 6)), ("c", image // 2 + 127)):
        pool.write_picture(tmp_path / "pool" / f"{name}.png", one)
    score(tmp_path / "pool", tmp_path / "scores")
    a, b, c = read_scores([tmp_path / "scores"]).table.to_pylist()
    assert b["sharpness"] < a["sharpness"] / 2 and c["brightness"] > a["brightness"]
    assert a["contrast"] > c["contrast"]


def test_killed_in_the_middle_and_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.write_pool(tmp_path / "pool", 10)
    score(tmp_path / "pool", tmp_path / "whole", shard_size=3)
    measured: list[str] = []

    def dying(root: Path, name: str) -> Any:
        measured.append(name)
        if len(measured) == 8:
            raise KeyboardInterrupt
        return real(root, name)

    scoring = import_module("sapiens2_lit.curation.score")  # whose package has a function of the same name
    real = scoring.measure
    monkeypatch.setattr(scoring, "measure", dying)
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "pool", tmp_path / "scores", shard_size=3, workers=1)
    there = sorted(path.name for path in (tmp_path / "scores").iterdir())
    assert there == ["part-000000.parquet", "part-000001.parquet"]
    measured.clear()
    monkeypatch.setattr(scoring, "measure", lambda root, name: measured.append(name) or real(root, name))
    done = score(tmp_path / "pool", tmp_path / "scores", shard_size=3)
    assert (done.kept, done.own, len(measured)) == (2, 4, 4), "the open shards alone"
    for shard in range(4):
        one, other = (shard_file(tmp_path / name, shard).read_bytes() for name in ("whole", "scores"))
        assert one == other


def test_parts_together_are_the_whole(tmp_path: Path) -> None:
    pool.write_pool(tmp_path / "pool", 9)
    score(tmp_path / "pool", tmp_path / "whole", shard_size=2)
    open_shards = [
        score(tmp_path / "pool", tmp_path / "parts", shard_size=2, part=(index, 3)).open
        for index in (3, 1, 2)
    ]
    assert open_shards == [4, 2, 0]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_a_shard_whose_pictures_changed_is_scored_again(tmp_path: Path) -> None:
    names = pool.write_pool(tmp_path / "pool", 6)
    score(tmp_path / "pool", tmp_path / "scores", shard_size=2)
    pool.write_picture(tmp_path / "pool" / names[0], pool.textured(77, (60, 60)))
    assert score(tmp_path / "pool", tmp_path / "scores", shard_size=2).kept == 2
    for name in names[2:]:
        (tmp_path / "pool" / name).unlink()
    score(tmp_path / "pool", tmp_path / "scores", shard_size=2)
    assert read_scores([tmp_path / "scores"]).paths == names[:2]


def test_other_settings_into_the_same_folder_are_refused(tmp_path: Path) -> None:
    pool.write_pool(tmp_path / "pool", 2)
    score(tmp_path / "pool", tmp_path / "scores")
    with pytest.raises(SettingError, match=r"columns was None, now .*colorfulness.*another --output"):
        score(tmp_path / "pool", tmp_path / "scores", lambda: [OwnColumn(Colorfulness(), "it")])


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        score(tmp_path / "nowhere", tmp_path / "scores")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no picture in it, expected some of .jpg"):
        score(tmp_path / "empty", tmp_path / "scores")


class Wrong(Column):
    name = "wrong"

    def __call__(self, image: pool.RGB) -> str:
        return "text"


def test_columns_by_class_path(tmp_path: Path) -> None:
    assert load_column("{class_path: sapiens2_lit.curation.Colorfulness}").columns == {
        "colorfulness": "double"
    }
    for path, message in (
        ("nowhere.Column", "there is no such class"),
        ("pathlib.Path", r"is not a sapiens2_lit.curation.Column"),
        ("{class_path: sapiens2_lit.curation.Colorfulness, init_args: {a: 1}}", "arguments do not fit"),
        ("[1]", "expected a class path"),
    ):
        with pytest.raises(SettingError, match=message):
            load_column(path)
    with pytest.raises(SettingError, match=r"wrong returned 'text' \(str\), expected double"):
        OwnColumn(Wrong(), "it")([pool.textured(0)])


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    pool.write_pool(tmp_path / "pool", 1)
    twice = OwnColumn(Colorfulness(), "it")
    with pytest.raises(SettingError, match="two columns are called 'colorfulness'"):
        score(tmp_path / "pool", tmp_path / "scores", lambda: [twice, twice])


class Halves(Detector):
    """Finds a person in each half of a bright picture, and nobody in a dark one."""

    def find(self, image: pool.RGB) -> Any:
        import torch

        height, width = image.shape[:2]
        if image.mean() < 50:
            return torch.zeros(0, 4), torch.zeros(0)
        boxes = [[0, 0, width / 2, height / 2], [width / 2, 0, width, height]]
        return torch.tensor(boxes), torch.tensor([0.9, 0.8])


def test_people_are_counted_and_the_largest_measured() -> None:
    stage = People(Halves(), None, {})
    bright, dark = stage([np.full((40, 60, 3), 200, np.uint8), np.zeros((40, 60, 3), np.uint8)])
    assert bright["people"] == 2 and bright["person_short_side"] == 30
    assert bright["person_score"] == pytest.approx(0.8)
    assert dark == {"people": 0, "person_boxes": []}


def test_heads_are_seen_by_a_pose_model() -> None:
    model = InferenceModel(Sapiens2("test", (64, 48)), {"pose": PoseHead(32, skeleton="coco17")})
    predictor = Predictor(model)
    stage = People(Halves(), predictor, {})
    bright, dark = stage([np.full((40, 60, 3), 200, np.uint8), np.zeros((40, 60, 3), np.uint8)])
    (_, points) = [one.keypoints for one in predictor.predict(
        np.full((40, 60, 3), 200, np.uint8), np.array([[0, 0, 30, 20, 0.9], [30, 0, 30, 40, 0.8]], np.float32)
    ).instances]  # fmt: skip
    assert bright["head_score"] == pytest.approx(float(points[:5, 2].mean()), abs=1e-5), "nose, eyes, ears"
    assert bright["head_visible"] is bool((points[:5, 2] >= 0.3).sum() >= 2)
    assert dark["head_visible"] is False and dark["people"] == 0
    alone = People(None, predictor, {})([np.full((40, 60, 3), 200, np.uint8)])
    assert alone[0]["people"] in (0, 1), "the picture as one person, or nobody where that is doubtful"
    with pytest.raises(SettingError, match="no keypoints of a head"):
        People(None, Predictor(InferenceModel(Sapiens2("test", (64, 48)), {"n": NormalHead(32)})), {})


def test_parquet_that_others_read(tmp_path: Path) -> None:
    pool.write_pool(tmp_path / "pool", 2)
    score(tmp_path / "pool", tmp_path / "scores", lambda: [People(Halves(), None, {})])
    table = parquet.read_table(shard_file(tmp_path / "scores", 0))
    assert table["person_boxes"].to_pylist()[0][0] == [0.0, 0.0, 20.0, 24.0, pytest.approx(0.9)]
