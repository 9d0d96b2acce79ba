"""Segmentation data for Lightning: folders of images and masks in, whole images out."""

from pathlib import Path

from sapiens2_lit.classes import load_classes
from sapiens2_lit.datamodules.base import STAGES, ImageDataModule
from sapiens2_lit.datamodules.dense_dataset import DenseDataset
from sapiens2_lit.datamodules.files import find_folder
from sapiens2_lit.datamodules.images import IMAGE_SUFFIXES, find_images
from sapiens2_lit.datamodules.rasters import MaskFolder
from sapiens2_lit.datamodules.splits import SPLIT_FILES, images_by_stem, split_stems
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.segmentation import RELEASED, SegmentationAugmentation


class SegmentationDataModule(ImageDataModule):
    """Whole images and their class maps, matched by file stem.

    Training sees random views; validation, test and prediction the whole image, its aspect kept and the rest of the
    input black and ignored. A batch holds
        image (B, 3, H, W) uint8: RGB.
        segmentation (B, H, W) int64: class index, 255 where nothing counts; absent in prediction.
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
        predict: what to predict on: an image, a folder or a glob of images; looked up under `root`, then in the working
            directory.
        images: folder under `root` with the images, in folders of its own if you like.
        masks: folder under `root` with a png for each image, of the same stem.
        batch_size: images a batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        augment: random variation of training samples; null for none.
        seed: of order and augmentation; null for the one of `seed_everything`, else 0.

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
        predict: str | None = None,
        images: str = "images",
        masks: str = "masks",
        batch_size: int = 4,
        num_workers: int | None = None,
        augment: SegmentationAugmentation | None = RELEASED,
        seed: int | None = None,
    ) -> None:
        super().__init__(image_size, batch_size, num_workers, seed)
        self.root = Path(root).expanduser()
        self.classes = load_classes(classes or "body29")
        self.splits = {"train": train, "val": val, "test": test}
        self.predict = predict
        self.images = images
        self.masks = masks
        self.augment = augment

    def setup(self, stage: str) -> None:
        """Find the images of a stage (fit, validate, test, predict) and check that each has its mask."""
        if stage != "predict":
            find_folder(self.root, "data.root")
        for name in STAGES[stage]:
            if name in self.datasets or (name == "val" and self.splits["val"] is None):
                continue
            self.datasets[name] = self._read_predict() if name == "predict" else self._read_labelled(name)

    def _read_labelled(self, name: str) -> DenseDataset:
        folder = find_folder(self.root / self.images, "data.images")
        masks = MaskFolder(self.root / self.masks, self.classes)
        found = images_by_stem(folder)
        stems = split_stems(self.root, found, self.splits, name)
        masks.check(stems)
        return DenseDataset(
            folder,
            [found[stem] for stem in stems],
            [masks],
            self.image_size,
            augment=self.augment if name == "train" else None,
            seed=self.seed,
        )

    def _read_predict(self) -> DenseDataset:
        if self.predict is None:
            raise SettingError("data.predict is null: set it to an image, a folder or a glob.")
        places = [base / Path(self.predict).expanduser() for base in (self.root, Path())]
        for place in places:
            if paths := find_images(place):
                return DenseDataset(Path(), [str(path) for path in paths], [], self.image_size)
        raise DataError(
            f"`data.predict` is {self.predict!r}, and there is no such image (looked for "
            f"{', '.join(map(str, dict.fromkeys(places)))}; images end in {', '.join(IMAGE_SUFFIXES)})."
        )
