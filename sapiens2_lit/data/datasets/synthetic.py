"""Generated pictures of people as samples with all labels, and their ground truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sapiens2_lit.data.loading import Key, split_key
from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.frame import FIELDS_OF_VIEW, Frame, PersonLabels
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.vocabularies import Skeleton, load_skeleton
from sapiens2_lit.vocabularies.skeleton_loader import SHIPPED

TARGETS = ("keypoints", "segmentation", "normal", "pointmap", "depth", "albedo", "alpha", "foreground")


class SyntheticDataset(Dataset[dict[str, Any]]):
    """Samples of one picture each; the index of a picture is `start` + epoch x `length` + index.

    Args:
        length: samples per epoch.
        image_size: (height, width).
        skeleton: the vocabulary of the keypoints.
        targets: the labels, out of `TARGETS`.
        people: least and greatest number of people in a picture.
        field_of_view: least and greatest vertical field of view of the cameras, in degrees.
        seed: another seed gives other people.
        start: first index.
    """

    def __init__(
        self,
        length: int,
        image_size: tuple[int, int],
        skeleton: Skeleton,
        targets: Sequence[str] = TARGETS,
        people: tuple[int, int] = (1, 1),
        field_of_view: tuple[float, float] = FIELDS_OF_VIEW,
        seed: int = 0,
        start: int = 0,
    ) -> None:
        self.length = length
        self.image_size = image_size
        self.skeleton = skeleton
        self.targets = tuple(targets)
        self.people = people
        self.field_of_view = field_of_view
        self.seed = seed
        self.start = start
        self.source, self.columns = find_source(skeleton)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: int | Key) -> dict[str, Tensor | str]:
        epoch, row = split_key(key, self.length)
        index = self.start + epoch * self.length + row
        return self.to_sample(self.frame(index), index, row)

    def frame(self, index: int) -> Frame:
        """Generate the picture at an index, with its labels."""
        return generate(self.seed, index, self.image_size, self.people, self.field_of_view)

    def to_sample(self, frame: Frame, index: int, row: int) -> dict[str, Tensor | str]:
        """Return a frame with the keys of the batch, unbatched."""
        fields: dict[str, npt.NDArray[Any]] = {
            "segmentation": frame.segmentation,
            "normal": frame.normal,
            "pointmap": frame.pointmap,
            "depth": frame.depth[..., None],
            "albedo": frame.albedo,
            "alpha": frame.alpha[..., None],
            "foreground": frame.foreground,
        }
        person = main_person(frame)
        sample: dict[str, Tensor | str] = {
            "image": torch.from_numpy(channels_first(frame.image)),
            **{name: to_tensor(field) for name, field in fields.items() if name in self.targets},
            "valid": torch.from_numpy(frame.valid[None]),
            "intrinsics": torch.tensor(frame.intrinsics, dtype=torch.float32),
            "affine": torch.eye(2, 3),
            "box": torch.tensor(box_of(person, self.image_size), dtype=torch.float32),
            "box_score": torch.tensor(1.0),
            "image_id": torch.tensor(index),
            "sample_index": torch.tensor(row),
            "sample": f"synthetic person, seed {self.seed}, index {index}",
        }
        if "keypoints" in self.targets:
            sample["keypoints"] = torch.from_numpy(self.keypoints(person))
        return sample

    def keypoints(self, person: PersonLabels | None) -> npt.NDArray[np.float32]:
        """Return a person's keypoints (K, 3), x, y, v, in the skeleton's vocabulary; zeros if unknown."""
        found = np.zeros((len(self.columns), 3), dtype=np.float32)
        if person is not None:
            known = self.columns >= 0
            found[known] = person.keypoints[self.source][self.columns[known]]
        return found


def find_source(skeleton: Skeleton) -> tuple[str, npt.NDArray[np.int64]]:
    """Return the generated vocabulary with most of a skeleton's points, and the place of each point in it.

    Returns:
        The vocabulary's name, and int64 (K,), -1 for points that it lacks.

    Raises:
        SettingError: no vocabulary has any of the points.
    """
    places = {name: skeleton.map_from(load_skeleton(name)) for name in SHIPPED}
    best = max(places, key=lambda name: int((places[name] >= 0).sum()))
    if not (places[best] >= 0).any():
        raise SettingError(
            f"data.skeleton: '{skeleton.name}' shares no keypoint's name with {', '.join(SHIPPED)}, which synthetic "
            "people have."
        )
    return best, places[best]


def main_person(frame: Frame) -> PersonLabels | None:
    """Return the person with the most pixels; None if nobody is visible."""
    return max(frame.people, key=lambda person: person.area, default=None)


def box_of(person: PersonLabels | None, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the box x, y, w, h, shape (4,), of a person, or of the whole picture (height, width)."""
    return np.array([-0.5, -0.5, size[1], size[0]]) if person is None else person.box


def to_tensor(field: npt.NDArray[Any]) -> Tensor:
    """Return classes (H, W) as int64, or a field (H, W, C) as (C, H, W)."""
    return torch.from_numpy(field.astype(np.int64) if field.ndim == 2 else channels_first(field))


def channels_first(field: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a field (H, W, C) as a contiguous (C, H, W) array."""
    return np.ascontiguousarray(field.transpose(2, 0, 1))


def build_ground_truth(dataset: SyntheticDataset) -> dict[str, list[dict[str, Any]]]:
    """Return a COCO dict of the largest person of each of the dataset's pictures, with the ids of its samples."""
    skeleton, (height, width) = dataset.skeleton, dataset.image_size
    category = {
        "id": 1,
        "name": "person",
        "keypoints": list(skeleton.keypoints),
        "skeleton": [[first + 1, second + 1] for first, second in skeleton.links],
    }
    images, annotations = [], []
    for index in range(dataset.start, dataset.start + len(dataset)):
        images.append({"id": index, "file_name": f"{index}", "height": height, "width": width})
        person = main_person(dataset.frame(index))
        if person is None:
            continue
        keypoints = dataset.keypoints(person)
        annotations.append(
            {
                "id": index - dataset.start + 1,
                "image_id": index,
                "category_id": 1,
                "bbox": person.box.tolist(),
                "area": person.area,
                "iscrowd": 0,
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "keypoints": keypoints.ravel().tolist(),
            }
        )
    return {"images": images, "annotations": annotations, "categories": [category]}
