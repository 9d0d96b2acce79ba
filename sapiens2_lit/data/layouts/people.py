"""Read people from one split's labels, whichever tool wrote them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sapiens2_lit.data.checks import CHECKS, run_checks
from sapiens2_lit.data.coco.annotations import BoxSource, CocoFile, OnBadRow, read_coco
from sapiens2_lit.data.coco.image_folder import find_images_of
from sapiens2_lit.data.coco.image_names import with_local_names
from sapiens2_lit.data.coco.tables import read_lists
from sapiens2_lit.data.held_out import HeldOut, group_keys, split_off
from sapiens2_lit.data.layouts.layout import Coco, Part
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Skeleton

Choose = Callable[[list[Any]], list[bool]]  # tells which entries of `images` belong to a split


def read_people(
    part: Part,
    root: Path,
    images: str,
    setting: str,
    *,
    skeleton: Skeleton,
    box: BoxSource,
    on_bad: OnBadRow,
    where: str,
    vocabulary: Skeleton | None = None,
    choose: Choose | None = None,
    allow: Sequence[str] = (),
    scores: bool = False,
) -> CocoFile:
    """Read a split of people with keypoints.

    Args:
        part: the place of its labels.
        root: the dataset's folder.
        images: the setting of the folder of images.
        setting: setting of the labels, for messages.
        skeleton: the vocabulary to map to.
        box: as in `read_coco`.
        on_bad: as in `read_coco`.
        where: as in `read_coco`.
        vocabulary: the file's vocabulary, `source` in `read_coco`.
        choose: which images to read, with their annotations; None for all.
        allow: names of checks whose findings are intended.
        scores: as in `read_coco`.

    Raises:
        DataError: labels are wrong, or there is nobody to learn from; the message lists all problems.
    """
    images_setting = f"{setting.removesuffix('.annotations')}.images" if "[" in setting else "data.images"
    folder = part.folder or find_images_of(part.path, root, images, images_setting)
    data = read_labels(part, skip_bad=on_bad == "skip")
    _expect_order(part.path, data, vocabulary or skeleton)
    if choose is not None:
        local, _ = with_local_names(data["images"], folder)
        data = {**data, **_of_images(data, choose(local))}
    file = read_coco(
        part.path, skeleton, folder, box, vocabulary, on_bad=on_bad, where=where, data=data, scores=scores
    )
    if not len(file.usable):
        run_checks([file.labels], CHECKS, allow=allow).raise_if_any()
        skipped = ", ".join(f"{count} {reason}" for reason, count in file.skipped.items())
        raise DataError(f"{part.path} (`{setting}`): no labeled person; skipped: {skipped or 'nothing'}.")
    return file


def read_labels(part: Part, *, skip_bad: bool = False) -> Coco:
    """Return the COCO lists of a split."""
    if part.read is not None:
        return part.read(skip_bad)
    return read_lists(part.path, ("images", "annotations", "categories"))


def _expect_order(path: Path, data: Coco, skeleton: Skeleton) -> None:
    """Check that the pairs of `flip_idx` are pairs of the skeleton, because nameless points are used in order.

    Raises:
        DataError: they are not.
    """
    first = next((one for one in data["categories"] if isinstance(one, dict) and one.get("flip_idx")), None)
    if first is None or first.get("keypoints") or len(first["flip_idx"]) != skeleton.num_keypoints:
        return
    pairs = zip(first["flip_idx"], skeleton.swap, strict=True)
    wrong = [(place, theirs, ours) for place, (theirs, ours) in enumerate(pairs) if theirs != ours]
    if wrong:
        place, theirs, ours = wrong[0]
        partner = skeleton.keypoints[ours]
        raise DataError(
            f"{path}: its points have no names, and `flip_idx` pairs {place} with {theirs}, where {skeleton.name} "
            f"pairs {place}, {skeleton.keypoints[place]}, with {ours}, {partner}: the points have another order. For "
            f"the points of the file: --model.heads.NAME.skeleton {path}."
        )


def choose_by(held_out: HeldOut, split: str, path: Path, setting: str, group_by: str | None) -> Choose:
    """Return a function that tells which images belong to `train` or `val` if a part of training is held out.

    Args:
        held_out: chooses the held-out part.
        split: train or val.
        path: the file, for messages.
        setting: the setting with its value, for messages.
        group_by: as in `group_keys`.
    """

    def choose(images: list[Any]) -> list[bool]:
        return split_off(group_keys(images, group_by, str(path)), held_out, split, str(path), setting)

    return choose


def _of_images(data: Coco, kept: list[bool]) -> Coco:
    """Return the kept images and their annotations; annotations without image stay."""
    images = data["images"]
    out = {
        str(image.get("id"))
        for image, keep in zip(images, kept, strict=True)
        if not keep and isinstance(image, dict)
    }
    return {
        "images": [image for image, keep in zip(images, kept, strict=True) if keep],
        "annotations": [
            one
            for one in data["annotations"]
            if not (isinstance(one, dict) and str(one.get("image_id")) in out)
        ],
    }
