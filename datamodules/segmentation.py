"""Segmentation data for Lightning: it reads folders of images and masks and gives whole images."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.class_counts import count_classes
from sapiens2_lit.data.datasets.backgrounds import Backgrounds, MaskCutout
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder, stem_of
from sapiens2_lit.data.layouts.find import SplitFinder
from sapiens2_lit.data.layouts.pictures import Pictures, read_pictures
from sapiens2_lit.data.pseudo.mask_classes import mask_classes
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.splits import SPLIT_FILES
from sapiens2_lit.datamodules.dense import DenseDataModule
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.segmentation import RELEASED, SegmentationAugmentation
from sapiens2_lit.vocabularies import load_classes

_MASKS = "masks"  # the default folder; labels of tools are looked for only if it is not changed


class SegmentationDataModule(DenseDataModule):
    """Whole images and their class maps, matched by file stem.

    Besides the keys of `DenseDataModule`, a batch holds
        segmentation (B, H, W) int64: class index, 255 ignored.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        classes: the vocabulary of the masks, by name or file. Null for the vocabulary of the segmentation head on the
            command line, else `body29`.
        masks: folder under `root` with a png for each image, of the same stem. If it does not exist, the folders of
            labeling tools are recognized. `train` may also name their labels: a COCO file, a YOLO data.yaml, an
            annotations.xml of CVAT, a folder of LabelMe, or a list of CVAT's Segmentation mask.
        backgrounds: folder under `root`, or an absolute one, with photographs without people: parts of them replace the
            background class in training samples; null for none.
        background_probability: probability of another background, with `backgrounds`.
        augment: random variation of training samples; null for none.
        shared: the settings of `DenseDataModule`.

    Raises:
        SettingError, DataError: a setting or file is wrong; the message says what was found and expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        classes: str | None = None,
        *,
        masks: str = _MASKS,
        backgrounds: str | None = None,
        background_probability: float = 0.8,
        augment: SegmentationAugmentation | None = RELEASED,
        **shared: Any,
    ) -> None:
        super().__init__(root, image_size, augment=augment, valids=None, **shared)
        self.classes = load_classes(classes or "body29")
        self.masks = masks
        self.backgrounds = backgrounds
        self.background_probability = background_probability

    def find_pictures(self, name: str) -> Pictures | None:
        finder = SplitFinder(self.root, self.splits, SPLIT_FILES, "masks")
        if self._has_own_masks(finder):
            return None
        file_of = "train" if self.held_out is not None and name == "val" else name
        if self.splits[file_of] is None:
            raise SettingError(f"data.{name} is null: set it to labels under {self.root}.")
        part = finder.find(file_of)
        choose = self.choose_pictures(name, part.path, self.group_by)
        skip = self.on_bad == "skip"
        return read_pictures(part, self.root, self.images, self.classes, skip_bad=skip, choose=choose)

    def split_exists(self, name: str) -> bool:
        finder = SplitFinder(self.root, self.splits, SPLIT_FILES, "masks")
        if self._has_own_masks(finder):
            return super().split_exists(name)
        return (self.held_out is not None and name != "test") or finder.exists(name)

    def _has_own_masks(self, finder: SplitFinder) -> bool:
        """Whether masks are a folder in the kit's format: it exists or is set, or there are no labels of a tool."""
        if finder.names_tool():
            return False
        return self.masks != _MASKS or (self.root / _MASKS).is_dir() or not finder.finds_tool()

    def find_labels(self) -> list[LabelSource]:
        return [MaskFolder(self.root / self.masks, mask_classes(self.root, self.classes))]

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Count the pixels of each class (C,) in at most 2000 training masks; after `setup("fit")`."""
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
        folder = open_root(str(self.root / self.backgrounds), self.shards)
        return Backgrounds(folder, cutout, self.background_probability)
