"""Stick figures with exact keypoints, written as a real COCO dataset: for the demo and the tests."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sapiens2_lit.skeletons import load_skeleton

# Rest pose of the 17 COCO keypoints, (x, y) in units of the figure's height; its left is on our right.
REST = np.array(
    [
        [0.0, 0.08], [0.025, 0.06], [-0.025, 0.06], [0.05, 0.075], [-0.05, 0.075],
        [0.12, 0.2], [-0.12, 0.2], [0.16, 0.35], [-0.16, 0.35], [0.18, 0.49], [-0.18, 0.49],
        [0.08, 0.52], [-0.08, 0.52], [0.09, 0.74], [-0.09, 0.74], [0.1, 0.95], [-0.1, 0.95],
    ]
)  # fmt: skip
# (joint, what turns with it, furthest turn in radians)
TURNS = (
    (5, (7, 9), 1.6), (6, (8, 10), 1.6), (7, (9,), 1.2), (8, (10,), 1.2),
    (11, (13, 15), 0.5), (12, (14, 16), 0.5), (13, (15,), 0.6), (14, (16,), 0.6),
)  # fmt: skip
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))


def random_pose(rng: np.random.Generator) -> np.ndarray:
    """Keypoints (17, 2) in units of the figure's height, the whole turned a little."""
    points = REST.copy()
    for joint, moved, furthest in TURNS:
        points[list(moved)] = turn(points[list(moved)], points[joint], rng.uniform(-furthest, furthest))
    return turn(points, points.mean(0), rng.uniform(-0.3, 0.3))


def turn(points: np.ndarray, centre: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return (points - centre) @ np.array([[cos, sin], [-sin, cos]]) + centre


def draw_figure(image: np.ndarray, points: np.ndarray, height: float, rng: np.random.Generator) -> None:
    """Draw a figure whose keypoints lie at `points` (17, 2), in place."""
    skin, shirt, trousers = (tuple(map(int, rng.integers(40, 256, 3))) for _ in range(3))
    xy = [tuple(round(float(value) * 16) for value in point) for point in points]  # 4 fractional bits
    thick = max(1, int(height * 0.045))
    cv2.fillPoly(image, [np.array([xy[5], xy[6], xy[12], xy[11]])], shirt, cv2.LINE_AA, shift=4)
    for a, b in LIMBS:
        cv2.line(image, xy[a], xy[b], shirt if a < 11 else trousers, thick, cv2.LINE_AA, shift=4)
    for index in (9, 10, 15, 16):
        cv2.circle(image, xy[index], int(height * 0.6), skin, -1, cv2.LINE_AA, shift=4)
    cv2.circle(image, xy[0], int(height * 1.0), skin, -1, cv2.LINE_AA, shift=4)
    for index in (1, 2):
        cv2.circle(image, xy[index], max(8, int(height * 0.12)), (20, 20, 20), -1, cv2.LINE_AA, shift=4)


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """One figure before a gradient: RGB image (H, W, 3), keypoints (17, 3), box [x, y, w, h]."""
    height, width = size
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    image = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    image = (image * 0.7 + rng.integers(0, 40, image.shape)).astype(np.uint8)
    tall = rng.uniform(0.6, 0.8) * min(height, width * 1.2)
    points = random_pose(rng) * tall
    low, high = points.min(0) - tall * 0.08, points.max(0) + tall * 0.08
    room = np.array([width, height]) - (high - low)
    points += rng.uniform(0, 1, 2) * np.maximum(room, 0) - low
    draw_figure(image, points, tall, rng)
    low, high = points.min(0) - tall * 0.06, points.max(0) + tall * 0.06
    return image, np.c_[points, np.full(17, 2.0)], [*low.tolist(), *(high - low).tolist()]


def write_dataset(
    root: Path, counts: dict[str, int], size: tuple[int, int] = (256, 192), seed: int = 0
) -> None:
    """Write `root/images` and `root/annotations/SPLIT.json` with `counts[SPLIT]` figures of (height, width)."""
    skeleton = load_skeleton("coco17")
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.links],
    }
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    number = 0
    for split, count in counts.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for _ in range(count):
            number += 1
            name = f"{number:06d}.jpg"
            image, keypoints, box = draw_scene(np.random.default_rng([seed, number]), size)
            cv2.imwrite(str(root / "images" / name), image[..., ::-1])
            images.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1,
                    "keypoints": keypoints.ravel().round(2).tolist(),
                    "num_keypoints": 17,
                    "bbox": [round(value, 2) for value in box],
                    "area": round(box[2] * box[3], 2),
                    "iscrowd": 0,
                }
            )
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
