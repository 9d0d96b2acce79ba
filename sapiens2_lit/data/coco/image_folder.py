"""Find the folder of an annotation file's images in common layouts."""

import json
import logging
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sapiens2_lit.data.coco.image_names import names_here
from sapiens2_lit.data.shards.files import mapped
from sapiens2_lit.errors import DataError, SettingError

DEFAULT = "images"  # the default setting; only with it other folders are looked at
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_LOOKED_AT = 20  # names of a file that are looked up

_log = logging.getLogger(__name__)


def expect_images(images: str | dict[str, str]) -> None:
    """Check that `images`, a folder or one for each split, names only splits.

    Raises:
        SettingError: it names something else.
    """
    if isinstance(images, dict) and (unknown := sorted(images.keys() - {"train", "val", "test", "predict"})):
        raise SettingError(f"data.images names {unknown[0]!r}, expected train, val, test or predict.")


def images_of_split(images: str | dict[str, str], split: str) -> str:
    """Return the folder of images of a split, as in the settings."""
    return images if isinstance(images, str) else images.get(split, DEFAULT)


def find_images_of(path: Path, root: Path, images: str, setting: str) -> Path:
    """Return the folder of a file's images: root/images, else the folder that has the names of the file.

    If `images` is the default, these layouts are found: COCO (images/train2017 or train2017, beside
    annotations/person_keypoints_train2017.json), Roboflow (train/_annotations.coco.json beside the images), CVAT
    (images/default), Label Studio (names with the server's prefix) and Supervisely (DATASET/img beside DATASET/ann).

    Args:
        path: the annotation file.
        root: the dataset's folder.
        images: the setting, relative to `root`.
        setting: its name, for messages.

    Raises:
        DataError: there is no such folder.
    """
    folder = root / images
    if images == DEFAULT:
        names = _some_names(path)
        if not folder.is_dir() or (names and not any(_is_there(folder, name) for name in names)):
            for place in dict.fromkeys(_other_places(path, root)):
                if names and place.is_dir() and all(_is_there(place, name) for name in names):
                    _log.info("%s: images are read from %s, which has the names of the file.", path, place)
                    return place
            for place in dict.fromkeys((folder, *_other_places(path, root))):
                if names_here(names, place):  # names from a server or another machine
                    return place
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {found}: `{setting}` must be a folder.")
    return folder


def _other_places(path: Path, root: Path) -> Iterator[Path]:
    stem = path.stem
    words = [stem, re.sub(r"^(person_keypoints|instances|coco_wholebody|keypoints)_", "", stem)]
    words += [word for word in re.split(r"[_.]", stem) if word]
    for word in words:
        yield root / DEFAULT / word
        yield root / word
    yield path.parent
    for folder in (path.parent, path.parent.parent, root):
        for name in (DEFAULT, "img", "data"):
            yield folder / name
    yield root


def _is_there(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _some_names(path: Path) -> list[str]:
    """Return the first image names of a file without parsing it: annotation files are large."""
    try:
        with mapped(path) as data:
            found = [match[1] for match in islice(_FILE_NAME.finditer(data), _LOOKED_AT)]
        names = [json.loads(name) for name in found]
    except (OSError, ValueError):  # empty or broken, which its reader reports
        return []
    return [name for name in names if name and "\0" not in name]
