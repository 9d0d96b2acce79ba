"""`sapiens2-lit check`: what each exit status means, and a page for the labels of every task."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_files import put, scaled, write_pose

from sapiens2_lit.cli.check import check_all, status_of
from sapiens2_lit.cli.main import main
from sapiens2_lit.datamodules import (
    AlbedoDataModule,
    DepthDataModule,
    MattingDataModule,
    MultitaskDataModule,
    NormalDataModule,
    PointmapDataModule,
    PoseDataModule,
    SegmentationDataModule,
    SyntheticDataModule,
)
from sapiens2_lit.report.check_page import build_check_page
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

SIZE = (64, 48)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures with all labels, two of them to validate on."""
    root = tmp_path_factory.mktemp("check")
    make_dataset(root, 10, Settings(size=(96, 72), seed=1), workers=1, progress=False)
    return root


def run(root: Path, *options: str) -> int:
    return main(
        [
            "check",
            "--config",
            "pose_17.yaml",
            "--data.root",
            str(root),
            "--output",
            str(root / "page"),
            *options,
        ]
    )


def test_errors_are_status_1_and_the_page_shows_each(tmp_path, capsys):
    def change(data):
        scaled(1 / 96, 1 / 128)(data)
        data["images"][0]["file_name"] = "<script>alert(1)</script>.jpg"

    write_pose(tmp_path, change)
    assert run(tmp_path, "--data.val", "null", "--json", str(tmp_path / "found.json")) == 1
    page, text = (tmp_path / "page" / "check.html").read_text(), capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["status"] == 1 and found["errors"] == sum(
        one["severity"] == "error" for one in found["findings"]
    )
    for one in found["findings"]:
        assert one["check"] in page and one["check"] in text
    assert "unit_coordinates" in text and "multiply x" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "data:image/jpeg;base64," in page.partition('id="taught"')[0], "pictures behind findings"


@pytest.mark.slow
def test_warnings_alone_are_status_3_and_what_is_allowed_is_0(tmp_path, capsys):
    write_pose(tmp_path, put(area=0))
    write_pose(tmp_path, put(area=0), file="val.json")
    assert run(tmp_path) == 3
    warned = set(re.findall(r"warning \[(\w+)\]", capsys.readouterr().out))
    assert warned >= {"areas", "same_file_in_splits"}
    assert run(tmp_path, "--data.allow", json.dumps(sorted(warned))) == 0
    assert "allowed warning" in (tmp_path / "page" / "check.html").read_text()


def test_wrong_usage_is_status_2(tmp_path, capsys):
    assert main(["check"]) == 2
    assert run(tmp_path, "--data.no_such_setting", "1") == 2
    assert "no_such_setting" in capsys.readouterr().err


def test_what_cannot_be_read_is_a_finding(tmp_path):
    write_pose(tmp_path)
    (tmp_path / "annotations" / "train.json").write_text("[1, 2")
    report, checked = check_all({"": PoseDataModule(str(tmp_path), "coco17", SIZE, num_workers=0)})
    assert status_of(report) == 1
    assert {one.check for one in report.errors} == {"unreadable"}
    assert "train.json" in build_check_page("Check", report, checked)


@pytest.mark.slow
def test_healthy_labels_of_every_task_are_status_0_and_have_a_page(people):
    root = str(people)
    tasks = {
        "keypoints": PoseDataModule(root, "coco17", SIZE, num_workers=0),
        "keypoints and masks": PoseDataModule(root, "coco17", SIZE, masks="masks", num_workers=0),
        "classes": SegmentationDataModule(root, image_size=SIZE, num_workers=0),
        "normals": NormalDataModule(root, SIZE, num_workers=0),
        "depth": DepthDataModule(root, SIZE, cameras="cameras", num_workers=0),
        "points": PointmapDataModule(root, SIZE, num_workers=0),
        "albedo": AlbedoDataModule(root, SIZE, num_workers=0),
        "alpha": MattingDataModule(root, SIZE, num_workers=0),
        "generated": SyntheticDataModule(SIZE, samples_per_epoch=2, val_samples=1, num_workers=0),
    }
    report, checked = check_all(tasks)
    assert not report.errors, report.errors
    pages = {one.name: build_check_page("Check", report, [one]) for one in checked}
    expected = {
        "keypoints": "people in a picture",
        "keypoints and masks": "Upper_Clothing",
        "classes": "files of",
        "normals": "normals of the depth beside",
        "depth": "depth, lit and turned",
        "points": "from where the camera sees them",
        "albedo": "albedo",
        "alpha": "on green",
        "generated": "points, ",
    }
    for name, page in pages.items():
        assert "As the network sees train" in page, name
        assert page.count("data:image/jpeg") >= 6 and expected[name] in page, name
        assert not re.search(r'(src|href)="(?!data:image|#)', page), "it needs no other file and no network"
        assert ("mirrored" in page) == (name != "generated"), name


def test_several_datasets_are_told_apart(people, tmp_path):
    write_pose(tmp_path, put(area=0))
    data = MultitaskDataModule(
        {
            "bodies": PoseDataModule(str(tmp_path), "coco17", val=None, num_workers=0),
            "parts": SegmentationDataModule(str(people), num_workers=0),
        },
        image_size=SIZE,
        on_bad="skip",
    )
    assert all(one.on_bad == "skip" for one in data.datasets.values())
    report, checked = check_all(data.datasets)
    areas = [one.where for one in report.warnings if one.check == "areas"]
    assert areas == ["data.datasets.bodies, train (annotations/train.json)"]
    assert all(
        one.where.startswith(("data.datasets.bodies, ", "data.datasets.parts, ")) for one in report.findings
    )
    assert {one.name for one in checked} == {"bodies", "parts"}


def test_near_duplicates_between_splits_are_shown_beside_each_other(tmp_path):
    write_pose(tmp_path, seed=1)
    write_pose(tmp_path / "other", seed=2)
    taken = cv2.imread(str(tmp_path / "images" / "0001.jpg"))
    cv2.imwrite(str(tmp_path / "images" / "copy.jpg"), taken, [cv2.IMWRITE_JPEG_QUALITY, 70])
    data = json.loads((tmp_path / "annotations" / "train.json").read_text())
    data["images"] = [{**data["images"][0], "file_name": "copy.jpg"}]
    data["annotations"] = data["annotations"][:1]
    (tmp_path / "annotations" / "val.json").write_text(json.dumps(data))
    report, checked = check_all({"": PoseDataModule(str(tmp_path), "coco17", SIZE, num_workers=0)})
    found = next(one for one in report.warnings if one.check == "similar_picture_in_splits")
    assert (Path(found.examples[0].image).name, Path(found.examples[0].other).name) == (
        "copy.jpg",
        "0001.jpg",
    )
    page = build_check_page("Check", report, checked)
    assert "data:image/jpeg" in page.split("What is taught</h2>")[0]


def test_a_surface_is_lit_from_the_upper_left_and_gaps_are_closed():
    from sapiens2_lit.visualization.draw_surface import draw_surface

    rows, columns = np.indices((80, 60))
    ball = 30.0**2 - (rows - 40) ** 2 - (columns - 30) ** 2
    z = np.where(ball > 50, 300 - np.sqrt(np.maximum(ball, 0)), 0)
    points = np.stack([(columns - 30) * (z > 0), (rows - 40) * (z > 0), z], axis=2).astype(float)
    picture = draw_surface(points, turn=0)[..., 0].astype(int)
    inside = picture[30:50, 20:40]
    assert (inside > 30).all(), "no gap"
    assert picture[25, 18] > picture[55, 42] + 40
