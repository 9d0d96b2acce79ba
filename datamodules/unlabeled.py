"""Images without labels for Lightning: folders, videos, and people cut out by boxes."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sapiens2_lit.data.boxes_file import read_boxes
from sapiens2_lit.data.datasets.unlabeled import SHOWN, Picture, UnlabeledDataset, Views, check_side
from sapiens2_lit.data.files import find_file, find_root
from sapiens2_lit.data.image_list import choose_listed
from sapiens2_lit.data.readers.images import find_images, upright_size
from sapiens2_lit.data.readers.video_frames import find_videos, frames_folder, write_frames
from sapiens2_lit.data.shards.paths import is_address
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.data.shards.settings import ShardReading
from sapiens2_lit.datamodules.base import ImageDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.transforms.views import MultiCropAugmentation

BOXES = "boxes.json"
CHECKED = 50_000  # images whose headers are read before training
LOCAL_SHARE = 0.5  # default size of local views: this share of each side of the input

_log = logging.getLogger(__name__)


class UnlabeledDataModule(ImageDataModule):
    """Views of all images, and frames of all videos, under a folder, for `sapiens2-lit pretrain`.

    With `fit` and a teacher (`model.teacher`), each view is one image, and no image is held out, because there are no
    labels to validate on. For `pretrain` a batch holds `image` (B, G, 3, H, W), with contrast `local` (B, L, 3, h, w),
    `seed` (B,), which stays on the host, and `sample`. Images that are damaged, too large or too small are left out,
    counted and named. Gray images have three equal channels.

    Args:
        root: folder of images and videos, with or without subfolders; or one video.
        image_size: (height, width) of global views, multiples of the backbone's patch.
        boxes: JSON file with boxes of people, each of which becomes one picture; see docs/pretraining.md. `boxes.json`
            in the folder is used without this setting.
        list: text file with the images to use, one path per line, relative to the folder, as `curate select` writes it;
            null for all. With a list, videos are not used.
        views: how views are cut and varied.
        global_views: global views of each image; null for the number that the objective needs.
        local_views: local views of each image; null for 4 with self-distillation, else none.
        local_size: (height, width) of local views (not published); null for half of each side.
        least_side: shortest side of an image, or person, in pixels; null for half the shorter side of the input.
        frame_step: one of so many frames of a video is used.
        near_duplicates: a frame is dropped if its 64-bit hash differs from the last one's in so many bits or fewer.
        frames: folder for the frames of videos; null for `.frames` beside each video.
        val_samples: images to measure reconstruction on, chosen by name, a tenth of all at most; 0 for none.
        batch_size: images per batch, on each rank.
        num_workers: loader processes on each rank; null for a share of the CPUs, at most 8.
        seed: of order and views; null for the seed of `seed_everything`, else 0.
        shards: how packed data are read; no effect on folders.
        moves_ahead: whether, on CUDA, a thread copies the next training batch to the device while the current step
            computes; the device then holds one batch more.

    Raises:
        SettingError: a setting is wrong; the message names it, what was found and what was expected.
    """

    def __init__(
        self,
        root: str,
        image_size: tuple[int, int] = (1024, 768),
        *,
        boxes: str | None = None,
        list: str | None = None,
        views: MultiCropAugmentation = MultiCropAugmentation(),  # noqa: B008 - frozen
        global_views: int | None = None,
        local_views: int | None = None,
        local_size: tuple[int, int] | None = None,
        least_side: int | None = None,
        frame_step: int = 30,
        near_duplicates: int = 4,
        frames: str | None = None,
        val_samples: int = 64,
        batch_size: int = 16,
        num_workers: int | None = None,
        seed: int | None = None,
        moves_ahead: bool = True,
        shards: ShardReading = ShardReading(),  # noqa: B008 - frozen
    ) -> None:
        super().__init__(image_size, batch_size, num_workers, seed, moves_ahead=moves_ahead, shards=shards)
        for name, value, least in (
            ("global_views", global_views, 1), ("local_views", local_views, 0), ("least_side", least_side, 1),
            ("frame_step", frame_step, 1), ("near_duplicates", near_duplicates, 0), ("val_samples", val_samples, 0),
        ):  # fmt: skip
            if value is not None and value < least:
                raise SettingError(f"data.{name} is {value}, expected {least} or more.")
        self.root, self.boxes = open_root(root, shards), boxes
        self.list = None if list is None else Path(list).expanduser()
        self.frames = None if frames is None else Path(frames).expanduser()
        self.frame_step, self.near_duplicates, self.val_samples = frame_step, near_duplicates, val_samples
        self.views = Views(
            self.image_size,
            local_size or local_size_of(self.image_size),
            global_views or 1,
            local_views or 0,
            views,
        )
        self._least_side = least_side
        self.left_out: dict[str, str] = {}  # images left out before training: name -> reason

    # -------------------------------------------------------------- files

    def prepare_data(self) -> None:
        """Write the frames of videos to disk, once; a video that cannot be read is left out."""
        for video in self.videos():
            folder = frames_folder(video, self.frames, self.frame_step, self.near_duplicates)
            try:
                write_frames(video, folder, self.frame_step, self.near_duplicates)
            except DataError as error:
                _log.warning("left out: %s", error)

    def videos(self) -> list[Path]:
        """Return the videos under the folder; none if `list` is set."""
        if not self.root.is_file():
            find_root(self.root)
        return find_videos(self.root) if self.list is None else []

    def setup(self, stage: str) -> None:
        """Find the pictures and split them for a stage, `fit` or `validate`."""
        if "train" in self.datasets:
            return
        pictures = self.find_pictures()
        self.views = replace(self.views, size=self.image_size)  # a MultitaskDataModule may have set it
        held_out = 0 if self.as_images else min(self.val_samples, len(pictures) // 10)
        order = sorted(pictures, key=lambda one: hashlib.sha256(one.name.encode()).digest())
        chosen = {one.name for one in order[:held_out]}
        train = [one for one in pictures if one.name not in chosen]
        val = [one for one in pictures if one.name in chosen]
        self.datasets["train"] = UnlabeledDataset(train, self.views, self.least_side, self.seed, True)
        if val:
            self.datasets["val"] = UnlabeledDataset(val, self.views, self.least_side, self.seed, False)
        if self.as_images:
            _log.info("%s images without labels to learn from", f"{len(train):,}")
            return
        _log.info("%s images to learn from, %s to reconstruct in validation", f"{len(train):,}", len(val))

    @property
    def least_side(self) -> int:
        """Shortest side of a usable picture, in pixels: the setting, or half the shorter side of the input."""
        return self._least_side or max(1, min(self.image_size) // 2)

    @property
    def as_images(self) -> bool:
        """Whether the trained module takes images, not views of them."""
        module = None if self.trainer is None else self.trainer.lightning_module
        return module is not None and not getattr(module, "takes_views", False)

    def find_pictures(self) -> list[Picture]:
        """Return all pictures that can be used, judged by their headers.

        Raises:
            DataError: there is none.
        """
        files = [] if self.root.is_file() else find_images(self.root)
        if self.list is not None:
            place = self.list if self.list.is_file() else find_file(self.root, self.list, "data.list")
            files = choose_listed(files, self.root, place, "data.list")
        for video in self.videos():
            files += find_images(frames_folder(video, self.frames, self.frame_step, self.near_duplicates))
        if not files:
            raise DataError(
                f"{self.root}: found no images and no videos, in it or folders in it; expected some (data.root)"
            )
        base = self.root if self.root.is_dir() else self.root.parent
        everything = [part for file in files for part in self.parts_of(file, base)]
        far = len(everything) > CHECKED or is_address(self.root)  # reading headers would fetch the files
        pictures = [one for one in everything if far or self.looks_usable(one)]
        self.say_left_out(len(everything))
        if not pictures:
            reason = next(iter(self.left_out.values()), f"{BOXES} has no box on them")
            raise DataError(f"{self.root}: none of {len(files)} images can be used; such as {reason}")
        return pictures

    def parts_of(self, file: Path, base: Path) -> list[Picture]:
        """Return a file as one picture, or each person in it as one picture."""
        name = str(file.relative_to(base)) if file.is_relative_to(base) else str(file)
        if (boxes := self._boxes()) is None:
            return [Picture(file, None, name)]
        own = boxes.get(name, boxes.get(file.name, []))
        return [Picture(file, box, f"{name}#{index}") for index, box in enumerate(own)]

    def _boxes(self) -> dict[str, Any] | None:
        if not hasattr(self, "_read_boxes"):
            given = self.boxes or (BOXES if (self.root / BOXES).is_file() else None)
            self._read_boxes = (
                None if given is None else read_boxes(find_file(self.root, given, "data.boxes"))
            )
        return self._read_boxes

    def looks_usable(self, picture: Picture) -> bool:
        """Whether a picture's header can be read and its shorter side is long enough; if not, note why."""
        try:
            height, width = upright_size(picture.path)
            region = picture.region or (0, 0, width, height)
            across = min(width, region[0] + region[2]) - max(0, region[0])
            down = min(height, region[1] + region[3]) - max(0, region[1])
            check_side(picture.name, across, down, self.least_side)
        except DataError as error:
            self.left_out[picture.name] = str(error)
            return False
        return True

    def say_left_out(self, total: int) -> None:
        """Log how many images are left out, with the first names."""
        if not self.left_out:
            return
        shown = "".join(f"\n  {reason}" for reason in list(self.left_out.values())[:SHOWN])
        more = len(self.left_out) - SHOWN
        rest = f"\n  and {more} more" if more > 0 else ""
        _log.warning("left out: %d of %d images%s%s", len(self.left_out), total, shown, rest)

    def teardown(self, stage: str) -> None:
        """Report what was left out during training: damage shows when pixels are decoded."""
        if (data := self.datasets.get("train")) is not None and (count := data.left_out.count):
            names = [data.pictures[index].name for index in data.left_out.indices()[:SHOWN]]
            more = f" and {count - SHOWN} more" if count > SHOWN else ""
            _log.warning(
                "left out in training: %d of %d images: %s%s", count, len(data), ", ".join(names), more
            )

    # -------------------------------------------------------------- batches

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        """Move a batch to the device, except its seeds, and vary pixels there if `views.colors.on_device` is set."""
        seeds = batch.pop("seed")
        batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        batch["seed"] = seeds  # masks are drawn on the host
        colors = self.views.settings.colors
        if colors.on_device and "train" in self.datasets and self._trains():
            # imported here: kornia takes seconds that other runs need not wait for
            from sapiens2_lit.transforms.device import augment_batch, device_steps

            steps = device_steps((self.datasets["train"].colors,))
            for stream, name in enumerate(("image", "local")):
                if name in batch and (name == "local" or colors.on_globals):
                    shape = batch[name].shape
                    own = view_seeds(seeds.tolist(), shape[1], stream)
                    batch[name] = augment_batch(batch[name].flatten(0, 1), own, steps).view(shape)
        return one_by_one(batch) if self.as_images else batch

    def _trains(self) -> bool:
        return self.trainer is None or bool(self.trainer.training)


