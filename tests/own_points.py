"""People with 24 points of a user's own, as an annotation tool exports them."""

import json
import shutil
from pathlib import Path

from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.synthetic.dataset.records import coco_dict, read_record
from sapiens2_lit.vocabularies import load_skeleton

# The user's names, which are 24 of the 308 under other spellings.
_PARTS = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "big_toe", "small_toe", "heel"]
_SIDED = {f"{side[0]}_{part}": f"{side}_{part}" for side in ("left", "right") for part in _PARTS}
OWN_POINTS = {"nose": "nose", "Neck": "neck", **_SIDED}
SIZE = (256, 192)


def write_cvat(root: Path, pictures: int, seed: int = 0) -> Path:
    """Write `images/default` and one COCO file in `annotations`, as CVAT does; returns the file."""
    make_dataset(root, pictures, Settings(size=SIZE, seed=seed, tasks=("pose",)), workers=1, progress=False)
    records = {index: read_record(root, index) for index in range(pictures)}
    data = coco_dict(records, "sociopticon308", SIZE)
    places = [load_skeleton("sociopticon308").keypoints.index(name) for name in OWN_POINTS.values()]
    for one in data["annotations"]:
        one["keypoints"] = [one["keypoints"][3 * place + part] for place in places for part in range(3)]
    links = [[1, 2], [1, 3], [1, 14], [3, 4], [14, 15]]
    data["categories"] = [
        {"id": 7, "name": "vehicle", "supercategory": ""},
        {"id": 1, "name": "person", "supercategory": "", "keypoints": [*OWN_POINTS], "skeleton": links},
    ]
    images = root / "images" / "default"
    images.mkdir()
    for image in data["images"]:
        name = Path(image["file_name"]).name
        shutil.move(root / "images" / name, images / name)
        image["file_name"] = name
    folder = root / "annotations"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "person_keypoints_default.json"
    path.write_text(json.dumps(data))
    return path
