"""Draw samples for the page of `sapiens2-lit check`: photographs with labels, and what the network sees."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from sapiens2_lit.data.checks import Sampling, Subject
from sapiens2_lit.data.checks.finding import counted
from sapiens2_lit.data.datasets.dense import DenseDataset
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.labels.base import LabelSource, stem_of
from sapiens2_lit.data.labels.normal import NormalFolder
from sapiens2_lit.data.labels.subjects import normals_of_depth
from sapiens2_lit.data.labels.warp import read_rasters, warp_rasters
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.errors import SapiensError
from sapiens2_lit.report.check_views import (
    Picture,
    Sample,
    keypoints_view,
    label_views,
    miss_of_camera,
    shrink_to,
    valid_view,
)
from sapiens2_lit.visualization.draw_dense import draw_normals

HEIGHT, WIDTH = 400, 560  # pixels of a view at most
_EPOCHS = 16  # number of epochs to search for a mirrored view
_BOX = (255, 190, 0)


@dataclass(frozen=True)
class CheckedData:
    """The data of one datamodule.

    Attributes:
        name: Of the dataset if there are several, else empty.
        datasets: By split.
        subjects: What the checks look at.
        sample: `sample(split, index, epoch)` returns a sample as the network sees it.
        skeleton: Vocabulary of the keypoints, or None.
        classes: Vocabulary of the masks, or None.
        taught: What is taught, in a few lines.
    """

    name: str
    datasets: Mapping[str, Any]
    subjects: Sequence[Subject]
    sample: Callable[[str, int, int], Sample]
    skeleton: Any = None
    classes: Any = None
    taught: str = ""


@dataclass
class Row:
    """One sample on the page: its file, pictures by title, and facts."""

    name: str
    views: dict[str, Picture] = field(default_factory=dict)
    facts: list[str] = field(default_factory=list)


def original_rows(data: CheckedData, split: str, count: int) -> Iterator[Row]:
    """Yield photographs of a split with their labels, evenly spaced.

    Args:
        data: Of the datamodule.
        split: Its name.
        count: Number of photographs.
    """
    dataset = data.datasets[split]
    if isinstance(dataset, DenseDataset):
        for index in Sampling(count).pick(range(len(dataset))):
            yield _tried(str(dataset.folder / str(dataset.names[index])), _dense_row, dataset, index, data)
    elif isinstance(dataset, PoseDataset):
        images = [
            (source, int(image))
            for source, people in enumerate(dataset.sources)
            for image in np.unique(people.image)
        ]
        for source, image in Sampling(count).pick(images):
            people = dataset.sources[source]
            name = str(people.folder / str(people.file_name[image]))
            yield _tried(name, _pose_row, dataset, source, image, data)


def network_rows(data: CheckedData, split: str, count: int) -> Iterator[Row]:
    """Yield samples of a split as the network sees them; training samples in two epochs and once mirrored.

    Args:
        data: Of the datamodule.
        split: Its name.
        count: Number of samples.
    """
    for index in Sampling(count).pick(range(len(data.datasets[split]))):
        yield _tried(f"{split} {index}", _network_row, data, split, index)


def _tried(name: str, make: Callable[..., Row], *args: Any) -> Row:
    """Return a row, or the error that prevents it from being drawn; the checks report errors of single files."""
    try:
        return make(*args)
    except SapiensError as error:
        return Row(name, facts=[str(error)])


def _network_row(data: CheckedData, split: str, index: int) -> Row:
    first = data.sample(split, index, 0)
    row = Row(str(first.get("sample", f"{split} {index}")))
    _add_seen(row, first, data, "epoch 0" if split == "train" else "as seen")
    if split != "train" or getattr(data.datasets[split], "augment", None) is None:
        return row
    for epoch in range(1, _EPOCHS):
        sample = data.sample(split, index, epoch)
        mirrored = is_mirrored(sample["affine"])
        if epoch == 1 or mirrored:
            _add_seen(row, sample, data, f"epoch {epoch}")
        if mirrored and epoch > 1:
            break
    return row


def _add_seen(row: Row, sample: Sample, data: CheckedData, when: str) -> None:
    how = f"{when}: {_say_affine(sample['affine'])}"
    views = {
        title: view
        for title, view in label_views(sample, data.skeleton, data.classes).items()
        if "lit" not in title
    }
    row.views |= {f"{title}, {how}": _fit(view) for title, view in views.items()}
    if (seen := valid_view(sample)) is not None:
        row.views[f"{seen[1]:.0%} valid, {when}"] = _fit(seen[0])
    if "keypoints" in sample:
        points = sample["keypoints"]
        row.facts.append(
            f"{when}: {int((points[:, 2] > 0).sum())} of {len(points)} points are labeled in the crop"
        )


def is_mirrored(affine: torch.Tensor) -> bool:
    """Return whether an affine (2, 3) mirrors."""
    return bool(torch.det(affine[:, :2]) < 0)


def _say_affine(affine: torch.Tensor) -> str:
    matrix = affine[:, :2].double().numpy()
    scale = math.sqrt(abs(np.linalg.det(matrix)))
    mirrored = np.linalg.det(matrix) < 0
    turn = math.degrees(math.atan2(matrix[1, 0], -matrix[0, 0] if mirrored else matrix[0, 0]))
    parts = ["mirrored"] if mirrored else []
    parts += [f"turned by {abs(turn):.0f}°"] if abs(turn) >= 0.5 else []
    return ", ".join([*parts, f"scale {scale:.2f}"])


# --------------------------------------------------------------- photographs with labels


def _dense_row(dataset: DenseDataset, index: int, data: CheckedData) -> Row:
    name = str(dataset.names[index])
    path = dataset.folder / name
    sample, size = scaled_sample(path, stem_of(name), dataset.label_sources)
    row = Row(str(path), facts=[f"{size[1]} x {size[0]} pixels"])
    row.views["photograph"] = image_of(sample)
    row.views |= {
        title: _fit(view) for title, view in label_views(sample, data.skeleton, data.classes).items()
    }
    row.views |= _normals_beside(path, stem_of(name), dataset.label_sources, size, sample)
    if (miss := miss_of_camera(sample)) is not None:
        row.facts.append(f"points are {miss:.2f} pixels (median) from where the camera sees them")
    return row


def _normals_beside(
    path: Path, stem: str, sources: Sequence[LabelSource], size: tuple[int, int], sample: Sample
) -> dict[str, Picture]:
    """Return the normals of the depth beside normals, in their colors: both pictures must look alike."""
    for source in sources:
        if isinstance(source, NormalFolder):
            beside = normals_of_depth(source.folder.parent, path, stem, size)
            if beside is not None:
                normals = np.where(beside[1][..., None], beside[0], 0).astype(np.float32)
                image = image_of(sample)
                small = np.asarray(
                    cv2.resize(normals, image.shape[1::-1], interpolation=cv2.INTER_NEAREST), dtype=np.float32
                )
                return {"normals of the depth beside, to compare": _fit(draw_normals(image, small))}
    return {}


def _pose_row(dataset: PoseDataset, source: int, image: int, data: CheckedData) -> Row:
    people = dataset.sources[source]
    name = str(people.file_name[image])
    path = people.folder / name
    sample, size = scaled_sample(path, stem_of(name), dataset.label_sources[source])
    scale = sample["image"].shape[2] / size[1]
    rows = np.flatnonzero(people.image == image)
    picture = image_of(sample)
    for one in rows:
        points = people.keypoints(int(one))
        if points is not None:
            scaled = np.concatenate([(points[:, :2] + 0.5) * scale - 0.5, points[:, 2:]], axis=1)
            picture = keypoints_view(picture, scaled, dataset.skeleton)
        if people.box is not None:
            draw_box(picture, people.box[one] * scale)
    row = Row(
        str(path),
        {"people": picture},
        [f"{size[1]} x {size[0]} pixels", counted(len(rows), "person", "people")],
    )
    row.views |= {title: _fit(view) for title, view in label_views(sample, None, data.classes).items()}
    return row


def scaled_sample(
    path: Path, stem: str, sources: Sequence[LabelSource], height: int = HEIGHT, width: int = WIDTH
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Return a shrunk image with its labels, with the keys of a batch, and its (height, width) on disk.

    Args:
        path: Of the image.
        stem: Its name in the dataset.
        sources: Of the labels.
        height: Largest height in pixels.
        width: Largest width in pixels.

    Raises:
        DataError: Naming the file that cannot be read.
    """
    image = read_image(path)
    size = (image.shape[0], image.shape[1])
    labels = read_rasters(sources, path, stem, size)
    small = shrink_to(image, height, width)
    across, down = small.shape[1] / size[1], small.shape[0] / size[0]
    affine = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    warped = warp_rasters(sources, labels, affine, (small.shape[0], small.shape[1]))
    picture = torch.from_numpy(np.ascontiguousarray(small.transpose(2, 0, 1)))
    return {"image": picture, **warped}, size


def image_of(sample: Sample) -> Picture:
    """Return the image of a sample, RGB (H, W, 3)."""
    return np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())


def draw_box(picture: Picture, box: npt.NDArray[np.floating]) -> None:
    """Draw a box into a picture, in place.

    Args:
        picture: RGB (H, W, 3).
        box: (4,) x, y, width, height.
    """
    if not np.isfinite(box).all():
        return
    x, y, right, bottom = (
        np.clip([box[0], box[1], box[0] + box[2], box[1] + box[3]], -9999, 9999).round().astype(int)
    )
    cv2.rectangle(picture, (int(x), int(y)), (int(right), int(bottom)), _BOX, 2, cv2.LINE_AA)


def _fit(picture: Picture) -> Picture:
    return shrink_to(picture, HEIGHT, WIDTH)
