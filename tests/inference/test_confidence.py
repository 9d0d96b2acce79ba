"""How sure heads are: by softmax, by the mirrored picture; asking for it changes no result."""

from typing import Any

import numpy as np
import pytest
import torch

from sapiens2_lit.inference.confidence import measure_of
from sapiens2_lit.inference.predictor import Predictor

SIZE = (64, 48)  # of the input, so that nothing is resampled


def predict(model: Any, image: np.ndarray, **settings: Any) -> Any:
    return Predictor(model, detector=None, batch_size=1, **settings).predict(image)


def test_classes_are_as_sure_as_their_softmax(make_model: Any, picture: Any) -> None:
    model, image = make_model("seg"), picture(*SIZE)
    found = predict(model, image, confidence=True)
    logits = model.evaluate(torch.from_numpy(image).permute(2, 0, 1)[None])["seg"][0].numpy()
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert found.confidences["seg"] == pytest.approx(shares.max(axis=0), abs=1e-5)
    assert np.array_equal(
        found.maps["seg"]["segmentation"], predict(model, image).maps["seg"]["segmentation"]
    )


def test_fields_are_as_sure_as_the_mirrored_picture_agrees(make_model: Any, picture: Any) -> None:
    names = ("normal", "depth", "pointmap", "albedo", "matting")
    model, image = make_model(*names), picture(*SIZE)
    found = predict(model, image, flip=True, confidence=True)
    plain, mirrored = (predict(model, one).maps for one in (image, np.ascontiguousarray(image[:, ::-1])))

    def pair(head: str, key: str) -> tuple[np.ndarray, np.ndarray]:
        return plain[head][key], mirrored[head][key][:, ::-1]

    normal, other = pair("normal", "normal")
    expected = {"normal": (normal * other * (-1, 1, 1)).sum(axis=2)}
    for head, key in (("depth", "depth"), ("pointmap", "depth")):
        near, far = pair(head, key)
        expected[head] = np.minimum(near, far) / np.maximum(near, far)
    for head, key in (("albedo", "albedo"), ("matting", "alpha")):
        one, two = pair(head, key)
        expected[head] = 1 - abs(one - two).max(axis=2)
    for name in names:
        assert found.confidences[name] == pytest.approx(expected[name].clip(0, 1), abs=1e-4), name
        assert found.confidences[name].std() > 0
    assert predict(model, image, confidence=True).confidences["normal"].min() == 1
    heads = dict(model.named_heads())
    assert [measure_of(heads["depth"], flip) for flip in (True, False)] == ["flip", "known"]
    assert predict(model, image, flip=True).confidences == {}
