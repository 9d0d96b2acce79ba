"""Endless synthetic people for Lightning, generated during training, with exact labels for every task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.datasets.synthetic import (
    TARGETS,
    SyntheticDataset,
    build_ground_truth,
    find_source,
)
from sapiens2_lit.datamodules.base import STAGES, ImageDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.frame import ANGLES, FIELDS_OF_VIEW, MOST_PEOPLE
from sapiens2_lit.vocabularies import load_classes, load_skeleton

# Where the indices of a stage begin: training never reaches the pictures of validation and test.
_STARTS = {"train": 0, "val": 1 << 40, "test": 1 << 41}
_COUNTED = 32  # pictures in which classes are counted, and their size: takes seconds in all
_COUNTED_SIZE = (192, 144)


class SyntheticDataModule(ImageDataModule):
    """Whole pictures of synthetic people, new ones in every epoch; nothing is read from disk.

    A batch holds the keys of docs/conventions.md: `image`, the `targets`, and always `valid`, `intrinsics`, `affine`
    (the identity), `box`, `score`, `image_id`, `person` and `sample`. Keypoints and box belong to the largest person in
    the picture; dense labels show all people.

    Args:
        image_size: (height, width) of the pictures.
        skeleton: the vocabulary of the keypoints, by name or file; known points are found by name. Null for the
            vocabulary of the pose head on the command line, else `sociopticon308`.
        targets: the labels, out of keypoints, segmentation, normal, pointmap, depth, albedo, alpha, foreground.
        people: least and greatest number of people in a picture, 20 at most.
        field_of_view: least and greatest vertical field of view of the cameras, in degrees.
        samples_per_epoch: pictures per epoch, over all ranks.
        val_samples: pictures to validate on, always the same; training does not use them.
        test_samples: pictures to test on, different from both.
        batch_size: pictures per batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        seed: another seed gives other people; null for the seed of `seed_everything`, else 0.
        moves_ahead: whether, on CUDA, a thread copies the next training batch to the device while the current step
            computes; the device then holds one batch more.

    Raises:
        SettingError: a setting is wrong; the message names it, what was found and what was expected.
    """

    new_every_epoch = True

    def __init__(
        self,
        image_size: tuple[int, int] = (1024, 768),
        skeleton: str | None = None,
        targets: Sequence[str] = TARGETS,
        people: tuple[int, int] = (1, 1),
        field_of_view: tuple[float, float] = FIELDS_OF_VIEW,
        *,
        samples_per_epoch: int = 1024,
        val_samples: int = 64,
        test_samples: int = 64,
        batch_size: int = 16,
        num_workers: int | None = None,
        seed: int | None = None,
        moves_ahead: bool = True,
    ) -> None:
        super().__init__(image_size, batch_size, num_workers, seed, moves_ahead=moves_ahead)
        if self.seed < 0:
            raise SettingError(f"data.seed is {self.seed}, expected 0 or more.")
        counts = {
            "samples_per_epoch": samples_per_epoch,
            "val_samples": val_samples,
            "test_samples": test_samples,
        }
        for name, value in counts.items():
            if value < 1:
                raise SettingError(f"data.{name} is {value}, expected 1 or more.")
        if not 1 <= people[0] <= people[1] <= MOST_PEOPLE:
            raise SettingError(
                f"data.people is {people}, expected the least and the greatest number, from 1 to {MOST_PEOPLE}."
            )
        if not ANGLES[0] <= field_of_view[0] <= field_of_view[1] <= ANGLES[1]:
            raise SettingError(
                f"data.field_of_view is {field_of_view}, expected the least and the greatest angle, from {ANGLES[0]} "
                f"to {ANGLES[1]} degrees."
            )
        if not targets or (unknown := sorted(set(targets) - set(TARGETS))):
            found = ", ".join(unknown) if targets else "empty"
            raise SettingError(f"data.targets: {found}; expected some of {', '.join(TARGETS)}.")
        self.skeleton = load_skeleton(skeleton or "sociopticon308")
        find_source(self.skeleton)  # a vocabulary without a known point is an error here, not in a worker
        self.classes = load_classes("body29")
        self.targets = tuple(targets)
        self.people = (people[0], people[1])
        self.field_of_view = (field_of_view[0], field_of_view[1])
        self.counts = {"train": samples_per_epoch, "val": val_samples, "test": test_samples}

    def setup(self, stage: str) -> None:
        """Make the datasets of a stage: fit, validate or test."""
        for name in STAGES[stage]:
            self.datasets.setdefault(
                name,
                SyntheticDataset(
                    self.counts[name],
                    self.image_size,
                    self.skeleton,
                    self.targets,
                    self.people,
                    self.field_of_view,
                    self.seed,
                    _STARTS[name],
                ),
            )

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Count the pixels of each class (C,) in small versions of at most 32 training pictures."""
        length = min(_COUNTED, self.counts["train"])
        few = SyntheticDataset(
            length,
            _COUNTED_SIZE,
            self.skeleton,
            ("segmentation",),
            self.people,
            self.field_of_view,
            self.seed,
        )
        counts = sum(
            np.bincount(few.frame(index).segmentation.ravel(), minlength=256) for index in range(length)
        )
        return np.asarray(counts)[: self.classes.num_classes]

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]]:
        """Return the largest person of each picture of a stage as a COCO dict in the skeleton's vocabulary.

        The stage is validate or test. It renders these pictures, because only the render shows boxes and visibility.

        Raises:
            SettingError: the stage was not set up, or is train, which has no end.
        """
        name = "val" if stage == "validate" else stage
        if name not in self.datasets or name == "train":
            raise SettingError(
                f"no ground truth for '{stage}': expected validate or test after setup(), found "
                f"{sorted(self.datasets)}."
            )
        return build_ground_truth(self.datasets[name])
