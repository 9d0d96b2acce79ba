"""Small datasets as `predict --as_dataset` leaves them, made without a model."""

import json
from pathlib import Path

import cv2
import numpy as np

from sapiens2_lit.data.pseudo.origin import Origin
from sapiens2_lit.data.pseudo.samples import hash_of
from sapiens2_lit.vocabularies import load_classes, load_skeleton

SIZE = (40, 30)
NAMES = ("a", "b", "sub/c")


def write_pseudo(root: Path, classes: tuple[str, ...] | None = None, seed: int = 0) -> Path:
    """Three pictures with masks, normals, alphas, one person each, and confidences: left half 0.8, right half 0.4."""
    rng = np.random.default_rng(seed)
    names = classes or load_classes("body29").names
    sure = np.full(SIZE, round(0.4 * 255), np.uint8)
    sure[:, : SIZE[1] // 2] = round(0.8 * 255)
    normal = rng.normal(size=(*SIZE, 3)) - (0, 0, 3)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    people, lines = [], []
    for number, name in enumerate(NAMES, start=1):
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        files = {
            f"images/{name}.png": image,
            f"masks/{name}.png": rng.integers(0, len(names), SIZE, dtype=np.uint8),
            f"normals/{name}.png": np.rint((normal[..., ::-1] + 1) / 2 * 65535).astype(np.uint16),
            f"alphas/{name}.png": rng.integers(0, 256, SIZE, dtype=np.uint8),
            **{f"confidences/{key}/{name}.png": sure for key in ("segmentation", "normal", "alpha")},
        }
        for file, pixels in files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / file), pixels)
        points = np.column_stack([rng.uniform(2, 27, 17), rng.uniform(2, 37, 17), np.full(17, 2)])
        people.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "area": 900,
                "bbox": [1, 1, 28, 38],
            }
            | {
                "keypoints": points.ravel().tolist(),
                "keypoint_scores": np.linspace(0.2, 1, 17).round(3).tolist(),
            }
        )
        path = root / f"images/{name}.png"
        line = {"name": name, "image": f"{name}.png", "bytes": path.stat().st_size, "sha256": hash_of(path)}
        lines.append(json.dumps(line | {"confidence": {"seg": 0.6}}))
    images = [
        {"id": number, "file_name": f"{name}.png", "width": SIZE[1], "height": SIZE[0]}
        for number, name in enumerate(NAMES, start=1)
    ]
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(load_skeleton("coco17").keypoints),
        "skeleton": [],
    }
    (root / "annotations").mkdir()
    (root / "annotations/train.json").write_text(
        json.dumps({"images": images, "annotations": people, "categories": [category]})
    )
    (root / "splits").mkdir()
    (root / "splits/train.txt").write_text("".join(f"{name}\n" for name in NAMES))
    (root / "samples.jsonl").write_text("".join(f"{line}\n" for line in lines))
    heads = {
        "seg": {"label": "segmentation", "folder": "masks", "confidence": "softmax", "classes": list(names)},
        "normal": {"label": "normal", "folder": "normals", "confidence": "flip"},
    }
    Origin({"model": "teacher", "fingerprint": "ab" * 32}, {}, heads, "2026-01-31").ended(len(NAMES)).write(
        root
    )
    return root
