"""Read pictures with class maps from one split's labels, whichever tool wrote them."""

from dataclasses import dataclass
from pathlib import Path

from sapiens2_lit.data.coco.image_folder import find_images_of
from sapiens2_lit.data.coco.image_names import with_local_names
from sapiens2_lit.data.coco.tables import read_image_table
from sapiens2_lit.data.files import Problems, absent_files
from sapiens2_lit.data.labels.base import LabelSource, MaskFolder
from sapiens2_lit.data.labels.shape_masks import ShapeMasks
from sapiens2_lit.data.layouts.layout import Part
from sapiens2_lit.data.layouts.people import Choose, read_labels
from sapiens2_lit.data.splits import images_by_stem
from sapiens2_lit.errors import DataError
from sapiens2_lit.vocabularies import Classes


@dataclass(frozen=True)
class Pictures:
    """The pictures of a split.

    Attributes:
        folder: folder that names are relative to.
        names: of the pictures.
        labels: the labels that each picture has.
    """

    folder: Path
    names: list[str]
    labels: list[LabelSource]


def read_pictures(
    part: Part, root: Path, images: str, classes: Classes, *, skip_bad: bool, choose: Choose | None = None
) -> Pictures:
    """Read a split of pictures with class maps.

    Args:
        part: the place of its labels.
        root: the dataset's folder.
        images: the setting of the folder of images.
        classes: the vocabulary.
        skip_bad: whether entries that cannot be read are left out.
        choose: which pictures to use; None for all.

    Raises:
        DataError: labels are wrong; the message lists all problems.
    """
    if part.masks is not None and part.folder is not None:
        return _with_masks(part, part.folder, part.masks, classes, choose)
    data = read_labels(part, skip_bad=skip_bad)
    folder = part.folder or find_images_of(part.path, root, images, "data.images")
    entries, _ = with_local_names(data["images"], folder)
    problems = Problems(part.path)
    table = read_image_table(entries, problems, folder)
    names = table.file_name.tolist()
    problems.raise_if_any()
    for name in sorted(absent_files(folder, names)):
        problems.add(name, f"there is no such image in {folder}")
    problems.raise_if_any()
    labels: list[LabelSource] = [ShapeMasks(part.path, {**data, "images": entries}, classes)]
    if choose is not None:
        names = [name for name, kept in zip(names, choose(entries), strict=True) if kept]
    return Pictures(folder, names, labels)


def _with_masks(part: Part, folder: Path, masks: Path, classes: Classes, choose: Choose | None) -> Pictures:
    found = images_by_stem(folder)
    problems = Problems(part.path)
    for stem in part.stems:
        if stem not in found:
            problems.add(stem, f"there is no such picture in {folder}")
    problems.raise_if_any()
    names = [found[stem] for stem in dict.fromkeys(part.stems)]
    if not names:
        raise DataError(f"{part.path}: it names no picture.")
    if choose is not None:
        kept = choose([{"file_name": name} for name in names])
        names = [name for name, keep in zip(names, kept, strict=True) if keep]
    return Pictures(folder, names, [MaskFolder(masks, classes)])
