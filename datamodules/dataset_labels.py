"""Which labels several datasets have, in one place."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.coco.ground_truth import PERSONS, join_ground_truths, joined_ids
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import Classes, Skeleton


class DatasetLabels:
    """Answers questions about the labels of several datasets.

    Args:
        datasets: by name.
    """

    def __init__(self, datasets: Mapping[str, ImageDataModule]) -> None:
        self.datasets = dict(datasets)

    @property
    def skeleton(self) -> Skeleton | None:
        """The vocabulary of the datasets with keypoints; None if there are no such datasets.

        Raises:
            SettingError: their vocabularies differ.
        """
        return self._common("skeleton", "keypoints", self._with_keypoints())

    @property
    def classes(self) -> Classes | None:
        """The vocabulary of the datasets with masks; None if there are no such datasets.

        Raises:
            SettingError: their vocabularies differ.
        """
        return self._common("classes", "names", self._with_masks())

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Count the pixels of each class (C,) in the training masks of all datasets that have masks.

        Raises:
            SettingError: there are no masks, or their classes differ.
        """
        if self.classes is None:
            raise SettingError(
                f"data.datasets: none of {', '.join(self.datasets)} has masks to count for class_weights: auto."
            )
        counts = [data.count_classes() for data in self._with_masks().values()]  # type: ignore[attr-defined]  # they have masks
        return np.sum(counts, axis=0)

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]] | None:
        """Return all labeled people of a stage (validate, test) as one COCO dict; None if no dataset has any."""
        labelled = self._with_truth("val" if stage == "validate" else stage)
        truths = [self.datasets[name].ground_truth(stage) for name in labelled]  # type: ignore[attr-defined]  # labelled
        return join_ground_truths(truths) if truths else None

    def for_ground_truth(self, name: str, dataset: str, batch: dict[str, Any]) -> dict[str, Any]:
        """Return an evaluation batch with the ids of `ground_truth`, without ids if its dataset has no labeled people.

        Args:
            name: val or test.
            dataset: name of the batch's dataset.
            batch: the batch as the dataset gives it.
        """
        labelled = self._with_truth(name)
        if dataset in labelled:
            return joined_ids(batch, labelled.index(dataset))
        return {key: value for key, value in batch.items() if key not in PERSONS}

    def check(
        self, heads: Mapping[str, tuple[str, ...]], taught: Collection[str] = (), unlabeled: bool = False
    ) -> None:
        """Check that every head has a dataset to learn from and every dataset a head, by one sample of each.

        Args:
            heads: the labels that each head learns from.
            taught: heads that need no labels, because a teacher gives them.
            unlabeled: whether something learns from images alone.

        Raises:
            SettingError: no dataset has the labels of a head, or no head learns from a dataset.
        """
        found = {name: set(data.datasets["train"][0]) for name, data in self.datasets.items()}
        needed = "; ".join(f"{head} {', '.join(targets)}" for head, targets in heads.items())
        each = "; ".join(f"{name} {', '.join(sorted(keys))}" for name, keys in found.items())
        for head, targets in heads.items():
            if head not in taught and not any(keys.issuperset(targets) for keys in found.values()):
                raise SettingError(
                    f"model.heads.{head}: no dataset has {', '.join(targets)}, which it learns from; they have: {each}."
                )
        for name, keys in found.items():
            if not unlabeled and not any(keys.issuperset(targets) for targets in heads.values()):
                raise SettingError(
                    f"data.datasets.{name}: no head learns from {', '.join(sorted(keys))}; the heads need: {needed}."
                )

    def _with_keypoints(self) -> dict[str, ImageDataModule]:
        return {
            name: data for name, data in self.datasets.items() if _gives(data, "ground_truth", "keypoints")
        }

    def _with_masks(self) -> dict[str, ImageDataModule]:
        """Return the datasets that have masks; the `classes` of others are None."""
        return {name: data for name, data in self.datasets.items() if _gives(data, "classes", "segmentation")}

    def _with_truth(self, name: str) -> list[str]:
        return [key for key, data in self._with_keypoints().items() if name in data.datasets]

    def _common(self, vocabulary: str, names: str, datasets: dict[str, ImageDataModule]) -> Any:
        found = {name: getattr(data, vocabulary) for name, data in datasets.items()}
        if len({getattr(value, names) for value in found.values()}) > 1:
            each = ", ".join(f"{name}: {value.name}" for name, value in found.items())
            raise SettingError(f"data.datasets: their {vocabulary} differ ({each}), expected one for all.")
        return next(iter(found.values()), None)


def _gives(data: ImageDataModule, attribute: str, label: str) -> bool:
    """Whether a dataset has an attribute, and its batches the label that the attribute describes."""
    return getattr(data, attribute, None) is not None and label in getattr(data, "targets", (label,))
