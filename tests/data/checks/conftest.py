"""Pictures of people made of ellipsoids, with exact labels of every dense task, in many variations."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

# Center above the feet, radii and class of each part of a body that looks along -z, in meters.
_BODY = [
    ((0.0, 1.6, 0.0), (0.1, 0.13, 0.11), 1),
    ((0.0, 1.15, 0.0), (0.2, 0.33, 0.13), 2),
    ((0.28, 1.1, 0.0), (0.06, 0.35, 0.06), 3),
    ((-0.28, 1.1, 0.0), (0.06, 0.35, 0.06), 4),
    ((0.1, 0.45, 0.0), (0.08, 0.48, 0.09), 2),
    ((-0.1, 0.45, 0.0), (0.08, 0.48, 0.09), 2),
]
CLASSES = "{name: body, classes: [background, head, trunk, left_arm, right_arm]}"


@dataclass
class Picture:
    """All labels of one picture, in the camera's frame (x right, y down, z forward), meters."""

    image: np.ndarray
    mask: np.ndarray  # (h, w) class
    normals: np.ndarray  # (h, w, 3)
    depth: np.ndarray  # (h, w), 0 for none
    alpha: np.ndarray  # (h, w) in 0..1
    camera: np.ndarray  # (3, 3)

    @property
    def valid(self) -> np.ndarray:
        return self.depth > 0


def draw(rng: np.random.Generator, size: tuple[int, int], people: int) -> Picture:
    """People at random places, some cut by the border, some before others."""
    height, width = size
    angle = np.radians(rng.uniform(20, 75))
    focal = max(size) / 2 / np.tan(angle / 2)
    middle = np.array([width - 1, height - 1]) / 2 + rng.uniform(-0.02, 0.02, 2) * max(size)
    camera = np.array([[focal, 0, middle[0]], [0, focal * rng.uniform(0.98, 1.02), middle[1]], [0, 0, 1]])
    v, u = np.mgrid[:height, :width].astype(float)
    rays = np.stack([u, v, np.ones(size)], axis=-1) @ np.linalg.inv(camera).T
    depth, mask = np.full(size, np.inf), np.zeros(size, np.uint8)
    normals = np.zeros((*size, 3))
    for _ in range(people):
        far = rng.uniform(0.9, 2.5) * 1.8 * focal / max(size)  # a body fills 40 to 110 % of the picture
        feet = np.array([rng.uniform(-0.35, 0.35) * width / focal * far, 0.9, far])
        feet[1] += rng.uniform(-0.3, 0.3)
        yaw = rng.uniform(-np.pi, np.pi)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, -1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        for center, radii, kind in _BODY:
            shape = turn @ np.diag(1 / np.square(radii)) @ turn.T
            place = feet + turn @ np.array(center)
            a = np.einsum("hwi,ij,hwj->hw", rays, shape, rays)
            b = rays @ shape @ place
            under = b**2 - a * (place @ shape @ place - 1)
            z = (b - np.sqrt(np.maximum(under, 0))) / a
            hit = (under > 0) & (z > 0.05) & (z < depth)
            depth[hit], mask[hit] = z[hit], kind
            out = (rays * z[..., None] - place) @ shape
            normals[hit] = (out / np.linalg.norm(out, axis=-1, keepdims=True))[hit]
    valid = np.isfinite(depth)
    alpha = cv2.GaussianBlur(valid.astype(np.float32), (0, 0), rng.uniform(0.6, 1.2))
    image = rng.integers(30, 220, (*size, 3), dtype=np.uint8)
    return Picture(image, mask, normals, np.where(valid, depth, 0), alpha, camera)


def draw_set(seed: int, count: int | None = None, longest: int = 150) -> list[Picture]:
    """A dataset of its own size of pictures, number of pictures and of people; each class is somewhere."""
    rng = np.random.default_rng(seed)
    size = tuple(int(side) for side in rng.integers(64, longest, 2))
    more = (count or int(rng.integers(5, 9))) - 1
    return [draw(rng, size, 2), *(draw(rng, size, int(rng.choice([0, 1, 1, 1, 2, 3]))) for _ in range(more))]


def write(root: Path, pictures: list[Picture]) -> Path:
    """The pictures as folders that the datamodules read."""
    for name in ("images", "masks", "normals", "depths", "alphas", "cameras", "splits"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "classes.yaml").write_text(CLASSES)
    for index, one in enumerate(pictures):
        stem = f"{index:04d}"
        cv2.imwrite(str(root / f"images/{stem}.png"), one.image)
        cv2.imwrite(str(root / f"masks/{stem}.png"), one.mask)
        cv2.imwrite(str(root / f"alphas/{stem}.png"), np.round(one.alpha * 255).astype(np.uint8))
        np.save(root / f"normals/{stem}.npy", one.normals.astype(np.float32))
        np.save(root / f"depths/{stem}.npy", one.depth.astype(np.float32))
        (root / f"cameras/{stem}.json").write_text(json.dumps({"intrinsics": one.camera.tolist()}))
    (root / "splits/train.txt").write_text("\n".join(f"{index:04d}" for index in range(len(pictures))))
    return root


@pytest.fixture(scope="session")
def people() -> Callable[..., list[Picture]]:
    """`people(seed)`: a healthy dataset in memory."""
    return draw_set


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[list[Picture]], Path]:
    """`folder(pictures)`: they are on disk."""
    return lambda pictures: write(tmp_path, pictures)


@pytest.fixture(scope="session")
def eight() -> list[Picture]:
    """Eight pictures of 120 x 90; treat them as immutable."""
    rng = np.random.default_rng(3)
    return [draw(rng, (120, 90), 1 + index % 2) for index in range(8)]


@pytest.fixture(scope="session")
def changed() -> Callable[..., list[Picture]]:
    """`changed(pictures, depth=lambda one: ...)`: the same with other labels."""

    def change(pictures: list[Picture], **how: Callable[[Picture], np.ndarray]) -> list[Picture]:
        return [replace(one, **{key: make(one) for key, make in how.items()}) for one in pictures]

    return change
