"""A generated dataset in the two formats that people get from COCO: 17 keypoints, and COCO-WholeBody."""

import json
from pathlib import Path
from typing import Any

from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.synthetic.dataset.records import coco_dict, read_record

PARTS = {
    "foot": 6,
    "face": 68,
    "lefthand": 21,
    "righthand": 21,
}  # of COCO-WholeBody, after the 17 of the body
UNLABELED = (3, 9)  # of the 14 people, who are both hidden for the most part


def write_people(root: Path) -> Path:
    """Write nine pictures with 14 people; two of the people have no labels, some have invalid parts."""
    size = (512, 384)
    settings = Settings(size=size, people=(2, 2), seed=2, tasks=("pose",))
    make_dataset(root, 9, settings, workers=1, progress=False)
    records = {index: read_record(root, index) for index in range(9)}
    body, whole = (coco_dict(records, vocabulary, size) for vocabulary in ("coco17", "coco_wholebody133"))
    for file in (body, whole):
        file["annotations"] = file["annotations"][:14]
    assert len(body["annotations"]) == 14
    for place, (plain, person) in enumerate(zip(body["annotations"], whole["annotations"], strict=True)):
        if place in UNLABELED:
            plain.update(keypoints=[0] * 51, num_keypoints=0)
        person.update(split_parts(person["keypoints"], place), **plain)
    whole["categories"] = body["categories"]
    (root / "person_keypoints.json").write_text(json.dumps(body))
    (root / "wholebody.json").write_text(json.dumps(whole))
    return root


def split_parts(keypoints: list[float], place: int) -> dict[str, Any]:
    """The fields of COCO-WholeBody beyond the body; one part in five is marked as invalid."""
    fields: dict[str, Any] = {}
    start = 17
    for number, (part, count) in enumerate(PARTS.items()):
        fields[f"{part}_kpts"] = keypoints[3 * start : 3 * (start + count)]
        fields[f"{part}_valid"] = place not in UNLABELED and (place + number) % 5 != 1
        start += count
    assert start == 133
    return fields
