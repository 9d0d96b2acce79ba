"""Whole images with dense labels as training and evaluation samples."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.data.datasets.backgrounds import Backgrounds
from sapiens2_lit.data.labels.base import LabelSource, stem_of
from sapiens2_lit.data.labels.confidence import Confidence
from sapiens2_lit.data.labels.warp import (
    count_invalid,
    fewest_seen,
    fewest_valid,
    hide,
    read_rasters,
    say_invalid,
    warp_rasters,
)
from sapiens2_lit.data.loading import Key, sample_generator, split_key
from sapiens2_lit.data.readers.photograph import Photograph
from sapiens2_lit.data.sample_counter import Tally
from sapiens2_lit.errors import DataError
from sapiens2_lit.transforms.geometric import Affine
from sapiens2_lit.transforms.pixels import PixelFunction, channels_first
from sapiens2_lit.transforms.whole_image import ImageView, fit_affine

_VIEWS = 10  # largest number of views drawn until one shows enough labels
_REPLACEMENTS = 100  # samples in a row without labels, after which the labels as a whole must be wrong
_SHOWN = 10  # samples that warnings name, each once

_log = logging.getLogger(__name__)


class Augmentation(Protocol):
    """Random variation of the views and the pixels of whole images."""

    def choose(
        self,
        image_size: tuple[int, int],
        size: tuple[int, int],
        labels: Mapping[str, Any],
        rng: np.random.Generator,
        view: ImageView = "letterbox",
    ) -> Affine:
        """Return the affine of one sample, image pixel -> input pixel."""
        ...

    def build_pixels(self) -> PixelFunction:
        """Return a picklable function that varies an RGB uint8 image (H, W, 3) by a generator."""
        ...


class DenseDataset(Dataset[dict[str, Any]]):
    """Samples of whole images, each with a label of every kind.

    `dataset[(epoch, index)]` and `dataset[index]` (epoch 0) depend only on the arguments.

    If fewer than `min_valid` pixels of a label are valid, training uses another sample instead, and evaluation ignores
    all its pixels. If a view shows fewer, up to ten other views are drawn; after that the whole image is shown.

    Attributes:
        skipped: samples with too few valid pixels, among those that were read.
        bad: samples that cannot be read, with `skip_bad`.
        invalid: samples with NaN, infinity and the like (`FieldFolder.no_value`) where labels should be valid; these
            pixels are ignored.

    Args:
        folder: folder that names are relative to.
        names: of the images.
        label_sources: the labels that each image has.
        image_size: (height, width) of the input.
        training: whether samples may be replaced.
        augment: random variation, or None for the whole image, as large as it fits.
        backgrounds: to put behind people, or None.
        seed: the variation depends on it, and on epoch and index.
        min_valid: least number of valid pixels.
        skip_bad: whether samples that cannot be read are left out and reported: training uses another sample instead,
            evaluation another one with all its pixels ignored.
        view: whether whole images keep their aspect (`letterbox`) or fill the input (`stretch`).
        reduced_decoding: whether JPEGs are decoded at a fraction of their size if they are shown no larger.
        confidence: how the labels' confidence is used, which is then among `label_sources`.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        label_sources: Sequence[LabelSource],
        image_size: tuple[int, int],
        *,
        training: bool = False,
        augment: Augmentation | None = None,
        backgrounds: Backgrounds | None = None,
        seed: int = 0,
        min_valid: int = 0,
        skip_bad: bool = False,
        view: ImageView = "letterbox",
        reduced_decoding: bool = False,
        confidence: Confidence | None = None,
    ) -> None:
        self.confidence = confidence
        self.folder = folder
        self.names = np.array(
            names
        )  # an array, not a list: worker processes would copy a list's strings one by one
        self.label_sources = list(label_sources)
        self.image_size = image_size
        self.training = training
        self.augment = augment
        self.backgrounds = backgrounds
        self.seed = seed
        self.min_valid = min_valid
        self.skip_bad = skip_bad
        self.bad = Tally(len(self.names))
        self.view = view
        self.reduced_decoding = reduced_decoding
        self.skipped = Tally(len(self.names))
        self.invalid = Tally(len(self.names))
        self.augment_pixels = None if augment is None else augment.build_pixels()

    def __len__(self) -> int:
        return len(self.names)

    def image_paths(self) -> Iterator[Path]:
        """Yield the image of each sample."""
        return (self.folder / str(name) for name in self.names)

    def __getitem__(self, key: int | Key) -> dict[str, Tensor | str]:
        """Return a sample with the keys of the batch, unbatched.

        Raises:
            DataError: the image or a label cannot be read; it names the file.
            IndexError: there is no such sample; a loop over the dataset ends there.
        """
        epoch, index = split_key(key, len(self))
        rng = sample_generator(self.seed, epoch, index)
        replaced = False
        for place in range(index, index + min(len(self), _REPLACEMENTS)):
            made = self._try(place % len(self), rng)
            if made is None:
                replaced = True
                continue
            sample, enough = made
            if not self.training and (replaced or not enough):
                return {**sample, **hide(sample)}
            if enough:
                return sample
        raise DataError(
            f"{self.folder}: none of {min(len(self), _REPLACEMENTS)} samples in a row has {self.min_valid} valid "
            f"pixels (data.min_valid), such as {self.folder / str(self.names[index])}: look at the "
            f"labels, and at data.valids{self._or_confidence()}."
        )

    def _or_confidence(self) -> str:
        least = 0.0 if self.confidence is None else self.confidence.min
        return f", or lower data.confidence.min ({least:g})" if least > 0 else ""

    def _try(self, index: int, rng: np.random.Generator) -> tuple[dict[str, Any], bool] | None:
        """Return the result of `_make`, or None if the sample cannot be read and may be left out."""
        try:
            return self._make(index, rng)
        except DataError as error:
            if not self.skip_bad:
                raise
            if self.bad.note(index) and self.bad.count <= _SHOWN:
                _log.warning("%s; left out (data.on_bad: skip).", error)
            return None

    def _make(self, index: int, rng: np.random.Generator) -> tuple[dict[str, Any], bool]:
        """Return a sample, and whether it has enough valid pixels."""
        name = str(self.names[index])
        path = self.folder / name
        image = Photograph(path, self.reduced_decoding)
        labels = read_rasters(self.label_sources, path, stem_of(name), image.size)
        self._note(index, path, labels)
        affine, warped, enough = self._choose(image.size, labels, rng)
        pixels = image.warp(affine, self.image_size)
        if self.backgrounds is not None:
            pixels = self.backgrounds.replace(pixels, warped, rng)
        if self.augment_pixels is not None:
            pixels = self.augment_pixels(pixels, rng)
        if not enough:
            self._skip(index, path)
        sample = {
            "image": channels_first(pixels),
            "affine": torch.tensor(affine, dtype=torch.float32),
            "sample": str(path),
            **warped,
        }
        return sample, enough

    def _choose(
        self, size: tuple[int, int], labels: Mapping[str, Any], rng: np.random.Generator
    ) -> tuple[Affine, dict[str, Tensor], bool]:
        """Return a view that shows enough of the labels, the labels in it, and whether it shows enough."""
        few = fewest_valid(labels, self.label_sources)
        tries = 0 if self.augment is None else _VIEWS if few is not None and few >= self.min_valid else 1
        for view in range(tries + 1):
            if self.augment is not None and view < tries:
                affine = self.augment.choose(size, self.image_size, labels, rng, self.view)
            else:
                affine = fit_affine(size, self.image_size, view=self.view)
            warped = warp_rasters(self.label_sources, labels, affine, self.image_size)
            if self.confidence is not None:
                warped = self.confidence.apply(warped)
            seen = fewest_seen(warped)
            enough = few is None or seen is None or min(few, seen) >= self.min_valid
            if enough:
                break
        return affine, warped, enough

    def _note(self, index: int, path: Path, labels: Mapping[str, Any]) -> None:
        if (pixels := count_invalid(labels)) and self.invalid.note(index) and self.invalid.count <= _SHOWN:
            what = say_invalid(self.label_sources)
            _log.warning("%s: %d pixels of its labels are %s; they are ignored.", path, pixels, what)

    def _skip(self, index: int, path: Path) -> None:
        if self.skipped.note(index) and self.skipped.count <= _SHOWN:
            what = "another sample takes its place" if self.training else "none of them does"
            _log.warning(
                "%s: fewer than %d pixels are valid (data.min_valid); %s.", path, self.min_valid, what
            )
