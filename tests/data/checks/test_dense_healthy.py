"""No false alarm: healthy datasets of all sizes, numbers of people, cameras and codings give no warning."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.data.checks import CHECKS, run_checks
from sapiens2_lit.data.checks.cameras import CameraFacts, CameraLabels
from sapiens2_lit.data.checks.depths import DepthLabels, measure_depth
from sapiens2_lit.data.checks.masks import MaskFacts, MaskLabels
from sapiens2_lit.data.checks.mattes import MatteLabels, measure_shares
from sapiens2_lit.data.checks.normals import NormalLabels, measure_normals
from sapiens2_lit.data.checks.outlines import measure_agreement
from sapiens2_lit.datamodules import (
    DepthDataModule,
    MattingDataModule,
    NormalDataModule,
    PointmapDataModule,
    SegmentationDataModule,
)
from sapiens2_lit.vocabularies import load_classes

VARIATIONS = range(100)


def subject(kind, facts, *more, **settings):
    """A split whose files have these facts."""
    files = [Path(f"{index}.png") for index in range(len(facts))]
    return kind("train", files, files, *more, facts.__getitem__, **settings)


def alarms(*subjects):
    return [
        (finding.check, finding.message)
        for finding in run_checks(subjects, CHECKS, quick=False).findings
        if finding.severity != "note"
    ]


def every_second(seed, values, other):
    return other if seed % 2 else values


@pytest.mark.slow
@pytest.mark.parametrize("seed", VARIATIONS)
def test_healthy_labels_give_no_warning(seed, people, tmp_path):
    rng = np.random.default_rng(seed + 1000)
    pictures = people(seed)
    (tmp_path / "c.yaml").write_text("classes: [background, head, trunk, left_arm, right_arm]")
    ignore = seed % 3 == 0
    masks, normals, depths, mattes, cameras = [], [], [], [], []
    for one in pictures:
        mask = one.mask.copy()
        if ignore:  # borders that do not count
            edge = cv2.morphologyEx(
                (mask > 0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)
            )
            mask[edge > 0] = 255
        masks.append(MaskFacts(np.bincount(mask.ravel(), minlength=256), {}))
        # 8 bits, or exact; the border of people cut off, as by scanners, or not
        stored = np.round((one.normals + 1) / 2 * 255) / 255 * 2 - 1 if seed % 2 else one.normals
        valid = one.valid
        if seed % 4 == 0:
            valid = cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        agreement = measure_agreement(one.normals, stored, valid)
        normals.append(measure_normals(stored, valid, agreement))
        depth = one.depth * (1 + 0.01 * rng.standard_normal(one.depth.shape))  # as sensors measure
        if seed % 3 == 1:  # a room behind people, all of it measured
            v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
            depth = np.where(one.valid, depth, rng.uniform(6, 12) + rng.uniform(-0.01, 0.01) * u + 0.005 * v)
        mm = np.round(depth * 1000).astype(np.uint16)
        values = [depth.astype(np.float32), mm, depth.astype(np.float16)][seed % 3]
        depths.append(measure_depth(values, depth, depth > 0))
        stored_alpha = np.round(one.alpha * [255, 65535][seed % 2]).astype([np.uint8, np.uint16][seed % 2])
        mattes.append(measure_shares(stored_alpha, one.alpha))
        cameras.append(CameraFacts(one.camera[0, 0], one.camera[1, 1], one.depth.shape))
    found = alarms(
        subject(MaskLabels, masks, load_classes(tmp_path / "c.yaml")),
        subject(NormalLabels, normals),
        subject(DepthLabels, depths),
        subject(MatteLabels, mattes),
        subject(CameraLabels, cameras),
    )
    assert found == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_healthy_folders_give_no_warning(seed, people, folder):
    root = folder(people(seed + 500, count=6))
    shared = {"val": None, "num_workers": 0}
    for data in (
        SegmentationDataModule(str(root), (64, 48), str(root / "classes.yaml"), **shared),
        NormalDataModule(str(root), (64, 48), cameras="cameras", **shared),
        NormalDataModule(str(root), (64, 48), **shared),
        DepthDataModule(str(root), (64, 48), cameras="cameras", **shared),
        PointmapDataModule(str(root), (64, 48), cameras="cameras", depths="depths", pointmaps=None, **shared),
        MattingDataModule(str(root), (64, 48), **shared),
    ):
        data.setup("fit")
        assert [one for one in data.report.findings if one.severity != "note"] == []


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 72), (128, 128), (192, 256)])
def test_synthetic_people_give_no_warning(size, tmp_path):
    from sapiens2_lit.synthetic.dataset.dataset import make_dataset
    from sapiens2_lit.synthetic.dataset.manifest import Settings

    tasks = ("segmentation", "normal", "depth", "matting")
    make_dataset(tmp_path, 10, Settings(size=size, tasks=tasks, people=(1, 3)), workers=1, progress=False)
    for kind in (SegmentationDataModule, NormalDataModule, DepthDataModule, MattingDataModule):
        data = kind(str(tmp_path), (64, 48), num_workers=0)
        data.setup("fit")
        assert [one for one in data.report.findings if one.severity != "note"] == []
