"""Decide who finds people in `sapiens2-lit predict`: a detector, a mask, or a file of boxes."""

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.boxes import BoxFile, read_boxes
from sapiens2_lit.inference.sources import Source

if TYPE_CHECKING:  # torch is imported after the arguments have been checked
    from sapiens2_lit.inference.predictor import Predictor

log = logging.getLogger(__name__)


def detector_of(options: Namespace) -> Any:
    """Return the predictor's `detector` argument: a detector, a word, or None if nothing finds people.

    Raises:
        SettingError, WeightsError: Naming the option that does not fit.
    """
    name = options.detector
    named = name not in (None, "self", "none")
    if options.threshold is not None and not named:
        raise SettingError(
            "--threshold is the detector's lowest score; it has no effect without --detector NAME"
        )
    if options.detector_weights is not None and not named:
        raise SettingError("--detector_weights has no effect without --detector torchvision/NAME")
    if options.tiles is not None and (options.boxes is not None or name == "none"):
        raise SettingError(
            "--tiles are parts of a picture in which a detector looks for people; here no detector is used"
        )
    if not named:
        return {None: "auto", "none": None}.get(name, name)
    from sapiens2_lit.inference.detect import build_detector
    from sapiens2_lit.inference.model import find_device
    from sapiens2_lit.inference.people.tiled_detector import TiledDetector

    threshold = 0.5 if options.threshold is None else options.threshold
    detector = build_detector(name, find_device(options.device), threshold, weights=options.detector_weights)
    return TiledDetector(detector, "auto" if options.tiles is None else options.tiles)


def who_finds_people(options: Namespace, predictor: "Predictor") -> str:
    """Return a line that tells the user who finds people."""
    if predictor.own_mask is not None:
        return f"people: found by the mask of head {predictor.own_mask.head}"
    if predictor.detector not in (None, "auto"):
        return f"people: found by {options.detector}"
    why = (
        "no detector looks for them"
        if options.detector == "none"
        else "no --boxes, no --detector, and no head that tells people from background"
    )
    return f"people: {why}: each image is treated as one person who fills it"


def find_boxes(path: Path, source: Source) -> BoxFile:
    """Read the boxes of people for the pictures of a source.

    Raises:
        DataError: The file cannot be read, or has no boxes for any of the pictures.
    """
    boxes = read_boxes(path)
    files = files_of(source)
    unknown = [file for file in files if boxes.find(file) is None]
    if files and not source.videos and len(unknown) == len(files):
        raise DataError(
            f"{path}: has no boxes for any of the {len(files)} images, such as {files[0]}; its images are "
            f"{', '.join(list(boxes.boxes)[:3])}, ..."
        )
    if unknown:
        log.warning(
            "%s: has no boxes for %d of %d images, such as %s", path, len(unknown), len(files), unknown[0]
        )
    return boxes


def image_ids(boxes: BoxFile, source: Source, formats: Sequence[str]) -> dict[str, int] | None:
    """Return COCO's `image_id` of each photograph; None if the file of boxes has none, or COCO's format is not written.

    Args:
        boxes: The file.
        source: All pictures and videos.
        formats: That are written.

    Raises:
        DataError: COCO's format is written, but the file has ids of only some pictures.
    """
    files = files_of(source)
    ids = boxes.ids_of(files)
    if ids is None or "coco" not in formats:
        return None
    if without := [file for file in files if file not in ids] + list(source.videos):
        raise DataError(
            f"{boxes.path}: has no `image_id` of {len(without)} pictures, such as {without[0]}, for --formats coco; "
            "leave them out, or give boxes by file names."
        )
    return ids


def files_of(source: Source) -> list[str]:
    """Return the paths of a source's photographs, relative to its root."""
    return [path.relative_to(source.root).as_posix() for path in source.photos.values()]
