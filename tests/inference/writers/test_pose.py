"""People as JSON: by name for programs, as COCO results for scoring, a line at a time."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sapiens2_lit.errors import DataError
from sapiens2_lit.inference.prediction import HeadInfo, Instance, Prediction
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.coco import CocoResults
from sapiens2_lit.inference.writers.pose import PoseJson
from sapiens2_lit.vocabularies import load_skeleton

NAMES = load_skeleton("coco17").keypoints
HEADS = {"pose": HeadInfo(skeleton=load_skeleton("coco17"))}
IMAGE = np.zeros((48, 64, 3), dtype=np.uint8)


def people_at(*places: float) -> Prediction:
    points = np.random.default_rng(0).random((17, 3)).astype(np.float32)
    people = [
        Instance("pose", np.array([x, 0, 20, 40], np.float32), 0.5, points * [20, 40, 1] + [x, 0, 0])
        for x in places
    ]
    return Prediction((48, 64), people, heads=HEADS)


def write_all(
    out: Path, pictures: dict[str, Prediction], resume: bool = False, ids: dict[str, int] | None = None
) -> list[str]:
    """Write some pictures as a run does; returns the names that were not there already."""
    writer = CocoResults("pose", "keypoints", ids)
    writer.start(out, resume)
    new = [name for name in pictures if not writer.is_finished(name, out)]
    for name in new:
        writer.write(pictures[name], Frame(IMAGE, name, f"{name}.jpg"), out)
    writer.close(out)
    return new


def read(out: Path, name: str) -> list[dict]:
    return json.loads((out / "pose" / f"coco_{name}.json").read_text())


def test_json_names_keypoints(prediction: Prediction, frame: Frame, tmp_path: Path) -> None:
    PoseJson("pose", "keypoints").write(prediction, frame, tmp_path)
    found = json.loads((tmp_path / "pose" / "keypoints" / "sub" / "photo.json").read_text())
    assert (found["file"], found["width"], found["height"]) == ("sub/photo.jpg", 31, 24)
    assert [person["id"] for person in found["people"]] == [7, 8]
    for person, expected in zip(found["people"], prediction.instances, strict=True):
        assert list(person["keypoints"]) == list(NAMES)
        points = np.array(list(person["keypoints"].values()))
        assert np.abs(points[:, :2] - expected.keypoints[:, :2]).max() <= 0.00051
        assert np.abs(points[:, 2] - expected.keypoints[:, 2]).max() <= 0.0000051
        np.testing.assert_allclose(person["box"], expected.box, atol=0.00051)
        assert person["score"] == pytest.approx(expected.score, abs=1e-5)


def test_json_has_no_nan(prediction: Prediction, frame: Frame) -> None:
    prediction.instances[0].keypoints[3] = np.nan
    text = PoseJson("pose", "keypoints").encode(prediction, frame)
    first = json.loads(text, parse_constant=pytest.fail)["people"][0]
    assert first["keypoints"][NAMES[3]] == [None, None, None]


def test_coco_is_scored_by_the_reference(tmp_path: Path) -> None:
    """Results equal to the labels score 1, by the ids and the list that were written."""
    pictures = {"a": people_at(0, 30), "b": people_at(), "sub/c": people_at(5)}
    write_all(tmp_path, pictures)
    images, results = read(tmp_path, "images"), read(tmp_path, "results")
    assert [image["id"] for image in images] == [1, 2, 3]
    assert [image["file_name"] for image in images] == ["a.jpg", "b.jpg", "sub/c.jpg"]
    assert [result["image_id"] for result in results] == [1, 1, 3]
    labels = []
    for number, result in enumerate(results):
        visible = np.array(result["keypoints"])
        visible[2::3] = 2
        labels.append(
            {
                **result,
                "id": number + 1,
                "keypoints": visible.tolist(),
                "num_keypoints": 17,
                "iscrowd": 0,
                "area": 500,
            }
        )
    truth = COCO()
    truth.dataset = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "person"}]}
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(str(tmp_path / "pose" / "coco_results.json")), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_ids_of_an_annotation_file(tmp_path: Path) -> None:
    write_all(tmp_path, {"a": people_at(0), "b": people_at(1)}, ids={"b.jpg": 397133, "a.jpg": 785})
    assert [result["image_id"] for result in read(tmp_path, "results")] == [785, 397133]
    with pytest.raises(DataError, match=r"c\.jpg: the file with `images` has no such"):
        write_all(tmp_path, {"c": people_at(0)}, ids={"b.jpg": 1})


def test_resuming_adds_what_is_missing(tmp_path: Path) -> None:
    pictures = {"a": people_at(0), "b": people_at(), "c": people_at(1, 2), "d": people_at(3)}
    write_all(tmp_path / "whole", pictures)
    write_all(tmp_path / "parts", {name: pictures[name] for name in ("a", "b")})
    assert write_all(tmp_path / "parts", pictures, resume=True) == ["c", "d"]
    for name in ("results", "images"):
        assert read(tmp_path / "parts", name) == read(tmp_path / "whole", name)
    assert write_all(tmp_path / "parts", pictures, resume=False) == list(pictures), (
        "without it all is made anew"
    )
    assert read(tmp_path / "parts", "results") == read(tmp_path / "whole", "results")


def test_a_kill_in_the_middle_of_a_line_loses_that_picture_alone(tmp_path: Path) -> None:
    pictures = {"a": people_at(0), "b": people_at(1)}
    writer = CocoResults("pose", "keypoints")
    writer.start(tmp_path, resume=False)
    for name, prediction in pictures.items():
        writer.write(prediction, Frame(IMAGE, name, f"{name}.jpg"), tmp_path)
    writer.abort()
    assert not (tmp_path / "pose" / "coco_results.json").exists(), "not before all is done"
    journal = tmp_path / "pose" / ".coco_results.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])
    assert write_all(tmp_path, pictures, resume=True) == ["b"]
    write_all(tmp_path / "whole", pictures)
    assert read(tmp_path, "results") == read(tmp_path / "whole", "results")


def test_what_is_not_finite_is_not_there(tmp_path: Path) -> None:
    prediction = people_at(0)
    prediction.instances[0].keypoints[2, 0] = np.nan
    write_all(tmp_path, {"a": prediction})
    assert read(tmp_path, "results")[0]["keypoints"][6:9] == [0, 0, 0]


def test_memory_does_not_grow_with_the_pictures(tmp_path: Path) -> None:
    def peak(num: int) -> int:
        prediction = people_at(0, 10)
        tracemalloc.start()
        writer = CocoResults("pose", "keypoints")
        writer.start(tmp_path / str(num), resume=False)
        for index in range(num):
            writer.write(prediction, Frame(IMAGE, f"{index:06}", f"{index:06}.jpg"), tmp_path / str(num))
        writer.close(tmp_path / str(num))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(5)
    assert peak(500) < 1.2 * peak(50) + 20_000
