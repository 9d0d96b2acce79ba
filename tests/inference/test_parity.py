"""Predictions equal the Trainer's, in the original image's pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from sapiens2_lit.data.datasets.dense import DenseDataset
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.to_original import restore_vectors
from sapiens2_lit.inference.views import whole_view
from sapiens2_lit.training.module import SapiensModule

SIZE = (64, 48)


def as_module(model: InferenceModel, flip: bool) -> SapiensModule:
    """The same networks, in what a Trainer runs."""
    makers = {name: (lambda width, head=head: head) for name, head in model.named_heads()}
    module = SapiensModule(lambda: model.backbone, makers, flip_test=flip)
    module.set_network(model)
    return module.eval()


def with_trainer(module: SapiensModule, batch: dict[str, Any]) -> dict[str, dict[str, torch.Tensor]]:
    with torch.no_grad():
        return module.predict_step(batch, 0)


def channels_last(tensor: torch.Tensor) -> np.ndarray:
    array = tensor.numpy()
    return array if array.ndim == 2 else np.moveaxis(array, 0, 2)


@pytest.mark.parametrize("flip", [False, True])
def test_an_image_of_the_input_s_size_gives_what_the_trainer_gives(
    maps_of: Any, flip: bool, every_head: InferenceModel, picture: Any
) -> None:
    image = picture(*SIZE)
    found = Predictor(every_head, flip=flip, detector=None).predict(image)
    batch = {
        "image": torch.from_numpy(image).permute(2, 0, 1)[None],
        "affine": torch.eye(3)[None, :2],
    }
    expected = with_trainer(as_module(every_head, flip), batch)
    (person,) = found.instances
    np.testing.assert_allclose(person.keypoints, expected["pose"]["keypoints"][0], rtol=0, atol=1e-5)
    assert person.score == pytest.approx(float(expected["pose"]["score"][0]), abs=1e-6)
    for (head, key), values in maps_of(found).items():
        tensor = expected[head][key][0]
        truth = channels_last(tensor)[..., 0] if key == "depth" else channels_last(tensor)
        assert values.shape == truth.shape, (head, key)
        np.testing.assert_allclose(values, truth, rtol=0, atol=1e-5, err_msg=f"{head} {key}")
    assert found.focal == pytest.approx(float(expected["pointmap"]["focal"][0]), rel=1e-6)
    assert found.values["pointmap"]["scale"] == pytest.approx(float(expected["pointmap"]["scale"][0]))


def test_people_are_found_where_the_trainer_finds_them(figures: Path, make_model: Any) -> None:
    """Through the datamodule's own crops, in pixels of the photographs."""
    model = make_model("pose")
    boxes = "annotations/val.json"
    data = PoseDataModule(str(figures), "coco17", SIZE, test=boxes, num_workers=0)
    data.setup("test")
    dataset = data.datasets["test"]
    batch = default_collate([dataset[index] for index in range(len(dataset))])
    expected = with_trainer(as_module(model, True), batch)["pose"]
    content = json.loads((figures / boxes).read_text())
    paths = {image["id"]: figures / "images" / image["file_name"] for image in content["images"]}
    of = {key: [one["bbox"] for one in content["annotations"] if one["image_id"] == key] for key in paths}
    predictions = Predictor(model, flip=True, batch_size=3).predict(list(paths.values()), list(of.values()))
    people = [person for prediction in predictions for person in prediction.instances]
    assert len(people) == len(dataset) >= 6
    order = {int(image_id): row for row, image_id in enumerate(batch["image_id"])}
    for image_id, prediction in zip(paths, predictions, strict=True):
        (person,) = prediction.instances
        truth = expected["keypoints"][order[image_id]].numpy()
        np.testing.assert_allclose(person.keypoints, truth, rtol=0, atol=1e-4)


def test_letterboxed_fields_are_the_trainer_s_brought_back(
    make_model: Any, picture: Any, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(picture(150, 90)).save(tmp_path / "images" / "a.png")
    dataset = DenseDataset(tmp_path / "images", ["a.png"], [], SIZE)
    model = make_model("normal")
    batch = default_collate([dataset[0]])
    expected = with_trainer(as_module(model, False), batch)["normal"]["normal"][0]
    found = Predictor(model).predict(tmp_path / "images" / "a.png").maps["normal"]["normal"]
    restored = restore_vectors(channels_last(expected), whole_view(0, (150, 90), SIZE))
    np.testing.assert_allclose(found, restored, rtol=0, atol=1e-5)
