"""Small COCO datasets on disk, of 17 keypoints, drawn on the spot; synthetic people with every label."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.vocabularies import load_skeleton

Dataset = dict[str, Any]


def person(annotation_id: int, image_id: int, rng: np.random.Generator) -> dict[str, Any]:
    x, y = rng.uniform(5, 40, 2)
    points = np.stack([x + rng.uniform(0, 50, 17), y + rng.uniform(0, 60, 17), np.full(17, 2)], axis=1)
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "bbox": [float(x), float(y), 50.0, 60.0],
        "area": 1500.0,
        "iscrowd": 0,
        "keypoints": points.round(2).ravel().tolist(),
        "num_keypoints": 17,
    }


def write_dataset(
    root: Path,
    people: int = 6,
    images: int = 3,
    change: Callable[[Dataset], Any] | None = None,
    names: tuple[str, ...] = ("train.json", "val.json"),
) -> Path:
    """`people` on `images` photographs of noise; `change` may spoil the annotations before writing."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    for index in range(images):
        pixels = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((120, 100)).save(root / "images" / f"{index}.jpg")
    data = {
        "images": [
            {"id": 10 + index, "file_name": f"{index}.jpg", "width": 120, "height": 100}
            for index in range(images)
        ],
        "annotations": [person(100 + index, 10 + index % images, rng) for index in range(people)],
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(load_skeleton("coco17").keypoints), "skeleton": []}
        ],
    }
    if change is not None:
        change(data)
    for name in names:
        (root / "annotations" / name).write_text(json.dumps(data))
    return root


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset: `dataset(people=6, images=3, change=None, names=...) -> its root`."""
    return lambda **settings: write_dataset(tmp_path / "data", **settings)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten synthetic pictures with all labels, as `sapiens2-lit synth` writes them."""
    root = tmp_path_factory.mktemp("people")
    make_dataset(root, 10, Settings(size=(64, 48)), workers=1, progress=False)
    return root
