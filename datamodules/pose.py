"""Pose data for Lightning: it reads COCO keypoint files and gives batches of crops and keypoints."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.checks import Subject
from sapiens2_lit.data.checks.pose_subjects import pose_subjects
from sapiens2_lit.data.checks.taught import describe_pose
from sapiens2_lit.data.class_counts import count_classes
from sapiens2_lit.data.coco.annotations import BoxSource, CocoFile, OnBadRow
from sapiens2_lit.data.coco.detections import read_detections
from sapiens2_lit.data.coco.ground_truth import build_ground_truth, with_unique_ids
from sapiens2_lit.data.coco.image_folder import DEFAULT, expect_images, images_of_split
from sapiens2_lit.data.coco.people import People
from sapiens2_lit.data.datasets.pose import PoseDataset
from sapiens2_lit.data.files import find_file, find_root
from sapiens2_lit.data.held_out import read_share
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder, RasterFolder, stem_of
from sapiens2_lit.data.labels.confidence import Confidence, ConfidenceFolder
from sapiens2_lit.data.labels.subjects import people_mask_subjects
from sapiens2_lit.data.layouts.find import SplitFinder
from sapiens2_lit.data.layouts.layout import short_path
from sapiens2_lit.data.layouts.people import read_people
from sapiens2_lit.data.pseudo.mask_classes import mask_classes
from sapiens2_lit.data.pseudo.merge import but_for, expect_scores
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.data.splits import read_fold
from sapiens2_lit.datamodules.base import STAGES, ImageDataModule, OnBad
from sapiens2_lit.errors import SettingError
from sapiens2_lit.transforms.crop import BOX_PADDING
from sapiens2_lit.transforms.pose import RELEASED, PoseAugmentation
from sapiens2_lit.vocabularies import load_classes, load_skeleton

_DEFAULTS = {f: f"annotations/{f}.json" for f in ("train", "val", "test")}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PoseSource:
    """One more dataset to train on, mixed with the first.

    Attributes:
        root: its folder.
        annotations: its COCO file, looked up under `root`, then under `root`/annotations.
        images: folder of its images under `root`.
        weight: how often its people occur in an epoch: 2 for twice, 0.5 for a random half of them.
        skeleton: its vocabulary, if its categories do not name the keypoints as the model's vocabulary does.
        masks: folder of its masks under `root`, with the classes of `data.classes`; read if `data.masks` is set.
    """

    root: str
    annotations: str = "annotations/train.json"
    images: str = "images"
    weight: float = 1.0
    skeleton: str | None = None
    masks: str = "masks"


class PoseDataModule(ImageDataModule):
    """People from COCO keypoint files of any vocabulary; each sample is the crop of one person.

    A batch holds
        image (B, 3, H, W) uint8: RGB.
        keypoints (B, K, 3) float32: x, y in input pixels, v 0 unlabeled, 1 occluded, 2 visible.
        affine (B, 2, 3) float32: original pixel -> input pixel.
        box (B, 4) float32: x, y, w, h in original pixels.
        score (B,) float32: the box's confidence, 1 for labeled ones.
        image_id (B,) int64: as in `ground_truth`.
        person (B,) int64: index in the stage's dataset.
        segmentation (B, H, W) int64, only with `masks`: class index of each pixel, 255 ignored.
        sample, a list of str: image and annotation, for messages.

    Args:
        root: the dataset's folder.
        skeleton: the vocabulary of the model, by name or file; labels are mapped to it by name. Null for the vocabulary
            of the pose head on the command line, else `sociopticon308`. A COCO file gives the vocabulary of its
            category.
        image_size: (height, width) of the input.
        train: labels to train on, looked up under `root`, then under `root`/annotations: a COCO file, a YOLO data.yaml,
            an annotations.xml of CVAT, or a folder of LabelMe. If the default file does not exist, the folders of these
            tools are recognized, with their splits.
        val: labels to validate on, or a share of the training pictures, such as 0.1, chosen by hash; null for no
            validation.
        test: labels to test on.
        fold: cross-validation: `0/5` validates on the first of five parts of the pictures of `train`, chosen by hash,
            and trains on the others, for any `val`; null for none.
        group_by: what stays together when a share is split off: a field of the file's images, `folder`, or `picture`;
            null for a field of subjects or videos if every image has one.
        images: folder under `root` that file names are relative to, or one for each split ({train: train2017, ...}).
            The default also finds folders named after the annotation file or its folder.
        masks: folder under `root` with a png for each image, of the same stem, whose values are classes: adds
            `segmentation` to the batch; null for none.
        classes: the vocabulary of the masks, by name or file. Null for the vocabulary of the segmentation head on the
            command line, else `body29`.
        batch_size: people per batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        augment: random variation of training samples; null for none.
        box: training and validation boxes: `label` (the file's) or `keypoints` (tight around them).
        padding: factor on the sides of boxes.
        detections: COCO results to validate and test on, instead of labeled boxes.
        detection_threshold: lowest score of a detection that is used.
        sources: more datasets to train on, mixed with `train`.
        weight: how often the people of `train` occur in an epoch, beside `sources`.
        file_skeleton: the vocabulary of `train`, `val` and `test`, if their categories name the keypoints otherwise
            than the model's vocabulary or not at all: the points of these files in order.
        seed: of order and augmentation; null for the seed of `seed_everything`, else 0.
        allow: names of label checks whose findings are intended: they neither stop nor warn.
        on_bad: what to do with single people or images that cannot be used: `error` stops, `skip` leaves them out and
            counts them.
        reduced_decoding: whether training JPEGs that are shown at half their size or less are decoded at 1/2, 1/4 or
            1/8 of it; their pixels then differ by a few of 255 levels.
        confidence: how training uses the confidence of labels that a model predicted (`predict --as_dataset`): points
            with less than `min` are unlabeled, and with `weight` the loss of each point is multiplied by its score;
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
        skeleton: str | None = None,
        image_size: tuple[int, int] = (1024, 768),
        *,
        train: str = "annotations/train.json",
        val: float | str | None = "annotations/val.json",
        test: str | None = "annotations/test.json",
        fold: str | None = None,
        group_by: str | None = None,
        images: str | dict[str, str] = DEFAULT,
        masks: str | None = None,
        classes: str | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        augment: PoseAugmentation | None = RELEASED,
        box: BoxSource = "label",
        padding: float = BOX_PADDING,
        detections: str | None = None,
        detection_threshold: float = 0.0,
        sources: Sequence[PoseSource] = (),
        weight: float = 1.0,
        file_skeleton: str | None = None,
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
        if not padding > 0:
            raise SettingError(
                f"data.padding is {padding}, expected a factor above 0, such as {BOX_PADDING}."
            )
        if detection_threshold and detections is None:
            raise SettingError("data.detection_threshold has no effect without data.detections.")
        self.root = open_root(root, shards)
        self.skeleton = load_skeleton(skeleton or "sociopticon308")
        expect_images(images)
        self.share = read_share(val)
        self.annotations = {"train": train, "val": val if isinstance(val, str) else None, "test": test}
        self.fold = read_fold(fold)
        self.group_by = group_by
        self.images = images
        self.masks = masks
        self.classes = None if masks is None else load_classes(classes or "body29")
        self.without_masks = masks is None and classes is not None
        self.augment = augment
        self.box = box
        self.padding = padding
        self.detections = detections
        self.detection_threshold = detection_threshold
        self.sources = list(sources)
        self.file_skeleton = None if file_skeleton is None else load_skeleton(file_skeleton)
        self.weights = [weight, *(source.weight for source in self.sources)]
        self.files: dict[str, list[CocoFile]] = {}

    def has_split(self, name: str) -> bool:
        return (name == "val" and self.held_out is not None) or self.annotations.get(name, "") is not None

    def split_exists(self, name: str) -> bool:
        return self._finder.exists(self._file_of(name))

    def setup(self, stage: str) -> None:
        """Read what a stage (fit, validate, test) needs, unless it was read before."""
        find_root(self.root)
        if stage == "fit" and self.without_masks:
            _log.warning("data.masks is null: a head that predicts classes learns nothing from this data.")
        new = []
        for name in STAGES[stage]:
            if name in self.datasets or (name == "val" and not self.has_split(name)):
                continue
            people = self._read_labelled(name)
            self.datasets[name] = PoseDataset(
                people,
                self.skeleton,
                self.image_size,
                augment=self.augment if name == "train" else None,
                seed=self.seed,
                padding=self.padding,
                label_sources=self._find_masks(people, name == "train"),
                skip_bad=self.on_bad == "skip",
                reduced_decoding=self.reduced_decoding and name == "train",
                confidence=self.confidence if name == "train" else None,
            )
            new.append(name)
        self.run_quick_checks(new)

    def train_sources(self) -> tuple[list[int], list[float]]:
        return [len(people) for people in self.datasets["train"].sources], self.weights

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]]:
        """Return all annotations of a stage that was set up, as a COCO dict in the skeleton's vocabulary.

        Args:
            stage: train, validate or test.

        Raises:
            SettingError: the stage was not set up, or has no annotations.
        """
        name = "val" if stage == "validate" else stage
        if name not in self.files:
            raise SettingError(
                f"no ground truth for '{stage}': found {sorted(self.files)}; call setup() first."
            )
        return build_ground_truth(self.files[name])

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Count the pixels of each class (C,) in the masks of at most 2000 training images; after `setup("fit")`.

        Raises:
            SettingError: there are no masks.
        """
        if self.classes is None:
            raise SettingError("data.masks is null: there are no masks to count for class_weights: auto.")
        dataset = self.datasets["train"]
        masks = [
            (label, stem_of(name))
            for people, labels in zip(dataset.sources, dataset.label_sources, strict=True)
            for label in labels
            for name in people.file_name[np.unique(people.image)].tolist()
        ]
        return count_classes(masks, self.classes.num_classes)

    @property
    def _finder(self) -> SplitFinder:
        return SplitFinder(self.root, self.annotations, _DEFAULTS, "pose")

    def _file_of(self, name: str) -> str:
        """Return the split whose file holds the people of a split: a held-out part of training is used as val."""
        return "train" if self.held_out is not None and name == "val" else name

    def _read_labelled(self, name: str) -> list[People]:
        file_of = self._file_of(name)
        if self.annotations[file_of] is None:
            raise SettingError(f"data.{name} is null: set it to a COCO file under {self.root}.")
        on_bad: OnBadRow = "skip" if self.on_bad == "skip" else "collect"
        read = partial(read_people, skeleton=self.skeleton, box=self.box, on_bad=on_bad, allow=self.allow)
        scored = self.confidence is not None and name == "train"
        part = self._finder.find(file_of)
        where = f"{name} ({short_path(part.path, self.root)})"
        images = images_of_split(self.images, file_of)
        choose = self.choose_pictures(name, part.path, self.group_by)
        if name == "train" and self.labelled_elsewhere:
            choose = but_for(self.labelled_elsewhere, choose)
        files = [
            read(
                part,
                self.root,
                images,
                f"data.{file_of}",
                where=where,
                vocabulary=self.file_skeleton,
                choose=choose,
                scores=scored,
            )
        ]
        if scored:
            expect_scores(files[0])
        for number, source in enumerate(self.sources if name == "train" else []):
            setting = f"data.sources[{number}]"
            root = find_root(open_root(source.root, self.shards), f"{setting}.root")
            vocabulary = None if source.skeleton is None else load_skeleton(source.skeleton)
            where, setting = f"{setting} ({source.annotations})", f"{setting}.annotations"
            part = SplitFinder(root, {"train": source.annotations}, _DEFAULTS, "pose", setting).find("train")
            found = read(
                part, root, source.images, setting, where=where, vocabulary=vocabulary, scores=scored
            )
            files.append(found)
        self.files[name] = with_unique_ids(files)
        if self.detections is not None and name != "train":
            path = find_file(self.root, self.detections, "data.detections")
            return [read_detections(path, self.files[name][0], threshold=self.detection_threshold)]
        return [file.people for file in self.files[name]]

    def _find_masks(self, people: Sequence[People], training: bool) -> list[list[LabelSource]]:
        """Return the masks of each source, after checking that every image has its mask."""
        if self.masks is None or self.classes is None:
            return []
        places = [(self.root, self.masks, "data.masks")]
        for number, source in enumerate(self.sources):
            places.append(
                (open_root(source.root, self.shards), source.masks, f"data.sources[{number}].masks")
            )
        folders: list[list[LabelSource]] = []
        for (root, masks, setting), table in zip(places, people, strict=False):
            found: list[RasterFolder] = [MaskFolder(root / masks, mask_classes(root, self.classes), setting)]
            if self.confidence is not None and training:
                found.append(ConfidenceFolder(root, "segmentation"))
            for folder in found:
                folder.check(stem_of(name) for name in table.file_name[np.unique(table.image)].tolist())
            folders.append([*found])
        return folders

    def check_subjects(self, names: Sequence[str]) -> list[Subject]:
        labels = {name: [file.labels for file in files] for name, files in self.files.items()}
        flip = 0.0 if self.augment is None else self.augment.flip
        subjects = pose_subjects(labels, names, flip, read_image, self.on_bad)
        return subjects + people_mask_subjects(self.datasets, names, skip_bad=self.on_bad == "skip")

    def describe(self) -> str:
        return describe_pose([file.labels for files in self.files.values() for file in files])
