"""The ground truth of a stage: one COCO dict of all its annotation files, or of several datasets."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sapiens2_lit.data.coco.annotations import CocoFile
from sapiens2_lit.data.coco.people import take_columns
from sapiens2_lit.errors import DataError

PERSONS = (
    "image_id",
    "sample_index",
)  # keys of a batch that have a meaning only with its dataset's ground truth
_STRIDE = (
    1 << 44
)  # between the ids of two datasets; synthetic ids reach 2^41, floats hold integers up to 2^53


def with_unique_ids(files: Sequence[CocoFile]) -> list[CocoFile]:
    """Return the files with unique ids: the first file keeps its ids, the others' are raised where needed."""
    unique: list[CocoFile] = []
    for file in files:
        image_id, annotation_id = file.everyone.image_id, file.everyone.annotation_id
        for other in unique:
            if np.isin(image_id, other.everyone.image_id).any():
                image_id = image_id - image_id.min() + 1 + max(f.everyone.image_id.max() for f in unique)
            if np.isin(annotation_id, other.everyone.annotation_id).any():
                top = max(f.everyone.annotation_id.max(initial=0) for f in unique)
                annotation_id = annotation_id - annotation_id.min() + 1 + top
        everyone = replace(file.everyone, image_id=image_id, annotation_id=annotation_id)
        unique.append(replace(file, everyone=everyone))
    return unique


def build_ground_truth(files: Sequence[CocoFile]) -> dict[str, list[dict[str, Any]]]:
    """Return a COCO keypoint dict of all annotations, with crowds and unlabeled ones.

    Keypoints are in the skeleton's vocabulary, the category is 1, ids are those of the files.
    """
    skeleton = files[0].skeleton
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.links],
    }
    images, annotations = [], []
    for file in files:
        everyone = file.everyone
        for name, image_id, size in zip(
            everyone.file_name.tolist(),
            everyone.image_id.tolist(),
            everyone.image_size.tolist(),
            strict=True,
        ):
            images.append({"id": image_id, "file_name": name, "width": size[0], "height": size[1]})
        annotations += _annotation_dicts(file)
    return {"images": images, "annotations": annotations, "categories": [category]}


def join_ground_truths(truths: Sequence[dict[str, list[dict[str, Any]]]]) -> dict[str, list[dict[str, Any]]]:
    """Join the images and people of several datasets into one COCO dict.

    The ids of the first dataset stay; `joined_ids` gives the ids of the others.

    Raises:
        DataError: an image's id is too large to be raised.
    """
    if len(truths) == 1:
        return truths[0]
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, truth in enumerate(truths):
        if odd := [image["id"] for image in truth["images"] if not 0 <= image["id"] < _STRIDE]:
            raise DataError(
                f"image id {odd[0]}: expected 0 to {_STRIDE - 1} where several datasets are evaluated."
            )
        start = place * _STRIDE
        images += [image | {"id": start + image["id"]} for image in truth["images"]]
        annotations += [
            person | {"id": len(annotations) + number, "image_id": start + person["image_id"]}
            for number, person in enumerate(truth["annotations"], start=1)
        ]
    return {"images": images, "annotations": annotations, "categories": truths[0]["categories"]}


def joined_ids(batch: dict[str, Any], place: int) -> dict[str, Any]:
    """Return a batch of the dataset at `place` among several, with the ids of `join_ground_truths`."""
    return batch | {key: batch[key] + place * _STRIDE for key in PERSONS if key in batch}


def _annotation_dicts(file: CocoFile) -> list[dict[str, Any]]:
    everyone = file.everyone
    assert everyone.points is not None
    assert everyone.columns is not None
    assert everyone.box is not None
    points = take_columns(everyone.points, everyone.columns)
    return [
        {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": 1,
            "bbox": bbox,
            "area": area,
            "iscrowd": int(crowd),
            "num_keypoints": count,
            "keypoints": keypoints,
        }
        for annotation_id, image_id, bbox, area, crowd, count, keypoints in zip(
            everyone.annotation_id.tolist(),
            everyone.image_id[everyone.image].tolist(),
            everyone.box.tolist(),
            file.area.tolist(),
            file.crowd.tolist(),
            (points[..., 2] > 0).sum(axis=1).tolist(),
            points.reshape(len(points), 3 * len(everyone.columns)).tolist(),
            strict=True,
        )
    ]