def one_by_one(batch: dict[str, Any]) -> dict[str, Any]:
    """Return a batch of views (B, V, 3, H, W) as one of B * V images, with their names and no other keys."""
    views = batch["image"].shape[1]
    names = [name for name in batch.get("sample", ()) for _ in range(views)]
    kept = {key: batch[key] for key in ("dataset",) if key in batch}
    return {"image": batch["image"].flatten(0, 1), "sample": names, **kept}


def view_seeds(seeds: Sequence[int], views: int, stream: int) -> torch.Tensor:
    """Return a seed for each view of each sample, different from the seeds of other views.

    Args:
        seeds: one seed per sample.
        views: number of views per sample.
        stream: 0 for global views, 1 for local ones.

    Returns:
        int64 (B * V,), the views of a sample next to each other.
    """
    drawn = [
        int(np.random.default_rng((seed, stream, view, 7)).integers(2**63))
        for seed in seeds
        for view in range(views)
    ]
    return torch.tensor(drawn, dtype=torch.int64)


def local_size_of(image_size: tuple[int, int], patch: int = 16) -> tuple[int, int]:
    """Return (height, width) of local views: half of each side, in whole patches, at least one patch."""
    height, width = (max(1, round(LOCAL_SHARE * side / patch)) * patch for side in image_size)
    return height, width
