"""Segmentation data for Lightning: folders of images and masks in, whole images out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.class_counts import count_classes
from sapiens2_lit.data.datasets.backgrounds import Backgrounds, MaskCutout
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder, stem_of
from sapiens2_lit.data.splits import SPLIT_FILES
from sapiens2_lit.datamodules.base import OnBad
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.segmentation import RELEASED, SegmentationAugmentation
from sapiens2_lit.vocabularies import load_classes


class SegmentationDataModule(DenseDataModule):
    """Whole images and their class maps, matched by file stem.

    Training sees random views; validation and test the whole image, its aspect kept and the rest of the
    input black and ignored. A batch holds
        image (B, 3, H, W) uint8: RGB.
        segmentation (B, H, W) int64: class index, 255 where nothing counts.
        affine (B, 2, 3) float32: original pixel -> input pixel.
        counted (B,) bool, in evaluation by several processes alone: False for samples that another one counts.
        sample, a list of str: the image, for messages.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        classes: the vocabulary of the masks, by name or file. Null means that of the segmentation head on the command
            line, else `body29`.
        train: file with the stems to train on, one a line, looked up under `root`, then under `root`/splits. Where none
            of the three files is there, images are split by hash: 80 % to train, 10 % to validate, 10 % to test.
        val: those to validate on; null for no validation.
        test: those to test on.
        images: folder under `root` with the images, in folders of its own if you like.
        masks: folder under `root` with a png for each image, of the same stem.
        backgrounds: folder under `root`, or an absolute one, with photographs without people: what is of the
            background's class in training samples is replaced by parts of them; null for none.
        background_probability: how often, where there are `backgrounds`.
        min_valid: least number of pixels that must count; samples with fewer are left out, counted and reported.
        batch_size: images a batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        augment: random variation of training samples; null for none.
        seed: of order and augmentation; null for the one of `seed_everything`, else 0.
        allow: names of checks of labels whose findings are meant: they neither stop nor warn.
        on_bad: what to do with single samples that cannot be used: `error` to stop, `skip` to leave them out and count
            them.

    Raises:
        SettingError, DataError: naming the setting or the file, what was found and what was expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        classes: str | None = None,
        *,
        train: str | None = SPLIT_FILES["train"],
        val: str | None = SPLIT_FILES["val"],
        test: str | None = SPLIT_FILES["test"],
        images: str = "images",
        masks: str = "masks",
        backgrounds: str | None = None,
        background_probability: float = 0.8,
        min_valid: int = 16,
        batch_size: int = 4,
        num_workers: int | None = None,
        augment: SegmentationAugmentation | None = RELEASED,
        seed: int | None = None,
        allow: Sequence[str] = (),
        on_bad: OnBad = "error",
    ) -> None:
        super().__init__(
            root,
            image_size,
            train=train,
            val=val,
            test=test,
            images=images,
            valids=None,
            min_valid=min_valid,
            batch_size=batch_size,
            num_workers=num_workers,
            augment=augment,
            seed=seed,
            allow=allow,
            on_bad=on_bad,
        )
        self.classes = load_classes(classes or "body29")
        self.masks = masks
        self.backgrounds = backgrounds
        self.background_probability = background_probability

    def find_labels(self) -> list[LabelSource]:
        return [MaskFolder(self.root / self.masks, self.classes)]

    def count_classes(self) -> npt.NDArray[np.int64]:
        """(C,) pixels of each class in the training masks, of 2000 of them at most; after `setup("fit")`."""
        masks, names = self.datasets["train"].label_sources[0], self.datasets["train"].names.tolist()
        return count_classes([(masks, stem_of(name)) for name in names], self.classes.num_classes)

    def find_backgrounds(self) -> Backgrounds | None:
        if self.backgrounds is None:
            return None
        if self.classes.background is None:
            raise SettingError(
                f"data.backgrounds is {self.backgrounds!r}, but {self.classes.name} has no background: name the "
                "class by `background` in its file."
            )
        cutout = MaskCutout(self.classes.background)
        return Backgrounds(self.root / self.backgrounds, cutout, self.background_probability)
