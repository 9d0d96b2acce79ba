"""Configurations beside weights: what they ask for is done, or refused with its name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import sapiens2_lit
from sapiens2_lit.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from sapiens2_lit.backbones.layers import EPS
from sapiens2_lit.backbones.rope import THETA
from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.checkpoints.hf_config import NETWORK, PIXELS
from sapiens2_lit.checkpoints.lazy_safetensors import open_weights
from sapiens2_lit.errors import WeightsError

transformers = pytest.importorskip("transformers")
SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "num_key_value_heads_per_layer": [2, 2], "image_size": [64, 48], "key_bias": True,
    "head_config": {
        "upsample_out_channels": [32, 32, 32, 32], "conv_out_channels": [],
        "upsample_kernel_size": 4,
    },
}  # fmt: skip
NAMES = ["background", "shirt", "left_shoe", "right_shoe", "hat"]


def save(folder: Path, preprocessor: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A segmentation model as `transformers` saves it."""
    torch.manual_seed(0)
    config = transformers.Sapiens2Config(**SMALL, **settings)
    transformers.Sapiens2ForSemanticSegmentation(config).save_pretrained(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def labelled(names: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: place for place, name in enumerate(names)}}


def test_what_is_expected_is_what_the_backbones_do() -> None:
    assert (NETWORK["rope_theta"], NETWORK["rms_norm_eps"]) == (THETA, EPS)
    assert PIXELS["image_mean"] == pytest.approx([value / 255 for value in IMAGENET_MEAN])
    assert PIXELS["image_std"] == pytest.approx([value / 255 for value in IMAGENET_STD])


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_act", "gelu"), ("rope_theta", 50.0), ("rms_norm_eps", 1e-3)]
)
def test_other_networks_of_the_same_shapes_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    folder = save(tmp_path, **labelled(NAMES), **{key: value})
    for read in (read_weights, open_weights, sapiens2_lit.load):
        with pytest.raises(WeightsError, match=rf"config.json: `{key}` is {value!r}, expected"):
            read(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_mean", [0.5, 0.5, 0.5]),
        ("image_std", 0.5),
        ("do_normalize", False),
        ("rescale_factor", 1 / 127.5),
    ],
)
def test_other_pixel_values_are_refused(key: str, value: Any, tmp_path: Path) -> None:
    folder = save(tmp_path, {key: value}, **labelled(NAMES))
    with pytest.raises(WeightsError, match=rf"preprocessor_config.json: `{key}` is"):
        read_weights(folder)


def test_what_is_as_usual_is_read(tmp_path: Path) -> None:
    """As `transformers` writes it, in whatever number of digits."""
    usual = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_normalize": True}
    assert read_weights(save(tmp_path, usual, **labelled(NAMES))).tensors


def test_configurations_of_other_models_say_nothing_of_ours(tmp_path: Path) -> None:
    weights = read_weights(save(tmp_path, **labelled(NAMES))).tensors
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_act": "gelu"}))
    assert read_weights(tmp_path, task="seg").tensors.keys() == weights.keys()


def test_classes_are_those_that_the_configuration_names(tmp_path: Path) -> None:
    predictor = sapiens2_lit.load(save(tmp_path, **labelled(NAMES)), device="cpu")
    head = next(iter(predictor.model.heads.values()))
    assert head.classes.names == tuple(NAMES)
    assert head.classes.swap == (0, 1, 3, 2, 4) and head.classes.background == 0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"LABEL_{index}" for index in range(5)], "has 5 classes, but not their names"),
        (["hat"] * 5, "'hat' twice"),
    ],
)
def test_classes_without_names_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    save(tmp_path, **labelled(NAMES))
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {str(place): name for place, name in enumerate(names)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match=message):
        sapiens2_lit.load(tmp_path, device="cpu")
