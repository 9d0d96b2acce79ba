"""People as training and evaluation samples: a crop of the image with its keypoints and dense labels."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.data.coco.people import People
from sapiens2_lit.data.labels.base import LabelSource, stem_of
from sapiens2_lit.data.labels.confidence import KEY, Confidence
from sapiens2_lit.data.labels.warp import read_rasters, warp_rasters
from sapiens2_lit.data.loading import Key, sample_generator, split_key
from sapiens2_lit.data.readers.photograph import Photograph
from sapiens2_lit.data.sample_counter import Tally
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.crop import (
    BOX_PADDING,
    HALF_BODY_PADDING,
    PLAIN,
    CropVariation,
    body_halves,
    crop_affine,
    half_body_box,
)
from sapiens2_lit.transforms.geometric import Affine, is_mirrored, warp_points
from sapiens2_lit.transforms.pixels import channels_first
from sapiens2_lit.transforms.pose import PoseAugmentation
from sapiens2_lit.vocabularies import Skeleton

_REPLACEMENTS = 100  # people tried in place of one that cannot be read
_SHOWN = 10  # people named in messages

_log = logging.getLogger(__name__)


class PoseDataset(Dataset[dict[str, Any]]):
    """Samples of one person each.

    `dataset[(epoch, index)]` and `dataset[index]` (epoch 0) depend only on the arguments.

    Args:
        sources: tables of people; indices run through all of them.
        skeleton: the vocabulary of the returned keypoints.
        image_size: (height, width) of the crop.
        augment: random variation, or None.
        seed: the variation depends on it, and on epoch and index.
        padding: factor on the sides of people's boxes.
        label_sources: for each source its dense labels of the whole images; empty for none.
        skip_bad: whether the next person replaces one whose image or labels cannot be read; `bad` collects these.
            Otherwise they are errors.
        reduced_decoding: whether JPEGs are decoded at a fraction of their size if they are shown no larger.
        confidence: how the keypoints' scores are used, and the masks' confidence if it is among the sources.
    """

    def __init__(
        self,
        sources: Sequence[People],
        skeleton: Skeleton,
        image_size: tuple[int, int],
        *,
        augment: PoseAugmentation | None = None,
        seed: int = 0,
        padding: float = BOX_PADDING,
        label_sources: Sequence[Sequence[LabelSource]] = (),
        skip_bad: bool = False,
        reduced_decoding: bool = False,
        confidence: Confidence | None = None,
    ) -> None:
        self.confidence = confidence
        self.sources = list(sources)
        self.label_sources = list(label_sources) or [()] * len(self.sources)
        self.skeleton = skeleton
        self.image_size = image_size
        self.augment = augment
        self.seed = seed
        self.padding = padding
        self.ends = np.cumsum([len(people) for people in sources])
        self.skip_bad = skip_bad
        self.reduced_decoding = reduced_decoding
        self.bad = Tally(len(self))
        self.halves = body_halves(skeleton)
        self.augment_pixels = None if augment is None else augment.build_pixels()

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def image_paths(self) -> Iterator[Path]:
        """Yield the image of each sample."""
        return (people.path(row) for people in self.sources for row in range(len(people)))

    def __getitem__(self, key: int | Key) -> dict[str, Tensor | str]:
        """Return a sample with the keys of the batch, unbatched; without labels `keypoints` is absent.

        Raises:
            DataError: the image cannot be read, or its size differs from the declared size; it names the image.
            IndexError: there is no such sample; a loop over the dataset ends there.
        """
        epoch, index = split_key(key, len(self))
        if not self.skip_bad:
            return self._make(epoch, index)
        for place in range(index, index + min(len(self), _REPLACEMENTS)):
            try:
                return self._make(epoch, place % len(self))
            except DataError as error:
                if self.bad.note(place % len(self)) and self.bad.count <= _SHOWN:
                    _log.warning("%s Another person takes its place (data.on_bad: skip).", error)
        raise DataError(
            f"{min(len(self), _REPLACEMENTS)} people in a row cannot be read, the first of them "
            f"{self._name(index)}: look at the images."
        )

    def _name(self, index: int) -> str:
        source = int(np.searchsorted(self.ends, index, side="right"))
        people = self.sources[source]
        return name_of(people, index - int(self.ends[source]) + len(people))

    def _make(self, epoch: int, index: int) -> dict[str, Tensor | str]:
        source = int(np.searchsorted(self.ends, index, side="right"))
        people, row = self.sources[source], index - int(self.ends[source]) + len(self.sources[source])
        image = self._read(people, row)
        name = str(people.file_name[people.image[row]])
        rasters = self.label_sources[source]
        labels = read_rasters(rasters, people.path(row), stem_of(name), image.size)
        box = np.array((0, 0, image.size[1], image.size[0])) if people.box is None else people.box[row]
        points, scores = people.keypoints(row), people.scores(row)
        if points is not None and self.confidence is not None:
            points = self.confidence.of_points(points, scores)

        rng = sample_generator(self.seed, epoch, index)
        variation = PLAIN if self.augment is None else self.augment.sample_crop(rng)
        affine = self._crop(people, box, points, variation)
        pixels = image.warp(affine, self.image_size)
        if self.augment_pixels is not None:
            pixels = self.augment_pixels(pixels, rng)

        sample: dict[str, Tensor | str] = {
            "image": channels_first(pixels),
            "box": torch.tensor(box, dtype=torch.float32),
            "box_score": torch.tensor(people.score[row], dtype=torch.float32),
            "image_id": torch.tensor(people.image_id[people.image[row]]),
            "sample_index": torch.tensor(index),
            "affine": torch.tensor(affine, dtype=torch.float32),
            "sample": name_of(people, row),
            **self._warp(rasters, labels, affine),
        }
        if points is not None:
            mapped = warp_points(points, affine, self.image_size, self.skeleton.swap)
            if self.confidence is not None and self.confidence.weight:
                own = scores[np.asarray(self.skeleton.swap)] if is_mirrored(affine) else scores
                sample["keypoint_weight"] = torch.from_numpy(np.where(mapped[:, 2] > 0, own, np.float32(0)))
            sample["keypoints"] = torch.from_numpy(mapped)
        return sample

    def _read(self, people: People, row: int) -> Photograph:
        path = people.path(row)
        image = Photograph(path, self.reduced_decoding)
        declared = tuple(people.image_size[people.image[row]].tolist())
        found = (image.size[1], image.size[0])
        if all(declared) and declared != found:
            turned = (
                " The file is stored turned, with an EXIF orientation." if declared == found[::-1] else ""
            )
            raise DataError(
                f"{path}: the image is {found[0]} x {found[1]} (width x height, upright), its annotation "
                f"file says {declared[0]} x {declared[1]}: its labels would not fit.{turned} Use the image "
                "that was labeled, or correct `width` and `height`."
            )
        return image

    def _warp(
        self, rasters: Sequence[LabelSource], labels: Mapping[str, Any], affine: Affine
    ) -> dict[str, Tensor]:
        warped = warp_rasters(rasters, labels, affine, self.image_size)
        return warped if self.confidence is None or KEY not in warped else self.confidence.apply(warped)

    def _crop(
        self,
        people: People,
        box: npt.NDArray[np.floating],
        points: npt.NDArray[np.float32] | None,
        variation: CropVariation,
    ) -> Affine:
        padding = 1.0 if people.box is None else self.padding  # there is nothing around a whole image
        if variation.half_body is not None and points is not None:
            half = half_body_box(points, self.halves, variation.half_body)
            if half is not None:
                box, padding = half, HALF_BODY_PADDING
        return crop_affine(box, self.image_size, variation, padding=padding)


def name_of(people: People, row: int) -> str:
    """Return the name of a person in messages and results: the image, and the annotation if there is one."""
    annotation = people.annotation_id[row]
    return f"{people.path(row)} annotation {annotation}" if annotation >= 0 else str(people.path(row))
