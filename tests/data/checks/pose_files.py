"""Pose datasets to spoil: four pictures of noise, one person each, as tools write them."""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sapiens2_lit.data.checks import Finding, LabelError
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.metrics import KeypointAP
from sapiens2_lit.vocabularies import load_skeleton

BODY = load_skeleton("coco17").keypoints
Data = dict[str, Any]


def write_pose(
    root: Path,
    change: Callable[[Data], Any] | None = None,
    *,
    names: Sequence[str] = BODY,
    people: int = 4,
    size: tuple[int, int] = (96, 128),
    seed: int = 0,
    file: str = "train.json",
    images: bool = True,
) -> Path:
    """`people` pictures of `size` (width, height), a person on each, whose box is tight but for a margin."""
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    data: Data = {"images": [], "annotations": []}
    data["categories"] = [{"id": 1, "name": "person", "keypoints": list(names)}]
    width, height = size
    for number in range(1, people + 1):
        name = f"{number:04d}.jpg"
        if images:
            pixels = rng.integers(40, 200, (height // 8, width // 8, 3), dtype=np.uint8)
            cv2.imwrite(str(root / "images" / name), cv2.resize(pixels, size))
        start = np.array([rng.uniform(0.1, 0.3) * width, rng.uniform(0.1, 0.2) * height])
        sides = np.array([rng.uniform(0.4, 0.6) * width, rng.uniform(0.6, 0.75) * height])
        place = start + sides * rng.random((len(names), 2))
        points = np.concatenate([place, np.full((len(names), 1), 2.0)], axis=1)
        data["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        data["annotations"].append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [*start.round(1).tolist(), *sides.round(1).tolist()],
                "area": float((0.5 * sides.prod()).round(1)),
                "iscrowd": 0,
                "keypoints": points.round(1).ravel().tolist(),
            }
        )
    if change is not None:
        change(data)
    (root / "annotations" / file).write_text(json.dumps(data))
    return root


def check_pose(root: Path, skeleton: Any = "coco17", **settings: Any) -> list[Finding]:
    """All findings of the checks that `fit` runs, whether they stop or not; without a split to validate on."""
    settings = {"val": None, "num_workers": 0} | settings
    data = PoseDataModule(str(root), skeleton, (64, 48), **settings)
    try:
        data.setup("fit")
    except LabelError as error:
        return list(error.report.findings)
    return list(data.report.findings)


def each(change):
    """The change to every annotation."""
    return lambda data: [change(one) for one in data["annotations"]]


def put(**fields):
    return each(lambda one: one.update(copy.deepcopy(fields)))


def points_of(one):
    return np.reshape(one["keypoints"], (-1, 3)).astype(float)


def with_points(change):
    def apply(one):
        one["keypoints"] = np.asarray(change(points_of(one))).ravel().tolist()

    return each(apply)


def scaled(x, y, *, points=True, boxes=True):
    def apply(one):
        if points:
            one["keypoints"] = (points_of(one) * [x, y, 1]).ravel().tolist()
        if boxes:
            one["bbox"] = (np.array(one["bbox"]) * [x, y, x, y]).tolist()

    return each(apply)


def both(*changes):
    return lambda data: [change(data) for change in changes]


def found(root, name, severity, skeleton="coco17", **settings):
    """The finding of that check, which must be of that severity."""
    findings = check_pose(root, skeleton, **settings)
    named = [one for one in findings if one.check == name]
    assert named, f"{name} is silent; found {[(one.check, one.severity) for one in findings]}"
    assert named[0].severity == severity, named[0]
    return named[0]


def average_precision(root, shift=0.0, **settings):
    data = PoseDataModule(str(root), "coco17", (64, 48), val="train.json", num_workers=0, **settings)
    data.setup("validate")
    truth = data.ground_truth("validate")
    metric = KeypointAP(load_skeleton("coco17"), truth)
    for number, one in enumerate(one for one in truth["annotations"] if one["num_keypoints"]):
        points = torch.tensor(one["keypoints"]).reshape(1, -1, 3).clone()
        points[..., :2] += shift
        points[..., 2] = 1.0
        ids = torch.tensor([one["image_id"]])
        metric.update(points, ids, torch.ones(1), torch.tensor([number]))
    return float(metric.compute()["AP"])


def skeleton_file(root, text):
    path = root / "skeleton.yaml"
    path.write_text(text)
    return str(path)


def rename(change):
    return lambda data: [one.update(file_name=change(one["file_name"])) for one in data["images"]]


def check_pose_raw(root):
    PoseDataModule(str(root), "coco17", (64, 48), val=None, num_workers=0).setup("fit")
