"""What a tool writes is what is trained on: every layout gives the labels that it was made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tool_folders as tools
from tool_folders import Source

from sapiens2_lit.datamodules import PoseDataModule, SegmentationDataModule

SIZE = (64, 48)


def pose(root: Path, **settings: Any) -> PoseDataModule:
    data = PoseDataModule(str(root), "coco17", SIZE, num_workers=0, augment=None, **settings)
    data.setup("fit")
    return data


def masks(root: Path, classes: str | Path, **settings: Any) -> SegmentationDataModule:
    data = SegmentationDataModule(str(root), SIZE, str(classes), num_workers=0, augment=None, **settings)
    data.setup("fit")
    return data


def name_of(path: str | Path) -> str:
    return Path(path).name[-10:]  # without what a server puts before it


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (tools.coco2017, {}),
        (tools.roboflow, {}),
        (tools.yolo_pose, {}),
        (tools.cvat_coco, {"val": 0.25}),
        (tools.cvat_coco, {"train": "person_keypoints_default.json", "val": 0.25}),
        (tools.label_studio, {"val": 0.25}),
        (tools.supervisely, {"val": 0.25}),
        (tools.cvat_xml, {"val": 0.25}),
        (tools.labelme, {"val": 0.25}),
    ],
)
def test_keypoints_of_every_tool(
    source: Source, tmp_path: Path, write: Callable[[Source, Path], None], settings: dict[str, Any]
) -> None:
    write(source, tmp_path)
    data = pose(tmp_path, allow=["same_picture_in_splits"], **settings)
    names = {one["id"]: name_of(one["file_name"]) for one in source.coco["images"]}
    expected = {names[one["image_id"]]: one for one in source.coco["annotations"]}
    seen = {}
    for split in ("train", "val"):
        people = data.datasets[split].sources[0]
        for row in range(len(people)):
            name = name_of(people.path(row))
            assert people.path(row).is_file()
            assert name not in seen, "nobody is in two splits"
            seen[name] = split
            points = people.keypoints(row)
            wanted = np.array(expected[name]["keypoints"], dtype=np.float64).reshape(-1, 3)
            np.testing.assert_array_equal(points[:, 2], wanted[:, 2])
            np.testing.assert_allclose(points, np.where(wanted[:, 2:] > 0, wanted, 0), atol=0.01)
            if write not in (tools.cvat_xml,):  # which has no boxes
                np.testing.assert_allclose(people.box[row], expected[name]["bbox"], atol=0.01)
    assert len(seen) == len(expected)
    assert set(seen.values()) == {"train", "val"}
    if not settings:
        assert sorted(seen.values()).count("val") == len({n for n, s in seen.items() if s == "val"})
        last = sorted(names.values())[-3:]
        assert {name for name, split in seen.items() if split == "val"} <= set(last)


@pytest.mark.parametrize(
    ("write", "classes", "settings", "least"),
    [
        (tools.cvat_masks, "labelmap.txt", {"val": 0.25}, 1.0),
        (tools.yolo_segment, "data.yaml", {}, 0.9),
        (tools.coco2017, "annotations/instances_train2017.json", {}, 0.9),
        (tools.cvat_xml, "person.yaml", {"val": 0.25}, 0.9),
        (tools.labelme_masks, "person.yaml", {"val": 0.25}, 0.9),
    ],
)
def test_masks_of_every_tool(
    source: Source,
    tmp_path: Path,
    write: Callable[[Source, Path], None],
    classes: str,
    settings: dict[str, Any],
    least: float,
) -> None:
    write(source, tmp_path)
    (tmp_path / "person.yaml").write_text("classes: [background, Person]")
    data = masks(tmp_path, tmp_path / classes, allow=["same_picture_in_splits"], **settings)
    assert [name.lower() for name in data.classes.names] == ["background", "person"]
    seen = []
    for split in ("train", "val"):
        dataset = data.datasets[split]
        for name in dataset.names.tolist():
            wanted = source.masks[name_of(name)] > 0
            stem = Path(name).with_suffix("").as_posix()
            found = dataset.label_sources[0].read(dataset.folder / name, stem, tools.SIZE) == 1
            union = (found | wanted).sum()
            assert (found & wanted).sum() >= least * union
            seen.append(name_of(name))
        assert dataset[0]["segmentation"].shape == SIZE
    assert sorted(seen) == sorted(source.masks)
    assert data.count_classes().min() > 0
