"""Tiny models for prediction, and pictures to predict on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction

MakeModel = Callable[..., InferenceModel]
MakePicture = Callable[..., np.ndarray]

SIZE = (64, 48)
HEADS: dict[str, Callable[[], Head]] = {
    "pose": lambda: PoseHead(32, "coco17"),
    "seg": lambda: SegmentationHead(32),
    "normal": lambda: NormalHead(32),
    "pointmap": lambda: PointmapHead(32, image_size=SIZE),
    "depth": lambda: DepthHead(32),
    "albedo": lambda: AlbedoHead(32),
    "matting": lambda: MattingHead(32),
}


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    """A model of 64 x 48 pixels with some heads, or all, and fresh weights, the same each time."""

    def make(*names: str) -> InferenceModel:
        torch.manual_seed(0)
        return InferenceModel(Sapiens2("test", SIZE), {name: HEADS[name]() for name in names or HEADS})

    return make


@pytest.fixture(scope="session")
def every_head(make_model: MakeModel) -> InferenceModel:
    return make_model()


@pytest.fixture(scope="session")
def picture() -> MakePicture:
    """RGB uint8 of a size, smooth, so that resampling loses little."""

    def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        few = torch.from_numpy(rng.uniform(0, 255, (1, 3, 6, 5)).astype(np.float32))
        many = F.interpolate(few, (height, width), mode="bicubic", align_corners=False)
        return many[0].permute(1, 2, 0).clamp(0, 255).round().to(torch.uint8).numpy()

    return draw


@pytest.fixture(scope="session")
def maps_of() -> Callable[[Prediction], dict[tuple[str, str], np.ndarray]]:
    """All maps of a prediction by head and key."""

    def collect(prediction: Prediction) -> dict[tuple[str, str], np.ndarray]:
        return {(head, key): value for head, maps in prediction.maps.items() for key, value in maps.items()}

    return collect
