"""Read how whole images were fitted to a network in training, letterboxed or stretched, and other data settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapiens2_lit.errors import WeightsError
from sapiens2_lit.transforms.crop import BOX_PADDING
from sapiens2_lit.transforms.whole_image import ImageView, check_view

STRETCHED = (
    "seg",
    "matting",
)  # tasks whose released models see stretched images; those of other tasks see letterboxed ones
PREPROCESSOR = "preprocessor_config.json"


def data_setting(config: Mapping[str, Any], name: str) -> Any:
    """Return a setting of a run's data, or of the first of its datasets that has it; None if none has."""
    settings = (config.get("data") or {}).get("init_args") or {}
    if settings.get(name) is not None:
        return settings[name]
    datasets = settings.get("datasets")
    nested = list(datasets.values()) if isinstance(datasets, Mapping) else []
    found = (data_setting({"data": data}, name) for data in nested if isinstance(data, Mapping))
    return next((value for value in found if value is not None), None)


def configured_view(config: Mapping[str, Any]) -> ImageView:
    """Return the view in a run's configuration; letterbox if it has none.

    Raises:
        SettingError: It is neither letterbox nor stretch.
    """
    found: ImageView = data_setting(config, "view") or "letterbox"
    check_view(found)
    return found


def released_view(task: str, place: Path) -> ImageView:
    """Return the view of a released task model: by its task, or letterbox if its image processor pads.

    Args:
        task: Name of the task in released files.
        place: The file or the folder, beside whose weights a preprocessor_config.json may lie.

    Raises:
        WeightsError: That file cannot be read.
    """
    path = (place if place.is_dir() else place.parent) / PREPROCESSOR
    if path.is_file():
        try:
            pads = json.loads(path.read_text(encoding="utf-8")).get("do_pad")
        except (OSError, ValueError, AttributeError) as error:
            raise WeightsError(f"{path}: expected JSON with settings; {error}.") from error
        if pads is True:
            return "letterbox"
    return "stretch" if task in STRETCHED else "letterbox"


def trained_padding(config: Mapping[str, Any]) -> float:
    """Return the factor on the sides of boxes that a model was trained with, or the default one."""
    padding = data_setting(config, "padding")
    return BOX_PADDING if padding is None else float(padding)
