"""Prepare the labels of a datamodule for checks."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sapiens2_lit.data.checks import Subject
from sapiens2_lit.data.checks.cameras import CameraFacts, CameraLabels
from sapiens2_lit.data.checks.depths import DepthFacts, DepthLabels, measure_depth
from sapiens2_lit.data.checks.masks import MaskFacts, MaskLabels, measure_mask
from sapiens2_lit.data.checks.mattes import ColorLabels, MatteLabels, ShareFacts, measure_shares
from sapiens2_lit.data.checks.normals import NormalFacts, NormalLabels, measure_normals
from sapiens2_lit.data.checks.outlines import Agreement, measure_agreement
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder, RasterFolder, read_indices, stem_of
from sapiens2_lit.data.labels.camera import CameraFile, CameraFolder, CameraSource
from sapiens2_lit.data.labels.color import AlphaFolder, ColorFolder
from sapiens2_lit.data.labels.depth import DepthFolder, PointmapFolder
from sapiens2_lit.data.labels.field import FieldFolder
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.readers.images import upright_size
from sapiens2_lit.errors import DataError
from sapiens2_lit.geometry import normals_from_points, unproject
from sapiens2_lit.vocabularies import IGNORED

Size = tuple[int, int]
_ASSUMED_ANGLE = 50.0  # degrees of view if no camera is known: the signs of normals do not depend on it
_WHOLE = 0.98  # a picture with normals on a larger share of its pixels has no outline
_LONGEST = 512  # pixels of the longer side at which depth and normals are compared


def label_subjects(
    split: str,
    folder: Path,
    names: Sequence[str],
    labels: Sequence[LabelSource],
    *,
    skip_bad: bool = False,
) -> list[Subject]:
    """Return the subjects that checks examine in the labels of one split.

    Args:
        split: train, val or test.
        folder: folder that names are relative to.
        names: of the images.
        labels: the labels that each image has.
        skip_bad: whether files that cannot be read are left out instead of an error.
    """
    subjects = [_subject(split, folder, names, label, skip_bad) for label in labels]
    return [subject for subject in subjects if subject is not None]


def people_mask_subjects(
    datasets: Mapping[str, PoseDataset], splits: Sequence[str], *, skip_bad: bool = False
) -> list[Subject]:
    """Return `label_subjects` of the masks of people's images, each image once.

    Args:
        datasets: by split.
        splits: the splits to check.
        skip_bad: whether files that cannot be read are left out instead of an error.
    """
    found: list[Subject] = []
    for split in splits:
        for people, labels in zip(datasets[split].sources, datasets[split].label_sources, strict=True):
            names = people.file_name[np.unique(people.image)].tolist()
            found += label_subjects(split, people.folder, names, labels, skip_bad=skip_bad)
    return found


def _subject(
    split: str, folder: Path, names: Sequence[str], label: LabelSource, skip_bad: bool
) -> Subject | None:
    images = [folder / name for name in names]
    stems = [stem_of(name) for name in names]

    def measured(facts: Callable[[Any, Path, str, Size], Any]) -> Callable[[int], Any]:
        return lambda place: facts(label, images[place], stems[place], upright_size(images[place]))

    common: dict[str, Any] = {"images": images, "skip_bad": skip_bad, "training": split == "train"}
    if isinstance(label, CameraFile):
        where, files = f"{split} ({label.path.name})", [label.path] * len(images)
        return CameraLabels(where, files, measure=measured(_camera_facts), **common)
    if not isinstance(label, RasterFolder):
        return None
    common |= {
        "where": f"{split} ({label.folder.name or label.folder.resolve().name})",
        "files": [label.path(stem) for stem in stems],
    }
    if isinstance(label, MaskFolder):
        return MaskLabels(classes=label.classes, measure=measured(_mask_facts), **common)
    if isinstance(label, NormalFolder):
        return NormalLabels(frame=label.frame, measure=measured(_normal_facts), **common)
    if isinstance(label, DepthFolder | PointmapFolder):
        relative = getattr(label, "relative", False)
        return DepthLabels(relative=relative, measure=measured(_depth_facts), **common)
    if isinstance(label, AlphaFolder):
        return MatteLabels(measure=measured(_share_facts), **common)
    if isinstance(label, ColorFolder):
        return ColorLabels(measure=measured(_share_facts), **common)
    if isinstance(label, CameraFolder):
        return CameraLabels(measure=measured(_camera_facts), **common)
    return None


def _mask_facts(label: MaskFolder, image: Path, stem: str, size: Size) -> MaskFacts:
    classes = label.read(image, stem, size)
    values = label.indices(stem)
    if values is None:
        return MaskFacts(np.bincount(classes.ravel(), minlength=256).astype(np.int64), {}, of_classes=True)
    return measure_mask(values, label.path(stem))


def _normal_facts(label: NormalFolder, image: Path, stem: str, size: Size) -> NormalFacts:
    field = label.read(image, stem, size)
    beside = normals_of_depth(label.folder.parent, image, stem, size)
    agreement: Agreement | None = None
    if beside is not None:
        step = -(-max(size) // _LONGEST)
        there, known = beside
        agreement = measure_agreement(
            there, field.values[::step, ::step], known & field.valid[::step, ::step]
        )
    people = None
    if field.valid.mean() > _WHOLE:
        people = _people_beside(label.folder.parent, image, stem, size)
    return measure_normals(field.values, field.valid, agreement, people)


def _people_beside(root: Path, image: Path, stem: str, size: Size) -> np.ndarray[Any, Any] | None:
    """Return where people are (h, w), by the mattes or masks beside normals of whole pictures; None without them."""
    try:
        if (root / "alphas").is_dir():
            people = AlphaFolder(root / "alphas").read(image, stem, size).values[..., 0] > 0.5
        else:
            values = read_indices(root / "masks" / f"{stem}.png")
            people = (values > 0) & (values < IGNORED)
    except DataError:
        return None  # training does not use it
    outside = (
        people.shape == size and 0 < people.mean() < 0.5
    )  # otherwise 0 is not the value of the background
    return people if outside else None


def normals_of_depth(
    root: Path, image: Path, stem: str, size: Size
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]] | None:
    """Return normals of the depth beside them, at reduced size, and where they are known; None without depth.

    Args:
        root: the dataset's folder.
        image: the image.
        stem: its stem.
        size: (height, width) of the image.

    Returns:
        (H, W, 3) and (H, W), thinned out to a few hundred pixels.
    """
    try:
        depth = DepthFolder(root / "depths", relative=True).read(image, stem, size)
        intrinsics = _intrinsics_beside(root, image, stem, size)
    except DataError:
        return None  # no depth, or unusable depth: training does not use it
    step = -(-max(size) // _LONGEST)
    scale = torch.diag(torch.tensor([1 / step, 1 / step, 1.0], dtype=torch.float64))
    values = torch.from_numpy(np.ascontiguousarray(depth.values[::step, ::step, 0]))[None, None]
    valid = torch.from_numpy(np.ascontiguousarray(depth.valid[::step, ::step]))[None, None]
    points = unproject(torch.where(valid, values, 0), (scale @ intrinsics)[None].to(torch.float32))
    normals, known = normals_from_points(points, valid)
    return normals[0].numpy().transpose(1, 2, 0), known[0, 0].numpy()


def _intrinsics_beside(root: Path, image: Path, stem: str, size: Size) -> torch.Tensor:
    place = root / "cameras"
    source: CameraSource
    if place.is_dir():
        source = CameraFolder(place)
        return torch.from_numpy(source.read(image, stem, size))
    focal = max(size) / 2 / np.tan(np.radians(_ASSUMED_ANGLE) / 2)
    middle = [(size[1] - 1) / 2, (size[0] - 1) / 2]
    return torch.tensor([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1]], dtype=torch.float64)


def _depth_facts(label: FieldFolder, image: Path, stem: str, size: Size) -> DepthFacts:
    values = label.stored(image, stem, size)
    field, stored = label.interpret(image, stem, size, values), values[..., -1]
    unit = getattr(label, "unit", None) or 1
    with np.errstate(over="ignore", invalid="ignore"):
        depth = np.where(field.valid, field.values[..., 0], np.abs(stored.astype(np.float32) * unit))
    return measure_depth(stored, depth, field.valid)


def _share_facts(label: FieldFolder, image: Path, stem: str, size: Size) -> ShareFacts:
    values = label.stored(image, stem, size)
    field = label.interpret(image, stem, size, values)
    return measure_shares(values, np.where(field.valid[..., None], field.values, 0))


def _camera_facts(label: CameraSource, image: Path, stem: str, size: Size) -> CameraFacts:
    matrix = label.read(image, stem, size)
    return CameraFacts(float(matrix[0, 0]), float(matrix[1, 1]), size)
