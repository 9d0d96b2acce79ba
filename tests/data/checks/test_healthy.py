"""No false alarm: healthy files of many kinds neither stop nor warn."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pose_files import check_pose

from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.vocabularies import load_skeleton

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"


def alarms(root, skeleton="coco17", **settings):
    findings = check_pose(root, skeleton, **settings)
    return [one for one in findings if one.stops or one.warns]


def body(rng, width, height):
    """Points of a standing person as people label them: in the picture, most of them visible."""
    plan = np.array(
        [(50, 8), (47, 6), (53, 6), (44, 7), (56, 7), (35, 22), (65, 22), (28, 38), (72, 38), (25, 52), (75, 52)]
        + [(41, 52), (59, 52), (40, 73), (60, 73), (40, 95), (60, 95)]
    ) / 100  # fmt: skip
    tall = rng.uniform(0.15, 0.9) * height
    wide = tall * rng.uniform(0.3, 0.7)
    start = rng.uniform([-0.05 * wide, -0.05 * tall], [max(1, width - wide), max(1, height - tall)])
    place = start + (plan + rng.normal(0, 0.02, plan.shape)) * [wide, tall]
    inside = ((place >= 0) & (place <= [width - 1, height - 1])).all(axis=1)
    seen = inside & (rng.random(17) < rng.uniform(0.5, 1))
    points = np.where(seen[:, None], np.c_[place, rng.integers(1, 3, 17)], 0)
    low, high = np.clip(start, 0, None), np.minimum(start + [wide, tall], [width, height])
    return points.round(int(rng.integers(0, 4))), [*low.tolist(), *(high - low).tolist()]


def healthy(root, seed):
    """A random correct file: sizes, counts, crowds, people without points, categories, fields left out."""
    rng = np.random.default_rng(seed)
    width, height = int(rng.integers(48, 800)), int(rng.integers(48, 800))
    count = int(rng.integers(1, 12))
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    data = {"images": [], "annotations": []}
    data["categories"] = [{"id": 1, "name": "person", "keypoints": list(load_skeleton("coco17").keypoints)}]
    if rng.random() < 0.3:
        data["categories"].append({"id": 2, "name": "dog", "supercategory": "animal"})
    with_areas, with_crowd, with_sizes = rng.random(3) < 0.7
    for image in range(count):
        name = f"{image:06d}.png"
        cv2.imwrite(str(root / "images" / name), np.zeros((height, width, 3), dtype=np.uint8))
        size = {"width": width, "height": height} if with_sizes else {}
        data["images"].append({"id": image, "file_name": name, **size})
        for _ in range(int(rng.integers(1, 5))):
            points, box = body(rng, width, height)
            one = {"id": len(data["annotations"]), "image_id": image, "category_id": 1}
            one |= {"bbox": box, "keypoints": points.ravel().tolist()}
            if with_areas:
                one["area"] = float(rng.uniform(0.2, 0.9) * box[2] * box[3])
            if with_crowd:
                one["iscrowd"] = 0
            data["annotations"].append(one)
    first = data["annotations"][0]
    first["keypoints"][:3] = [first["bbox"][0] + 1, first["bbox"][1] + 1, 2]  # somebody to train on
    (root / "annotations/train.json").write_text(json.dumps(data))
    return root


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 100, 10))
def test_random_healthy_files_give_no_warning(tmp_path, start):
    for seed in range(start, start + 10):
        found = alarms(healthy(tmp_path / str(seed), seed))
        assert not found, (seed, found)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 72), (160, 120), (256, 192)])
@pytest.mark.parametrize("skeleton", ["coco17", "coco_wholebody133", "sociopticon308"])
def test_synthetic_people_give_no_warning(tmp_path_factory, size, skeleton):
    root = synthetic(tmp_path_factory, size)
    found = alarms(root, skeleton, val="val.json")
    assert not found, found


_made: dict[tuple[int, int], Path] = {}


def synthetic(factory, size):
    if size not in _made:
        _made[size] = factory.mktemp("people")
        make_dataset(_made[size], 24, Settings(size=size), workers=1, progress=False)
    return _made[size]


def blank_images(root, data):
    """The pictures of a file, blank, of the declared sizes."""
    for image in data["images"]:
        path = root / "images" / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((image["height"], image["width"], 3), 90, dtype=np.uint8))


def vocabulary(root, data):
    """A skeleton file for a public file: its own names, or numbers with some pairs where it has none."""
    names, swaps = data["categories"][0].get("keypoints"), {}
    if not names:
        names = [f"p{number}" for number in range(len(data["annotations"][0]["keypoints"]) // 3)]
        swaps = {"swaps": [["p0", "p16"]]}
    path = root / "skeleton.json"
    path.write_text(json.dumps({"keypoints": names, **swaps}))
    return str(path)


def vary(data, rng):
    """A healthy variation: some of the people, shifted by up to a pixel within the box, other field forms."""
    count = int(rng.integers(1, len(data["annotations"]) + 1))
    kept = sorted(rng.choice(len(data["annotations"]), count, replace=False).tolist())
    annotations = [data["annotations"][place] for place in kept]
    for one in annotations:
        if rng.random() < 0.3:
            one["id"] = float(one["id"])
        if rng.random() < 0.3:
            one["iscrowd"] = False
        if rng.random() < 0.3:
            one["keypoints"] = [float(value) for value in one["keypoints"]]
    return {**data, "annotations": annotations}


if SHARED.is_dir():  # the files of others are no part of the project: without them there is nothing to test
    PUBLIC = sorted((SHARED / "public").glob("*.json"))
    TINY = SHARED / "coco_wholebody_tiny"

    @pytest.mark.parametrize("file", ["person_keypoints.json", "wholebody.json"])
    @pytest.mark.parametrize("skeleton", ["coco17", "coco_wholebody133", "sociopticon308"])
    def test_real_photographs_give_no_warning(tmp_path, file, skeleton):
        (tmp_path / "annotations").mkdir()
        (tmp_path / "annotations/train.json").write_text((TINY / file).read_text())
        found = alarms(tmp_path, skeleton, images=str((TINY / "images").resolve()))
        assert not found, found

    @pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
    def test_public_files_give_no_warning(tmp_path, path):
        data = json.loads(path.read_text())
        (tmp_path / "annotations").mkdir()
        blank_images(tmp_path, data)
        skeleton = vocabulary(tmp_path, data)
        box = "label" if "bbox" in data["annotations"][0] else "keypoints"
        rng = np.random.default_rng(0)
        for variation in range(12):
            varied = data if variation == 0 else vary(json.loads(path.read_text()), rng)
            (tmp_path / "annotations/train.json").write_text(json.dumps(varied))
            found = alarms(tmp_path, skeleton, box=box)
            assert not found, (variation, found)

    def test_names_of_real_files_are_known_or_told(tmp_path):
        """Right Shoulder is right_shoulder; of a fly's points one is known, by chance."""
        (tmp_path / "annotations").mkdir()
        for name, skeleton, expected in (
            ("aic", "coco17", []),
            ("fly", "sociopticon308", ["few_known_points"]),
            ("humanart", "coco17", []),
            ("crowdpose", "coco17", []),
        ):
            data = json.loads((SHARED / f"public/test_{name}.json").read_text())
            blank_images(tmp_path, data)
            (tmp_path / "annotations/train.json").write_text(json.dumps(data))
            assert [one.check for one in alarms(tmp_path, skeleton)] == expected, name
