"""Letterboxed or stretched: prediction does what the training of the model did, and maps come back right."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import PoseHead, SegmentationHead
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.to_original import restore_field
from sapiens2_lit.inference.trained_view import configured_view, released_view
from sapiens2_lit.inference.views import whole_view
from sapiens2_lit.transforms.geometric import apply_affine, invert

SIZE = (64, 48)


@pytest.mark.parametrize("image_size", [(100, 150), (150, 100), (40, 40), (20, 400), (1000, 60)])
def test_stretched_images_fill_the_input_and_come_back(image_size: tuple[int, int]) -> None:
    view = whole_view(0, image_size, SIZE, view="stretch")
    assert view.shown.size == SIZE
    corners = apply_affine(invert(view.affine), np.array([[-0.5, -0.5], [SIZE[1] - 0.5, SIZE[0] - 0.5]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [image_size[1] - 0.5, image_size[0] - 0.5]], atol=1e-9)
    grid = np.stack(np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0])), axis=-1).reshape(-1, 2)
    places = apply_affine(invert(view.affine), grid).reshape(*SIZE, 2).astype(np.float32)
    found = restore_field(places, view)
    truth = np.stack(np.meshgrid(np.arange(image_size[1]), np.arange(image_size[0])), axis=-1)
    error = np.abs(found - truth)
    pixel = np.maximum(1 / np.diag(view.affine[:, :2]), 1)
    assert (error.reshape(-1, 2).max(axis=0) < 0.6 * pixel + 0.1).all()


@pytest.mark.parametrize("image_size", [(64, 900), (2000, 48), (90, 300)])
def test_one_side_is_averaged_and_the_other_is_not(image_size: tuple[int, int]) -> None:
    """Stripes finer than an input pixel turn grey along the side that shrinks; nothing is lost along the other."""
    height, width = image_size
    stripes = np.zeros((height, width, 3), dtype=np.uint8)
    across = width / SIZE[1] > height / SIZE[0]
    stripes[:, ::2] = 255 if across else 0
    if not across:
        stripes[::2] = 255
    seen = whole_view(0, image_size, SIZE, view="stretch").render(stripes)
    assert np.abs(seen[4:-4, 4:-4].astype(int) - 127).max() < 30


@pytest.mark.parametrize("view", ["letterbox", "stretch"])
def test_released_tasks_have_their_view(view: str, tmp_path: Path) -> None:
    tasks = {"letterbox": ("normal", "pointmap", "albedo", "depth"), "stretch": ("seg", "matting")}
    assert {released_view(task, tmp_path) for task in tasks[view]} == {view}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_pad": True}))
    assert released_view("seg", tmp_path) == "letterbox", "its processor pads"


def test_a_run_that_says_nothing_letterboxed() -> None:
    assert configured_view({}) == "letterbox"
    assert configured_view({"data": {"init_args": {"view": "stretch"}}}) == "stretch"
    nested: dict[str, Any] = {"data": {"init_args": {"datasets": {"a": {"init_args": {"view": "stretch"}}}}}}
    assert configured_view(nested) == "stretch"
    with pytest.raises(SettingError, match=r"data.view is 'squash', expected letterbox or stretch"):
        configured_view({"data": {"init_args": {"view": "squash"}}})


def two_heads(view: Any) -> InferenceModel:
    torch.manual_seed(0)
    heads = {"pose": PoseHead(32, "coco17"), "seg": SegmentationHead(32)}
    return InferenceModel(Sapiens2("test", SIZE), heads, view=view)


def inputs_of(model: InferenceModel, predict: Callable[[Predictor], Any], **options: Any) -> list[Tensor]:
    """The images that the backbone sees."""
    seen: list[Tensor] = []
    inner = model.features

    def watch(images: Tensor) -> list[Tensor]:
        seen.append(images.clone())
        return inner(images)

    model.features = watch  # type: ignore[method-assign]
    predict(Predictor(model, **options))
    return seen


def test_people_are_never_stretched_and_images_are(picture: Callable[..., np.ndarray]) -> None:
    image = picture(60, 120)
    wide = inputs_of(two_heads("stretch"), lambda predictor: predictor.predict(image), detector=None)
    black = [float((one == 0).all(dim=1).float().mean()) for one in wide]
    assert len(wide) == 2, "the person apart from the picture"
    assert sorted(share > 0.4 for share in black) == [False, True]
    shared = inputs_of(two_heads("letterbox"), lambda predictor: predictor.predict(image), detector=None)
    assert len(shared) == 1


@pytest.mark.parametrize("options", [{}, {"flip": True, "scales": (1.0, 2.0)}, {"dense_view": "crop"}])
def test_maps_of_stretched_models_have_the_picture_s_size(
    options: dict[str, Any], picture: Callable[..., np.ndarray]
) -> None:
    predictor = Predictor(two_heads("stretch"), **options)
    for size in ((60, 120), (120, 60), (70, 70)):
        found = predictor.predict(picture(*size), [[10, 10, 30, 40]])
        assert found.maps["seg"]["segmentation"].shape == size
