"""Check the JSON files next to weights in the `transformers` layout: settings are supported, or refused by name."""

import json
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import WeightsError

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
MODEL_TYPE = "sapiens2"
NETWORK: dict[
    str, Any
] = {  # the only values that the backbones support and that the shapes of weights do not show
    "hidden_act": "silu",
    "rope_theta": 100.0,
    "rms_norm_eps": 1e-6,
    "use_gated_mlp": True,
    "use_qk_norm": True,
}
PIXELS: dict[str, Any] = {  # how RGB in 0..255 is normalized for backbones
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
_ROUNDED = 1e-4  # relative tolerance: files hold a mean in a few digits


def read_config(place: Path) -> dict[str, Any]:
    """Return the config.json in a folder, or beside a file; empty if there is none.

    Raises:
        WeightsError: It is not a JSON object.
    """
    return _read(folder_of(place) / CONFIG)


def check_configs(place: Path) -> None:
    """Refuse settings in config.json and preprocessor_config.json that the networks of this package do not support.

    Nothing is checked if config.json is missing, or belongs to another kind of model.

    Raises:
        WeightsError: A setting is not supported, or a file is not a JSON object; the message names the file, the key,
            what was found and what was expected.
    """
    config = read_config(place)
    if config.get("model_type") != MODEL_TYPE:
        return
    # newer versions of transformers group the settings of RoPE
    rope = config.get("rope_parameters")
    asked = {**rope, **config} if isinstance(rope, dict) else config
    _check(asked, NETWORK, folder_of(place) / CONFIG, "the network")
    if asked.get("rope_type", "default") != "default":
        raise WeightsError(
            f"{folder_of(place) / CONFIG}: `rope_type` is {asked['rope_type']!r}, expected 'default', the only one "
            "that the network supports."
        )
    if any(name.endswith("Backbone") for name in config.get("architectures") or []):
        _check(config, {"normalize_backbone_outputs": True}, folder_of(place) / CONFIG, "the network")
    preprocessor = folder_of(place) / PREPROCESSOR
    _check(_read(preprocessor), PIXELS, preprocessor, "image preprocessing")


def class_names(place: Path, count: int) -> tuple[str, ...] | None:
    """Return the names of `id2label` in config.json by index.

    None if it does not have `count` names, or has only LABEL_0, LABEL_1, and so on.

    Raises:
        WeightsError: Its keys are not the indices of the classes.
    """
    labels = read_config(place).get("id2label")
    if not isinstance(labels, dict) or len(labels) != count:
        return None
    if sorted(map(str, labels)) != sorted(map(str, range(count))):
        raise WeightsError(
            f"{folder_of(place) / CONFIG}: the keys of `id2label` are {', '.join(map(str, labels))}, expected 0 to "
            f"{count - 1}."
        )
    names = tuple(str(labels[str(index)]) for index in range(count))
    return None if names == tuple(f"LABEL_{index}" for index in range(count)) else names


def folder_of(place: Path) -> Path:
    """Return a folder itself, or the folder of a file."""
    return place if place.is_dir() else place.parent


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path}: expected a JSON object; {error}.") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a JSON object; found {type(content).__name__}.")
    return content


def _check(found: dict[str, Any], expected: dict[str, Any], path: Path, what: str) -> None:
    for key, value in expected.items():
        if key in found and found[key] is not None and not _same(found[key], value):
            raise WeightsError(
                f"{path}: `{key}` is {found[key]!r}, expected {value!r}: {what} of this project supports nothing else, "
                "and results would be wrong."
            )


def _same(found: Any, expected: Any) -> bool:
    """Compare two values; numbers may differ in their last digits."""
    if isinstance(expected, list):
        values = found if isinstance(found, list) else [found] * len(expected)
        return len(values) == len(expected) and all(map(_same, values, expected))
    if isinstance(expected, float):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return number and abs(found - expected) <= _ROUNDED * abs(expected)
    return bool(found == expected)
