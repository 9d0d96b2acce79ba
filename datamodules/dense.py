"""What the datamodules of dense tasks share: they read folders of images and labels and give whole images."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sapiens2_lit.data.checks import Sampling, Subject
from sapiens2_lit.data.checks.photographs import Photographs
from sapiens2_lit.data.checks.report import QUICK_FILES
from sapiens2_lit.data.checks.splits import Splits
from sapiens2_lit.data.checks.taught_dense import describe_labels
from sapiens2_lit.data.datasets.backgrounds import Backgrounds
from sapiens2_lit.data.datasets.dense import Augmentation, DenseDataset
from sapiens2_lit.data.files import file_places, find_folder, find_root
from sapiens2_lit.data.held_out import FOLDER, PICTURE, folder_keys, read_share, split_off
from sapiens2_lit.data.labels.base import LabelSource, RasterFolder, stem_of
from sapiens2_lit.data.labels.confidence import Confidence, ConfidenceFolder
from sapiens2_lit.data.labels.field import ValidFolder
from sapiens2_lit.data.labels.layers import choose_layers
from sapiens2_lit.data.labels.subjects import label_subjects
from sapiens2_lit.data.labels.warp import say_invalid
from sapiens2_lit.data.layouts.pictures import Pictures
from sapiens2_lit.data.pseudo.merge import without
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.data.splits import SPLIT_FILES, images_by_stem, not_for_testing, read_fold, split_stems
from sapiens2_lit.datamodules.base import STAGES, ImageDataModule, OnBad
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.whole_image import ImageView, check_view

_SHOWN_STEMS = 10

_log = logging.getLogger(__name__)


class DenseDataModule(ImageDataModule, ABC):
    """Whole images and their dense labels, matched by file stem.

    Training uses random views; validation and test use the whole image. A subclass says which labels there are. Besides
    the labels, a batch holds
        image (B, 3, H, W) uint8: RGB.
        affine (B, 2, 3) float32: original pixel -> input pixel.
        evaluated (B,) bool, only in evaluation by several processes: False for samples that another rank evaluates.
        sample, a list of str: the image, for messages.

    Args:
        root: the dataset's folder.
        image_size: (height, width) of the input.
        view: how whole images fit the input: `letterbox` keeps their aspect and fills the rest with ignored black
            pixels; `stretch` fills the input, as in the training of the released segmentation models. It belongs to the
            model: checkpoints keep it, and prediction and exports use it.
        train: file with the stems to train on, one per line, looked up under `root`, then under `root`/splits. If none
            of the three files exists, images are split by hash: 80 % to train, 10 % to validate, 10 % to test.
        val: file with the stems to validate on, or a share of the training images, such as 0.1, chosen by hash; null
            for no validation.
        test: file with the stems to test on.
        fold: cross-validation: `0/5` validates on the first of five parts of all images that are not for testing,
            chosen by hash, and trains on the others; null for none.
        group_by: what stays together when a share is split off: `picture`, or `folder` if each person or video has a
            folder; null for pictures.
        images: folder under `root` with the images; it may have subfolders.
        valids: folder under `root` with a png for each image, 0 where labels are invalid; null to use none. The default
            is used only if it exists.
        layer: layer or channel to read from exr files with several passes, such as ViewLayer.Normal, or one for each
            label ({alpha: Combined.A, foreground: Combined}); null for the only one that fits.
        min_valid: least number of valid pixels; samples with fewer are left out, counted and reported.
        batch_size: images per batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        augment: random variation of training samples; null for none.
        seed: of order and augmentation; null for the seed of `seed_everything`, else 0.
        allow: names of label checks whose findings are intended: they neither stop nor warn.
        on_bad: what to do with single samples that cannot be used: `error` stops, `skip` leaves them out and counts
            them.
        reduced_decoding: whether training JPEGs that are shown at half their size or less are decoded at 1/2, 1/4 or
            1/8 of it; their pixels then differ by a few of 255 levels.
        confidence: how training uses the confidence of labels that a model predicted (`predict --as_dataset`): pixels
            with less than `min` are ignored, and with `weight` the loss of each pixel is multiplied by its confidence;
            null to use all labels alike.
        shards: how packed data are read; no effect on folders.
        moves_ahead: whether, on CUDA, a thread copies the next training batch to the device while the current step
            computes; the device then holds one batch more.

    Raises:
        SettingError, DataError: a setting or file is wrong; the message says what was found and expected.
    """

    takes_parts = True

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        *,
        view: ImageView = "letterbox",
        train: str | None = SPLIT_FILES["train"],
        val: float | str | None = SPLIT_FILES["val"],
        test: str | None = SPLIT_FILES["test"],
        fold: str | None = None,
        group_by: str | None = None,
        images: str = "images",
        valids: str | None = "valids",
        layer: str | dict[str, str] | None = None,
        min_valid: int = 16,
        batch_size: int = 4,
        num_workers: int | None = None,
        augment: Augmentation | None = None,
        seed: int | None = None,
        allow: Sequence[str] = (),
        on_bad: OnBad = "error",
        reduced_decoding: bool = True,
        confidence: Confidence | None = None,
        moves_ahead: bool = True,
        shards: ShardReading = ShardReading(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(
            image_size, batch_size, num_workers, seed, allow, on_bad, confidence, moves_ahead, shards
        )
        self.reduced_decoding = reduced_decoding
        if min_valid < 0:
            raise SettingError(f"data.min_valid is {min_valid}, expected a number of pixels, 0 or more.")
        self.view = view
        self.check_view()
        self.root = open_root(root, shards)
        self.share = read_share(val)
        self.splits = {"train": train, "val": val if isinstance(val, str) else None, "test": test}
        self.fold = read_fold(fold)
        self.group_by = group_by
        self.images = images
        self.valids = valids
        self.layer = layer
        self.min_valid = min_valid
        self.augment = augment
        self._subjects: list[Subject] = []

    def check_view(self) -> None:
        """Check that the view exists and suits the labels.

        Raises:
            SettingError: there is no such view, or the labels do not allow it.
        """
        check_view(self.view)

    @abstractmethod
    def find_labels(self) -> list[LabelSource]:
        """Return the kinds of labels that every image of train, val and test has.

        Raises:
            SettingError, DataError: a folder is missing, or settings contradict each other.
        """

    def find_pictures(self, name: str) -> Pictures | None:
        """Return the pictures of a split with labels in the format of a labeling tool; None for label folders."""
        return None

    def find_backgrounds(self) -> Backgrounds | None:
        """Return the backgrounds to put behind people in training; None for none."""
        return None

    def has_split(self, name: str) -> bool:
        return (name == "val" and self.held_out is not None) or self.splits.get(name, "") is not None

    def split_exists(self, name: str) -> bool:
        if self.held_out is not None and name != "test":
            return True
        file = self.splits[name]
        if file is None or any(path.is_file() for path in file_places(self.root, file, ("", "splits"))):
            return file is not None
        try:
            return bool(split_stems(self.root, images_by_stem(self.root / self.images), self.splits, name))
        except DataError:  # the file is not there, or the split by hash gets no image
            return False

    def setup(self, stage: str) -> None:
        """Find the images of a stage (fit, validate, test) and check that each has its labels."""
        find_root(self.root)
        new = []
        for name in STAGES[stage]:
            if name in self.datasets or (name == "val" and not self.has_split(name)):
                continue
            self.datasets[name] = self._read_labelled(name)
            new.append(name)
        self.run_quick_checks(new)

    def check_subjects(self, names: Sequence[str]) -> list[Subject]:
        found: list[Subject] = []
        for name in names:
            data = self.datasets[name]
            skip = self.on_bad == "skip"
            image_names = data.names.tolist()
            found += label_subjects(name, data.folder, image_names, data.label_sources, skip_bad=skip)
            where = f"{name} ({self.images})"
            found.append(Photographs(where, data.folder, image_names, None, read_image, self.on_bad))
        self._subjects = found
        if len(self.datasets) > 1:
            files = {name: [data.folder / one for one in data.names] for name, data in self.datasets.items()}
            found = [*found, Splits(" and ".join(self.datasets), files)]
        return found

    def describe(self) -> str:
        sizes = [f"{name} {len(data)}" for name, data in self.datasets.items()]
        lines = ["What is taught:", f"  {self.root}: pictures: {', '.join(sizes)}"]
        training = [one for one in self._subjects if getattr(one, "training", False)]
        return "\n".join(lines + describe_labels(training, Sampling(QUICK_FILES)))

    def teardown(self, stage: str) -> None:
        """Report how many samples were left out, or had values that are ignored."""
        for name in STAGES.get(stage, ()):
            dataset = self.datasets.get(name)
            if isinstance(dataset, DenseDataset):
                _report(name, dataset)

    def find_valids(self) -> ValidFolder | None:
        """Return the folder that says where labels are valid; None if the default folder does not exist."""
        if self.valids is None or (self.valids == "valids" and not (self.root / self.valids).exists()):
            return None
        return ValidFolder(self.root / self.valids)

    def _read_labelled(self, name: str) -> DenseDataset:
        pictures = self.find_pictures(name)
        own = pictures is None
        if pictures is None:
            folder = find_folder(self.root / self.images, "data.images")
            labels = self.find_labels()
            found = images_by_stem(folder)
            stems = self._stems(found, name)
        else:
            folder, labels = pictures.folder, pictures.labels
            found = {stem_of(one): one for one in pictures.names}
            stems = list(found)
        choose_layers(labels, self.layer)
        confidence = self.confidence if name == "train" else None
        if confidence is not None:
            labels = [*labels, ConfidenceFolder(self.root, labels[0].key)]
        if name == "train":
            stems = without(stems, self.labelled_elsewhere, self.root)
        if self.on_bad == "skip":
            stems = _labeled(name, stems, labels)
        for label in labels:
            label.check(stems)
            if own and isinstance(label, RasterFolder) and not self.datasets:  # once, not for every split
                _warn_of_labels_without_image(label, found)
        return DenseDataset(
            folder,
            [found[stem] for stem in stems],
            labels,
            self.image_size,
            training=name == "train",
            augment=self.augment if name == "train" else None,
            backgrounds=self.find_backgrounds() if name == "train" else None,
            seed=self.seed,
            min_valid=self.min_valid,
            skip_bad=self.on_bad == "skip",
            view=self.view,
            reduced_decoding=self.reduced_decoding and name == "train",
            confidence=confidence,
        )

    def _stems(self, found: Mapping[str, str], name: str) -> list[str]:
        """Return the stems of a split: from its file, by hash, or the part chosen by `fold` or by a share as `val`."""
        held_out = self.held_out
        if held_out is None or name == "test":
            return split_stems(self.root, found, self.splits, name)
        if self.fold is None:
            pool = not_for_testing(self.root, found, self.splits)
        else:
            pool = split_stems(self.root, found, self.splits, "train")
            if self.splits["val"] is not None:
                pool = [*pool, *split_stems(self.root, found, self.splits, "val")]
        stems = sorted(set(pool))
        setting = f"data.{'val' if self.fold is None else 'fold'} {held_out}"
        if self.group_by not in (None, PICTURE, FOLDER):
            raise SettingError(f"data.group_by is {self.group_by!r}, expected {PICTURE} or {FOLDER}.")
        keys = folder_keys([found[stem] for stem in stems], self.group_by or PICTURE)
        kept = split_off(keys, held_out, name, str(self.root), setting)
        return [stem for stem, is_in in zip(stems, kept, strict=True) if is_in]


def _labeled(name: str, stems: list[str], labels: list[LabelSource]) -> list[str]:
    """Return the stems that have all labels, and report the others. If none has all, return all, for the error."""
    bad = {stem: why for label in labels for stem, why in label.unlabeled(stems).items()}
    kept = [stem for stem in stems if stem not in bad]
    if not kept or not bad:
        return stems
    shown = "; ".join(f"{stem}: {why}" for stem, why in list(bad.items())[:_SHOWN_STEMS])
    _log.warning(
        "%s: %d of %d images are left out (data.on_bad: skip): %s", name, len(bad), len(stems), shown
    )
    return kept


def _warn_of_labels_without_image(labels: RasterFolder, images: dict[str, str]) -> None:
    alone = labels.without_image(images)
    if alone:
        shown = ", ".join(alone[:_SHOWN_STEMS]) + (", ..." if len(alone) > _SHOWN_STEMS else "")
        _log.warning("%s: %d labels have no image and are not used: %s", labels.folder, len(alone), shown)


def _report(name: str, dataset: DenseDataset) -> None:
    if dataset.skipped.count:
        _log.warning(
            "%s: %d of %d samples were left out, fewer than %d pixels of them count (data.min_valid).",
            name, dataset.skipped.count, len(dataset), dataset.min_valid,
        )  # fmt: skip
    if dataset.bad.count:
        _log.warning(
            "%s: %d of %d samples were left out, they cannot be read (data.on_bad: skip).",
            name, dataset.bad.count, len(dataset),
        )  # fmt: skip
    if dataset.invalid.count:
        _log.warning(
            "%s: %d of %d samples have labels that are %s in places; these pixels are ignored.",
            name, dataset.invalid.count, len(dataset), say_invalid(dataset.label_sources),
        )  # fmt: skip
