"""`sapiens2-lit convert`: what comes out is what was labelled, in our layout, and trains as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_folders as tools
from PIL import Image
from tool_folders import Source

from sapiens2_lit.cli.main import main
from sapiens2_lit.datamodules import PoseDataModule, SegmentationDataModule

SIZE = (64, 48)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return tools.make_source(tmp_path_factory.mktemp("source"))


def pose(root: Path, skeleton: str | Path = "coco17", **settings: Any) -> PoseDataModule:
    data = PoseDataModule(str(root), str(skeleton), SIZE, num_workers=0, augment=None, **settings)
    data.setup("fit")
    return data


def points_of(data: PoseDataModule) -> dict[str, np.ndarray]:
    found = {}
    for dataset in data.datasets.values():
        people = dataset.sources[0]
        found |= {people.path(row).name[-10:]: people.keypoints(row) for row in range(len(people))}
    return found


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (tools.yolo_pose, "yolo"),
        (tools.cvat_xml, "cvat-xml"),
        (tools.labelme, "labelme"),
        (tools.roboflow, "coco"),
        (tools.label_studio, "coco"),
    ],
)
def test_keypoints_are_the_same_after_conversion(
    source: Source,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Source, Path], None],
    name: str,
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    write(source, old)
    share = {} if write in (tools.yolo_pose, tools.roboflow) else {"val": 0.25}
    assert main(["convert", str(old), str(new), "--from", name]) == 0
    assert "next:\n  sapiens2-lit fit --config pose_17.yaml" in capsys.readouterr().out
    own = pose(new, new / "skeleton.yaml", **share)
    assert own.skeleton.num_keypoints == 17
    assert sum(other != one for one, other in enumerate(own.skeleton.swap)) == 16
    before, after = points_of(pose(old, **share)), points_of(own)
    assert before.keys() == after.keys()
    for one, other in zip(before.values(), after.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (tools.cvat_masks, "cvat-masks"),
        (tools.yolo_segment, "yolo"),
        (tools.labelme_masks, "labelme"),
        (tools.cvat_xml, "cvat-xml"),
    ],
)
def test_masks_are_people_after_conversion(
    source: Source, tmp_path: Path, write: Callable[[Source, Path], None], name: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    write(source, old)
    assert main(["convert", str(old), str(new), "--from", name]) == 0
    for path in (new / "masks").rglob("*.png"):
        found, wanted = np.asarray(Image.open(path)) > 0, source.masks[f"{path.stem}.jpg"] > 0
        assert (found & wanted).sum() >= 0.9 * (found | wanted).sum()
    assert len(list((new / "masks").rglob("*.png"))) == tools.COUNT
    share = {} if write is tools.yolo_segment else {"val": 0.25}
    data = SegmentationDataModule(
        str(new), SIZE, str(new / "classes.yaml"), num_workers=0, augment=None, **share
    )
    data.setup("fit")
    assert data.datasets["train"][0]["segmentation"].max() == 1


def test_what_cannot_be_converted_is_said(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools.yolo_pose(source, tmp_path)
    full, new = tmp_path, tmp_path / "new"
    for args, told in (
        (
            [str(full), str(new), "--from", "labelme"],
            "there is no dataset of LabelMe in it, expected a JSON file",
        ),
        ([str(full), str(full), "--from", "yolo"], "exists and is not empty"),
        ([str(tmp_path / "gone"), str(new), "--from", "yolo"], "does not exist"),
    ):
        assert main(["convert", *args]) == 1
        assert told in capsys.readouterr().err
        assert not new.exists()


def test_sleap_and_deeplabcut(source: Source, tmp_path: Path) -> None:
    sio = pytest.importorskip(
        "sleap_io", reason="sleap-io is not installed: pip install 'sapiens2-lit[convert]'"
    )
    names = source.coco["categories"][0]["keypoints"]
    skeleton = sio.Skeleton(list(names), edges=[(names[5], names[7])], symmetries=[(names[5], names[6])])
    images = source.coco["images"]
    folder = tmp_path / "project/labeled-data/film"
    folder.mkdir(parents=True)
    for image in images:
        source.copy(image, folder / image["file_name"])
    video = sio.Video.from_filename([str(folder / image["file_name"]) for image in images])
    frames, wanted = [], {}
    for place, image in enumerate(images):
        people = []
        for one in source.people_of(image):
            points = np.array(one["keypoints"], dtype=np.float64).reshape(-1, 3)
            wanted[image["file_name"]] = points
            points = np.where(points[:, 2:] > 0, points[:, :2], np.nan)
            people.append(sio.Instance.from_numpy(points, skeleton=skeleton))
        frames.append(sio.LabeledFrame(video=video, frame_idx=place, instances=people))
    sio.save_slp(sio.Labels(frames), str(tmp_path / "people.slp"))

    header = [
        ["scorer"] + ["me"] * 34,
        ["bodyparts"] + [n for n in names for _ in "xy"],
        ["coords"] + ["x", "y"] * 17,
    ]
    rows = []
    for name, points in wanted.items():
        values = ["" if not v else f"{value:.3f}" for x, y, v in points for value in (x, y)]
        rows.append([f"labeled-data/film/{name}", *values])
    table = "\n".join(",".join(row) for row in (*header, *rows)) + "\n"
    (folder / "CollectedData_me.csv").write_text(table)

    for old, name in ((tmp_path / "people.slp", "sleap"), (folder / "CollectedData_me.csv", "deeplabcut")):
        new = tmp_path / name
        assert main(["convert", str(old), str(new), "--from", name]) == 0
        found = points_of(pose(new, val=0.25))
        assert found.keys() == wanted.keys()
        for key, points in found.items():
            seen = wanted[key][:, 2] > 0
            np.testing.assert_array_equal(points[:, 2] > 0, seen)
            np.testing.assert_allclose(points[seen, :2], wanted[key][seen, :2], atol=0.01)
    assert "swaps:" in (tmp_path / "sleap/skeleton.yaml").read_text()


def test_formats_of_datumaro(source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("datumaro", reason="datumaro is not installed: pip install 'sapiens2-lit[convert]'")
    old = tmp_path / "voc"
    old.mkdir()
    tools.cvat_masks(source, old)
    (old / "SegmentationObject").mkdir()
    for path in (
        old / "SegmentationClass"
    ).iterdir():  # VOC keeps instances beside classes, in colors of their own
        objects = np.asarray(Image.open(path)).any(axis=2)[..., None] * np.array((128, 0, 0), dtype=np.uint8)
        Image.fromarray(objects).save(old / "SegmentationObject" / path.name)
    (old / "ImageSets/Segmentation/default.txt").rename(old / "ImageSets/Segmentation/train.txt")
    new = tmp_path / "new"
    assert main(["convert", str(old), str(new), "--from", "voc_segmentation"]) == 0
    paths = list((new / "masks").rglob("*.png"))
    assert len(paths) == tools.COUNT
    for path in paths:
        found, wanted = np.asarray(Image.open(path)) > 0, source.masks[f"{path.stem}.jpg"] > 0
        assert (found & wanted).sum() >= 0.9 * (found | wanted).sum()
    coco = tmp_path / "coco"
    coco.mkdir()
    tools.cvat_coco(source, coco)
    assert main(["convert", str(coco), str(tmp_path / "points"), "--from", "coco_person_keypoints"]) == 0
    assert points_of(pose(tmp_path / "points", val=0.25)).keys() == points_of(pose(coco, val=0.25)).keys()
    assert main(["convert", str(coco), str(tmp_path / "no"), "--from", "nothing"]) == 1
    assert "--from nothing: unknown, expected one of" in capsys.readouterr().err
