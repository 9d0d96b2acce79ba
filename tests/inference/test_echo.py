"""A network that answers with its own input shows where everything lands: on the original image's pixels."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens2_lit.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import Head, LinearHead
from sapiens2_lit.heads.pose import to_original
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor

SIZE = (64, 48)


class Pixels(Backbone):
    """Feature maps are the normalised image."""

    embed_dim, depth, patch_size = 3, 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList()
        self.place = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images]

    def init_weights(self) -> None: ...

    def load_weights(self) -> None: ...

    def layer_depth(self, name: str) -> int:
        return 0


class Echo(Head):
    """The image itself, 0..1."""

    multi_scale = True

    def forward(self, features: list[Tensor]) -> Tensor:
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return (features[-1] * std + mean) / 255

    def unflip(self, outputs: Any) -> Tensor:
        return outputs.flip(-1)

    def loss(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {}

    def predict(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        return {"albedo": outputs, "sum": outputs.sum(dim=(1, 2, 3))}


class Brightest(Echo):
    """One keypoint: the brightest pixel's neighbourhood's middle."""

    top_down = True
    multi_scale = False

    def predict(self, outputs: Any, batch: dict[str, Any]) -> dict[str, Tensor]:
        light = outputs.sum(dim=1) ** 4
        height, width = light.shape[-2:]
        total = light.sum(dim=(1, 2))
        x = (light.sum(dim=1) * torch.arange(width)).sum(dim=1) / total
        y = (light.sum(dim=2) * torch.arange(height)).sum(dim=1) / total
        points = torch.stack([x, y, total], dim=1)[:, None]
        return {
            "keypoints": to_original(points, batch["affine"]),
            "score": batch["box_score"],
            "light": total,
        }


def ramp(height: int, width: int) -> np.ndarray:
    """(H, W, 3) 0..1: left to right, top to bottom, and both."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([x, y, (x + y) / 2], axis=-1)


def model(**heads: Head) -> InferenceModel:
    return InferenceModel(Pixels(), heads, image_size=SIZE)


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"scales": (1.0, 1.5, 0.75)}])
@pytest.mark.parametrize("image_size", [(64, 48), (200, 130), (90, 300), (25, 20)])
def test_images_come_back_as_they_are(image_size: tuple[int, int], options: dict[str, Any]) -> None:
    image = 255 * ramp(*image_size)
    found = Predictor(model(echo=Echo()), **options).predict(np.rint(image).astype(np.uint8))
    height, width = image_size
    pixel = max(height / SIZE[0], width / SIZE[1], 1)  # of the input, in original pixels
    border = int(np.ceil(2 * pixel))  # where the bars beside the image shine in
    inside = (slice(border, -border), slice(border, -border))
    error = np.abs(found.maps["echo"]["albedo"] * 255 - image)[inside]
    step = 255 / min(image_size)
    assert error.max() < 0.1 * pixel * step + 1.5  # a shift of a tenth of an input pixel, and rounding
    assert found.values["echo"]["sum"].shape == ()


def test_crops_come_back_as_they_are(picture: Any) -> None:
    image = picture(150, 200)
    boxes = [[20, 20, 50, 80], [60, 30, 60, 90], [-30, 100, 60, 70]]
    found = Predictor(model(echo=Echo()), dense_view="crop").predict(image, boxes)
    values = found.maps["echo"]["albedo"]
    known = np.isfinite(values).all(axis=2)
    for x, y, w, h in boxes:
        assert known[max(y, 0) : y + h, max(x, 0) : x + w].all()
    assert 0.3 < known.mean() < 0.9
    error = np.abs(values * 255 - image)[known]
    assert error.mean() < 2.5 and np.percentile(error, 99) < 12
    assert found.values["echo"]["sum"].shape == (3,)


def test_keypoints_are_in_original_pixels() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    lights = {(60.0, 90.0): [30, 40, 60, 100], (321.0, 204.0): [280, 150, 90, 120]}
    y, x = np.mgrid[:300, :400]
    for light_x, light_y in lights:
        image += (255 * np.exp(-((x - light_x) ** 2 + (y - light_y) ** 2) / 50)).astype(np.uint8)[..., None]
    predictor = Predictor(model(light=Brightest()))
    people = predictor.predict(image, list(lights.values())).instances
    for (light, box), person in zip(lights.items(), people, strict=True):
        assert person.head == "light" and person.box.tolist() == box
        np.testing.assert_allclose(person.keypoints[0, :2], light, atol=0.25)
        assert set(person.values) == {"light"}
    whole = np.zeros((300, 400, 3), np.uint8)
    whole[190:221, 90:111] = 255  # its middle is (100, 205)
    for other in (predictor, Predictor(model(light=Brightest(), echo=Echo()))):
        (person,) = other.predict(whole).instances
        assert person.box.tolist() == [0, 0, 400, 300]
        np.testing.assert_allclose(person.keypoints[0, :2], (100, 205), atol=1.0)


def test_a_head_of_people_must_say_where_their_keypoints_are(picture: Any) -> None:
    class Silent(Echo):
        top_down = True

    with pytest.raises(SettingError, match=r"silent: Silent is declared `top_down`, .*without `keypoints`"):
        Predictor(model(silent=Silent())).predict(picture(64, 48))


def test_heads_of_few_cells_average_over_sizes(picture: Any) -> None:
    """Their outputs are smaller than the input, and of another size at every scale."""
    torch.manual_seed(0)
    head = LinearHead(3)
    torch.nn.init.normal_(head.get_parameter("conv_seg.weight"))
    found = Predictor(model(linear=head), scales=(1.0, 1.5)).predict(picture(100, 80))
    assert found.maps["linear"]["segmentation"].shape == (100, 80)
    assert len(np.unique(found.maps["linear"]["segmentation"])) > 1
