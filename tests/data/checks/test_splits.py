"""The same picture in two splits is found by its file, its bytes and, in a whole pass, by how it looks."""

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.checks import CHECKS, run_checks
from sapiens2_lit.data.checks.splits import Splits


def picture(seed, size=(120, 90)):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), size, interpolation=cv2.INTER_CUBIC)


def write(folder, seeds, suffix="png", **settings):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed}.{suffix}" for seed in seeds]
    for seed, path in zip(seeds, paths, strict=True):
        cv2.imwrite(str(path), picture(seed, **settings))
    return paths


def names(files, quick=True):
    found = run_checks([Splits("splits", files)], CHECKS, quick=quick).findings
    return {one.check: one.count for one in found}


def test_different_pictures_are_no_finding(tmp_path):
    files = {"train": write(tmp_path / "a", range(20)), "val": write(tmp_path / "b", range(20, 40))}
    assert names(files, quick=False) == {}


def test_the_same_file_and_the_same_bytes(tmp_path):
    train = write(tmp_path / "a", range(6))
    assert names({"train": train, "val": train[:2]}) == {"same_file_in_splits": 2}
    val = write(tmp_path / "b", range(4, 9))
    assert names({"train": train, "val": val}) == {"same_picture_in_splits": 2}
    assert names({"train": train, "val": [], "test": val}) == {"same_picture_in_splits": 2}


@pytest.mark.parametrize(
    "settings", [{"suffix": "jpg"}, {"size": (180, 135)}, {"suffix": "jpg", "size": (90, 68)}]
)
def test_another_size_or_compression_is_found_by_a_whole_pass(tmp_path, settings):
    files = {"train": write(tmp_path / "a", range(8)), "val": write(tmp_path / "b", range(4, 12), **settings)}
    assert names(files) == {}
    found = names(files, quick=False)
    assert found.keys() == {"similar_picture_in_splits"}
    assert found["similar_picture_in_splits"] >= 3


def test_blank_pictures_are_not_all_the_same(tmp_path):
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((40, 30, 3), 90, dtype=np.uint8))
    files = {"train": [tmp_path / "a.png"], "val": [tmp_path / "b.png"]}
    assert names(files, quick=False) == {}
