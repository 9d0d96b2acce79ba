"""`predict` without boxes finds people by the mask of the model's own head."""

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Outputs
from sapiens2_lit.heads.matting import MattingHead
from sapiens2_lit.heads.pose import PoseHead
from sapiens2_lit.heads.segmentation import SegmentationHead
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.people.own_mask import head_classes
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.vocabularies import load_classes

WALL = 40  # darker is nobody; heads are brighter than bodies
BODY, HEAD = -0.5, 1.1  # from where on, as the network sees brightness


class Shows(Sapiens2):
    """A backbone whose feature map is the picture."""

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images.mean(dim=1, keepdim=True)]


class SeesBright(SegmentationHead):
    """A perfect head: who is bright is a person."""

    def forward(self, features: list[torch.Tensor]) -> Outputs:
        bright = features[-1]
        nobody, head = 10 * (BODY - bright), 10 * (bright - HEAD)
        body = torch.zeros_like(bright)
        return torch.cat([nobody, head, body, body - 100], dim=1)


class SeesMatte(MattingHead):
    """Likewise, without a word on heads."""

    def forward(self, features: list[torch.Tensor]) -> Outputs:
        return (features[-1] > BODY).float()

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        assert isinstance(outputs, torch.Tensor)
        return {"alpha": outputs * batch["valid"]}


class Draws(PoseHead):
    """A skeleton on the person who is nearest to the middle of the box.

    Args:
        people: their boxes.
    """

    def __init__(self, *people: tuple[int, int, int, int]) -> None:
        super().__init__(32, "coco17")
        self.people = torch.tensor(people, dtype=torch.float32).reshape(-1, 4)

    def forward(self, features: list[torch.Tensor]) -> Outputs:
        return features[-1]

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
        middles, boxes = (found[:, :2] + found[:, 2:] / 2 for found in (self.people, batch["box"]))
        nearest = self.people[torch.cdist(boxes, middles).argmin(dim=1)]
        x, y, width, height = nearest.T[:, :, None]
        across = 0.1 + 0.8 * (torch.arange(17) % 2)[None]
        down = torch.linspace(0.0, 1.0, 17)[None]
        score = torch.full_like(down, 0.8).expand(len(boxes), -1)
        keypoints = torch.stack([x + across * width, y + down * height, score], dim=-1)
        return {"keypoints": keypoints, "score": batch["box_score"] * 0.8}


def seg() -> SegmentationHead:
    return SeesBright(32, classes="body3")


def model(**heads: Any) -> InferenceModel:
    return InferenceModel(Shows("test", (64, 48)), heads)


def draw(size: tuple[int, int], *people: tuple[int, int, int, int]) -> np.ndarray:
    """A wall with people: ellipses with bright heads in boxes x, y, width, height."""
    image = np.full((*size, 3), WALL, dtype=np.uint8)
    for x, y, width, height in people:
        middle = (x + width // 2, y + height // 2)
        cv2.ellipse(image, middle, (width // 2, height // 2), 0, 0, 360, (140,) * 3, -1)
        cv2.circle(image, (middle[0], y + height // 8), height // 9, (220,) * 3, -1)
    return image


def boxes_of(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    found = predictor.predict(image)
    assert found.people_from == "mask"
    boxes = np.array([person.box for person in found.instances]).reshape(-1, 4)
    return boxes[np.argsort(boxes[:, 0])]


@pytest.mark.parametrize("head", [seg, lambda: SeesMatte(32)])
def test_each_person_gets_a_box(head: Any) -> None:
    people = [(20, 30, 60, 160), (150, 60, 50, 130), (260, 20, 40, 100)]
    predictor = Predictor(model(pose=Draws(*people), mask=head()))
    np.testing.assert_allclose(boxes_of(predictor, draw((240, 320), *people)), people, atol=6)


def test_an_empty_wall_has_nobody() -> None:
    people = [(20, 30, 60, 160)]
    predictor = Predictor(model(pose=Draws(*people), mask=seg()))
    assert len(boxes_of(predictor, draw((240, 320)))) == 0
    whole = Predictor(model(pose=Draws(*people), mask=seg()), detector=None).predict(draw((240, 320)))
    assert (len(whole.instances), whole.people_from) == (1, "picture")


@pytest.mark.parametrize("head", [seg, lambda: SeesMatte(32)])
def test_two_who_touch_are_two(head: Any) -> None:
    people = [(10, 30, 70, 180), (82, 40, 70, 170)]
    predictor = Predictor(model(pose=Draws(*people), mask=head()))
    np.testing.assert_allclose(boxes_of(predictor, draw((240, 180), *people)), people, atol=12)


def test_tiles_find_the_tiny() -> None:
    people = [(100, 80, 200, 560), (700, 300, 8, 20)]
    image = draw((720, 960), *people)
    heads = {"pose": Draws(*people), "mask": seg()}
    assert len(boxes_of(Predictor(model(**heads)), image)) == 1
    np.testing.assert_allclose(boxes_of(Predictor(model(**heads), tiles=6), image), people, atol=16)


def test_the_whole_is_seen_once_and_by_all_dense_heads() -> None:
    people = [(20, 30, 60, 160), (150, 60, 50, 130)]
    network = model(pose=Draws(*people), mask=seg(), matte=SeesMatte(32))
    sizes: list[int] = []
    network.backbone.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    image = draw((240, 320), *people)
    found = Predictor(network).predict(image)
    assert sizes == [1, 2], "the whole, then two people"
    assert set(found.maps) == {"mask", "matte"}
    crops = Predictor(network, dense_view="crop").predict(image)
    assert len(crops.instances) == 2
    assert set(crops.maps) == {"mask", "matte"}


def test_given_boxes_come_first() -> None:
    people = [(20, 30, 60, 160)]
    predictor = Predictor(model(pose=Draws(*people), mask=seg()))
    image = draw((240, 320), *people)
    given, found = predictor.predict([image, image], [[[1, 2, 30, 40]] * 3, None])
    assert (len(given.instances), given.people_from) == (3, "boxes")
    assert (len(found.instances), found.people_from) == (1, "mask")
    assert set(given.maps) == set(found.maps) == {"mask"}


def test_a_model_without_such_a_head_says_so() -> None:
    with pytest.raises(SettingError, match=r"detector: self: no head of memory \(pose\) tells people"):
        Predictor(model(pose=PoseHead(32, "coco17")), detector="self")
    with pytest.raises(SettingError, match="detector: found 'yolo', expected auto, self, None"):
        Predictor(model(pose=PoseHead(32, "coco17")), detector="yolo")  # type: ignore[arg-type]
    assert Predictor(model(pose=PoseHead(32, "coco17"))).own_mask is None


def test_heads_are_known_by_their_names() -> None:
    body29, body3 = load_classes("body29"), load_classes("body3")
    names = {body29.names[place] for place in head_classes(body29)}
    assert {"Face_Neck", "Hair"} <= names
    assert not any("Hand" in name or "Foot" in name or "Torso" in name for name in names)
    assert [body3.names[place] for place in head_classes(body3)] == ["head"]
