"""Pools of pictures, and of scores without pictures, for the tests of curation."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.picture import COLUMNS
from sapiens2_lit.curation.shards import VERSION, Header, shard_file, write_shard

RGB = npt.NDArray[np.uint8]


def textured(seed: int, size: tuple[int, int] = (48, 40)) -> RGB:
    """A picture like no other: large and small patches of color."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def write_picture(path: Path, image: RGB, quality: int = 95) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), image[..., ::-1], options)


def write_pool(root: Path, count: int) -> list[str]:
    """Pictures in two folders; their names, sorted."""
    names = [f"{'ab'[index % 2]}/{index:03}.png" for index in range(count)]
    for index, name in enumerate(names):
        write_picture(root / name, textured(index))
    return sorted(names)


def variants(image: RGB) -> dict[str, RGB]:
    """The same picture once more: encoded again, at half size, cropped by two pixels on each side."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    height, width = image.shape[:2]
    return {
        "encoded": np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8),
        "half": np.asarray(
            cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA), dtype=np.uint8
        ),
        "cropped": image[2:-2, 2:-2],
    }


def rows_of(points: npt.NDArray[np.float32]) -> list[dict[str, Any]]:
    """Rows of made-up pictures, all different, with these embeddings."""
    random = np.random.default_rng(1)
    return [
        {
            "path": f"{index:05}.jpg", "bytes": 1000 + index, "sha256": f"{index:064x}", "width": 64, "height": 64,
            "short_side": 64, "sharpness": index / len(points), "phash": random.bytes(8).hex(),
            "phash256": random.bytes(32).hex(), "embedding": point.astype(np.float16),
        }
        for index, point in enumerate(points)
    ]  # fmt: skip


def write_scores(folder: Path, rows: list[dict[str, Any]], shards: int = 1) -> list[Path]:
    """Rows as `curate score` writes them, in shards."""
    columns = {**COLUMNS, "embedding": "embedding"}
    for shard in range(shards):
        header = Header(VERSION, str(folder), shard, shards, "", {})
        own = rows[shard * len(rows) // shards : (shard + 1) * len(rows) // shards]
        write_shard(shard_file(folder, shard), header, columns, own)
    return [shard_file(folder, shard) for shard in range(shards)]


def blobs(
    sizes: tuple[int, ...], dimensions: int = 16
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Points around as many orthogonal directions, and which one each is around."""
    random = np.random.default_rng(0)
    which = np.repeat(np.arange(len(sizes)), sizes)
    points = np.eye(dimensions)[which] + 0.05 * random.normal(size=(len(which), dimensions))
    order = random.permutation(len(which))
    return points[order].astype(np.float32), which[order]
