"""Build annotation files and splits from one record per sample, without rendering a picture again."""

import json
import os
import re
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.files import write_same
from sapiens2_lit.synthetic.dataset.frame import MOST_PEOPLE, Frame
from sapiens2_lit.synthetic.dataset.layout import SPLITS, VOCABULARIES, folders_of, split_of, stem
from sapiens2_lit.synthetic.dataset.manifest import Settings, write_manifest
from sapiens2_lit.vocabularies import load_skeleton

FOLDER = "records"


def record(frame: Frame) -> bytes:
    """Return the content of annotations for a frame, as JSON."""
    people = [
        {
            "number": person.number,
            "bbox": person.box.round(2).tolist(),
            "area": person.area,
            "keypoints": {
                name: points.round(2).ravel().tolist() for name, points in person.keypoints.items()
            },
        }
        for person in frame.people
    ]
    return json.dumps({"people": people}, separators=(",", ":")).encode()


def record_path(index: int) -> str:
    """Return the path of a sample's record, relative to the dataset's folder."""
    return f"{FOLDER}/{stem(index)}.json"


def recorded(root: Path, tasks: tuple[str, ...]) -> set[int]:
    """Return indices of the complete samples: they have a record, which is written last, and all their files."""
    found = _indices(root / FOLDER, ".json")
    for name, folder in folders_of(tasks).items():
        found &= _indices(root / name, folder.suffix)
    return found


def _indices(folder: Path, suffix: str) -> set[int]:
    """Return indices of the samples that have a file in a folder; files with other names are skipped."""
    if not folder.is_dir():
        return set()
    ours = re.compile(f"([0-9]{{6}}){re.escape(suffix)}")
    with os.scandir(folder) as entries:
        return {int(match[1]) for entry in entries if (match := ours.fullmatch(entry.name))}


def assembled(root: Path, tasks: tuple[str, ...]) -> bool:
    """Whether annotations and splits exist, for any number of samples."""
    names = [f"splits/{split}.txt" for split in SPLITS]
    if "pose" in tasks:
        names += [f"annotations/{split}{ending}.json" for split in SPLITS for ending in VOCABULARIES]
    return all((root / name).is_file() for name in names)


def assemble(root: Path, settings: Settings, num: int) -> None:
    """Write annotations, splits and `dataset.json` of the first `num` samples, each replaced as a whole.

    Args:
        root: folder of the dataset.
        settings: of the dataset.
        num: number of samples.
    """
    for split in SPLITS:
        indices = [index for index in range(num) if split_of(index) == split]
        write_same(root, f"splits/{split}.txt", "".join(f"{stem(index)}\n" for index in indices).encode())
        if "pose" in settings.tasks:
            records = {index: read_record(root, index) for index in indices}
            for ending, vocabulary in VOCABULARIES.items():
                data = json.dumps(coco_dict(records, vocabulary, settings.size))
                write_same(root, f"annotations/{split}{ending}.json", data.encode())
    write_manifest(root, settings, num)


def coco_dict(
    records: dict[int, dict[str, Any]], vocabulary: str, size: tuple[int, int]
) -> dict[str, list[dict[str, Any]]]:
    """Return a COCO keypoint dict of some samples; an image's id is its index.

    Args:
        records: by index.
        vocabulary: name of the keypoints' vocabulary.
        size: (height, width) of the images.
    """
    skeleton = load_skeleton(vocabulary)
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.links],
    }
    images = [
        {"id": index, "file_name": f"{stem(index)}.jpg", "height": size[0], "width": size[1]}
        for index in records
    ]
    annotations = [
        {
            "id": index * (MOST_PEOPLE + 1) + person["number"],
            "image_id": index,
            "category_id": 1,
            "bbox": person["bbox"],
            "area": person["area"],
            "iscrowd": 0,
            "num_keypoints": sum(v > 0 for v in person["keypoints"][vocabulary][2::3]),
            "keypoints": person["keypoints"][vocabulary],
        }
        for index, entry in records.items()
        for person in entry["people"]
    ]
    return {"images": images, "annotations": annotations, "categories": [category]}


def read_record(root: Path, index: int) -> dict[str, Any]:
    """Return the record of one sample.

    Raises:
        SettingError: it does not exist, or cannot be read.
    """
    path = root / record_path(index)
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        for person in data["people"]:
            for vocabulary in VOCABULARIES.values():
                _ = person["keypoints"][vocabulary][2]
            _ = person["number"], person["bbox"], person["area"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SettingError(
            f"{path} cannot be read ({type(error).__name__}: {error}): delete it and run the command again, which "
            "makes the sample again"
        ) from error
    return data
