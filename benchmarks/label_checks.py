"""What checks of labels add to the start of `fit`, in CPU seconds: `python benchmarks/label_checks.py --data DIR`.

DIR is a dataset of `sapiens2-lit synth DIR --num 40`. Its pictures stand for COUNT: each copy has bytes of its own, its
labels are links.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sapiens2_lit.datamodules import (
    DepthDataModule,
    MattingDataModule,
    NormalDataModule,
    PoseDataModule,
    SegmentationDataModule,
)
from sapiens2_lit.datamodules.base import ImageDataModule

LABELS = {
    "masks": ".png",
    "normals": ".npy",
    "depths": ".npy",
    "cameras": ".json",
    "alphas": ".png",
    "foregrounds": ".png",
}


def copies(source: Path, root: Path, count: int) -> None:
    """Write `count` pictures that differ in their bytes, with labels, a tenth of them for validation."""
    images = sorted((source / "images").glob("*.jpg"))
    for folder in ("images", "annotations", "splits", *LABELS):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        image = images[index % len(images)]
        data, comment = image.read_bytes(), f"copy {index:06d} " * (1 + index % 50)
        size = (len(comment) + 2).to_bytes(2, "big")
        (root / f"images/{index:06d}.jpg").write_bytes(
            data[:2] + b"\xff\xfe" + size + comment.encode() + data[2:]
        )
        for folder in LABELS:
            found = next((source / folder).glob(f"{image.stem}.*"))
            (root / folder / f"{index:06d}{found.suffix}").symlink_to(found.resolve())
    held = count // 10
    for name, places in (("val", range(held)), ("train", range(held, count))):
        (root / f"splits/{name}.txt").write_text("\n".join(f"{place:06d}" for place in places))
        (root / f"annotations/{name}.json").write_text(json.dumps(coco(source, images, places)))


def coco(source: Path, images: list[Path], places: range) -> dict[str, Any]:
    """The people of the source's pictures, again for each copy."""
    known: dict[str, list[Any]] = {}
    files = [
        json.loads((source / f"annotations/{name}.json").read_text()) for name in ("train", "val", "test")
    ]
    sizes, by_name = {}, {}
    for file in files:
        by_name |= {(one["id"], id(file)): one["file_name"] for one in file["images"]}
        sizes |= {one["file_name"]: one for one in file["images"]}
        for one in file["annotations"]:
            known.setdefault(by_name[one["image_id"], id(file)], []).append(one)
    found: dict[str, Any] = {"images": [], "annotations": [], "categories": files[0]["categories"]}
    for place in places:
        name = images[place % len(images)].name
        found["images"].append({**sizes[name], "id": place, "file_name": f"{place:06d}.jpg"})
        for person in known.get(name, []):
            number = len(found["annotations"]) + 1
            found["annotations"].append({**person, "id": number, "image_id": place})
    return found


def seconds_of(make: Callable[[], ImageDataModule], checks: bool) -> float:
    """CPU seconds of `setup("fit")`, of all threads."""
    data = make()
    data.checks_on_setup = checks
    begun = time.process_time()
    data.setup("fit")
    return time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        copies(options.data, root, options.count)
        kinds: dict[str, Callable[[], ImageDataModule]] = {
            "308 keypoints": lambda: PoseDataModule(str(root), test=None),
            "308 keypoints and masks": lambda: PoseDataModule(str(root), test=None, masks="masks"),
            "masks": lambda: SegmentationDataModule(str(root), test=None),
            "normals": lambda: NormalDataModule(str(root), test=None),
            "depth and cameras": lambda: DepthDataModule(str(root), test=None, cameras="cameras"),
            "mattes": lambda: MattingDataModule(str(root), test=None),
        }
        print(f"{options.count} pictures, {len(os.sched_getaffinity(0))} cores; CPU seconds")
        print("| labels | setup without checks | checks add |\n|---|---|---|")
        for name, make in kinds.items():
            seconds_of(make, checks=False)  # caches of the disk, imports
            without = seconds_of(make, checks=False)
            print(f"| {name} | {without:.2f} | {seconds_of(make, checks=True) - without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
