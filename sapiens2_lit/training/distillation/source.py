"""Find the networks that a teacher's weights belong to, before building them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.licences import SAPIENS2
from sapiens2_lit.backbones.sizes import SIZES
from sapiens2_lit.checkpoints import open_weights, read_meta
from sapiens2_lit.checkpoints.hub_ids import is_hub_id, is_released
from sapiens2_lit.checkpoints.reader import PICKLES
from sapiens2_lit.checkpoints.runs import checkpoint_of_run
from sapiens2_lit.checkpoints.teachers import Origin, read_teachers
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.inference.build_from_config import read_factories
from sapiens2_lit.inference.from_released import (
    RELEASED_SIZE,
    RELEASED_SIZE_4K,
    config_of,
    find_folder,
    infer_settings,
)
from sapiens2_lit.inference.trained_view import data_setting
from sapiens2_lit.models.build import NetworkFactory
from sapiens2_lit.vocabularies.tasks import TASKS

_SHOWN = 5  # largest number of names in a message
MANIFEST = "sapiens2_lit.json"  # beside every export; says what it was derived from
_RELEASED = re.compile(rf"facebook/sapiens2-({'|'.join(TASKS)})-({'|'.join(map(re.escape, SIZES))})(-4k)?")


@dataclass(frozen=True)
class TeacherSource:
    """A teacher that is not built yet.

    Attributes:
        factory: Makes its network with its weights.
        image_size: (height, width) that it was trained at.
        origin: Origin of its weights.
    """

    factory: NetworkFactory
    image_size: tuple[int, int]
    origin: Origin


def find_teacher(weights: str, backbone: str | None = None, *, planned: bool = False) -> TeacherSource:
    """Read from its file what a teacher is, without its tensors.

    Args:
        weights: A run, a checkpoint, or a task model as a file, a folder or a hub id.
        backbone: Where the pretrained backbone of a checkpoint is, if it has moved.
        planned: Recognize released models that are not here by their names, without downloading them.

    Raises:
        SettingError: There is nothing.
        WeightsError: It has no head, or cannot be read.
    """
    path = Path(weights).expanduser()
    place = checkpoint_of_run(path) or path
    if not place.exists() and planned and (named := settings_by_name(weights)) is not None:
        return _made(
            weights, weights, {"model": named}, named["backbone"]["init_args"]["image_size"], backbone
        )
    if not place.exists() and not is_hub_id(weights):
        raise SettingError(
            f"model.teacher.weights: found {weights!r}, and there is no such file or folder; expected a run, a "
            "checkpoint (.ckpt), a task model, or a hub id such as facebook/sapiens2-seg-1b"
        )
    if not place.exists() and path.parent.name and path.parent.is_dir():
        near = ", ".join(sorted(one.name for one in path.parent.iterdir() if one.is_dir())[:_SHOWN])
        raise SettingError(
            f"model.teacher.weights: found {weights!r}; {path.parent} is a folder here and has no {path.name}"
            + (f", but {near}" if near else "")
        )
    config = saved_config(place)
    if config is not None:
        return _made(weights, str(place), config, data_setting(config, "image_size"), backbone)
    folder = find_folder(str(place) if place.exists() else weights)
    config = config_of(folder) or {"model": infer_settings(open_weights(folder).tensors, folder, weights)}  # type: ignore[arg-type]  # needs only shapes
    return _made(weights, str(folder), config, None, backbone)


def saved_config(place: Path) -> dict[str, Any] | None:
    """Return the configuration in a checkpoint of this package; None for other files.

    Raises:
        WeightsError: It is a checkpoint of `pretrain`, which has no heads.
    """
    whole = place.is_file() and place.suffix in (*PICKLES, ".safetensors")
    meta = read_meta(place) if whole or (place / "meta.pt").is_file() else {}
    if "objective" in meta:
        raise WeightsError(
            f"model.teacher.weights: {place} is a checkpoint of `pretrain`, which has no head to teach by; expected "
            "a run of `fit` or a task model"
        )
    return dict(meta.get("config") or {}) if meta else None


def settings_by_name(weights: str) -> dict[str, Any] | None:
    """Return the settings of a released task model by its name, as `infer_settings` finds them from its tensors."""
    if (found := _RELEASED.fullmatch(weights)) is None:
        return None
    task, size, large = found.groups()
    image_size = list(RELEASED_SIZE_4K if large else RELEASED_SIZE)
    head: dict[str, Any] = {"decoder": "deconv" if task in ("pose", "seg") else "pixel_shuffle"}
    if task == "pointmap":
        head |= {"image_size": image_size, "patch_size": 64 if large else 16}
    backbone = {"size": size, "image_size": image_size, "window_tokenizer": bool(large)}
    return {
        "backbone": {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": backbone},
        "heads": {task: {"class_path": TASKS[task].head, "init_args": head}},
    }


def _made(
    weights: str, place: str, config: Mapping[str, Any], image_size: Any, moved: str | None
) -> TeacherSource:
    make_backbone, make_heads = read_factories(config, place)
    factory = NetworkFactory(make_backbone, make_heads, place, reuse_rows=False)
    backbone = factory.build_empty().backbone
    if moved is not None:  # `load_task_file` looks there for what the checkpoint lacks
        factory = replace(factory, backbone=_at(make_backbone, moved))
    size = backbone.image_size or image_size
    if size is None:
        raise WeightsError(
            f"{place}: does not say the image size that it was trained at; expected data.image_size"
        )
    return TeacherSource(factory, (size[0], size[1]), origin_of(weights, place, config, backbone))


def _at(make: Any, weights: str) -> Any:
    def made() -> Backbone:
        backbone: Backbone = make()
        backbone.weights = weights
        return backbone

    return made


def origin_of(weights: str, place: str, config: Mapping[str, Any], backbone: Backbone) -> Origin:
    """Return what a teacher was derived from: what an export or a checkpoint says, else the teacher itself.

    Args:
        weights: The teacher, as the user named it.
        place: Its file or folder.
        config: Its configuration.
        backbone: Its backbone.
    """
    path = Path(place)
    manifest = (path if path.is_dir() else path.parent) / MANIFEST
    if manifest.is_file():
        said = json.loads(manifest.read_text(encoding="utf-8")).get("derived_from", {})
        return Origin(weights, said.get("base"), said.get("hub_id"), said.get("licence"))
    own = licence_of(backbone)
    if saved_config(path) is None:  # a task model
        return Origin(
            weights, weights, weights if is_hub_id(weights) else None, own or licence_of_name(weights)
        )
    inherited = [one for one in read_teachers(place) if one.base is not None]
    model: Mapping[str, Any] = config.get("model") or {}
    settings = (model.get("backbone") or {}).get("init_args") or {}
    start = model.get("weights") or settings.get("weights")
    if start:
        licence = own or licence_of_name(str(start))
        return Origin(weights, str(start), str(start) if is_hub_id(str(start)) else None, licence)
    return replace(inherited[0], weights=weights) if inherited else Origin(weights, None, None, None)


def licence_of(backbone: Backbone) -> str | None:
    """Return the license of a backbone's weights; all weights of Sapiens are Meta's or derived from Meta's."""
    return backbone.released_licence or backbone.licence


def licence_of_name(weights: str) -> str | None:
    """Return the license of weights by their name, None if the name does not tell."""
    return SAPIENS2 if is_released(weights) else None
