"""Pose datasets to spoil: four pictures of noise, one person each, as tools write them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapiens2_lit.data.checks import Finding, LabelError
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.skeletons import load_skeleton

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
