"""Names of the rows of a head's last layer in weights: keypoints or classes, as far as files tell."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sapiens2_lit.checkpoints.format import VOCABULARIES, VOCABULARY
from sapiens2_lit.checkpoints.hf_config import class_names
from sapiens2_lit.checkpoints.lazy_safetensors import Readable
from sapiens2_lit.checkpoints.reader import locate, read_meta
from sapiens2_lit.checkpoints.sapiens1_names import is_sapiens1
from sapiens2_lit.checkpoints.task_config import CONFIG
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.vocabularies import Classes, Skeleton, load_classes, load_skeleton
from sapiens2_lit.vocabularies.synonyms import Kind

SKELETONS = {17: "coco17", 133: "coco_wholebody133", 308: "sociopticon308"}
CLASSES = {29: "body29"}
CLASSES_V1 = {28: "body28"}
RELEASED = "decode_head"  # name of the head of a file in the released layout
_LAYERS: dict[str, Kind] = {"conv_pose": "keypoints", "conv_seg": "classes"}
_SETTINGS: dict[str, Kind] = {"skeleton": "keypoints", "classes": "classes"}


@dataclass(frozen=True)
class HeadNames:
    """The names of the rows of a head's last layer, in order."""

    kind: Kind
    name: str
    names: tuple[str, ...]


def names_of(vocabulary: Skeleton | Classes) -> HeadNames:
    """Return the names of a vocabulary."""
    if isinstance(vocabulary, Skeleton):
        return HeadNames("keypoints", vocabulary.name, vocabulary.keypoints)
    return HeadNames("classes", vocabulary.name, vocabulary.names)


def to_json(names: HeadNames) -> dict[str, Any]:
    """Return a head's names as checkpoints hold them."""
    return {"name": names.name, names.kind: list(names.names)}


def read_head_names(source: str, tensors: Mapping[str, Readable]) -> dict[str, HeadNames]:
    """Return the row names of each head of opened weights, from the file or by the number of rows of released models.

    Args:
        source: Source of the weights, as `open_weights` takes it.
        tensors: Their tensors: `heads.NAME.*`, or `decode_head.*` in the released layout.

    Returns:
        Names by NAME or `decode_head`; heads with unknown names are left out.

    Raises:
        WeightsError: The file cannot be read, or its names are not a list of names.
    """
    files, _ = locate(source, download=False)
    said = _said_by(files[0], tensors)
    classes = released_classes(tensors)
    found = dict(said)
    for name, tensor in tensors.items():
        head, _, layer = name.removeprefix("heads.").partition(".")
        kind = _LAYERS.get(layer.removesuffix(".weight")) if layer.endswith(".weight") else None
        if kind is None:
            continue
        count = tensor.shape[0]
        if head in said and (said[head].kind != kind or len(said[head].names) != count):
            del found[head]  # the names do not belong to this file
        elif head not in said and kind == "keypoints" and count in SKELETONS:
            found[head] = names_of(load_skeleton(SKELETONS[count]))
        elif head not in said and kind == "classes" and count in classes:
            found[head] = names_of(load_classes(classes[count]))
    return found


def released_classes(names: Iterable[str]) -> dict[int, str]:
    """Return the vocabularies of released models with a backbone of these names, by their number of classes."""
    return CLASSES_V1 if is_sapiens1(names) else CLASSES


def _said_by(file: Path, tensors: Mapping[str, Readable]) -> dict[str, HeadNames]:
    """Return the names in a checkpoint of this package, in a task file's header or in the config.json beside it."""
    meta = read_meta(file)
    if meta:
        return _of_config(meta.get("config") or {}) | _of_meta(meta, file)
    said: dict[str, HeadNames] = {}
    for layer, kind in _LAYERS.items():
        tensor = tensors.get(f"{RELEASED}.{layer}.weight")
        if tensor is not None and (names := class_names(file, tensor.shape[0])):
            said[RELEASED] = HeadNames(kind, "config.json", names)
    return said | _of_header(file)


def _of_meta(meta: Mapping[str, Any], file: Path) -> dict[str, HeadNames]:
    given = meta.get(VOCABULARIES) or {}
    if not isinstance(given, Mapping):
        raise WeightsError(f"{file}: {VOCABULARIES}: found {type(given).__name__}, expected a mapping.")
    return {str(head): _from_json(one, f"{file}: {VOCABULARIES}.{head}") for head, one in given.items()}


def _of_header(file: Path) -> dict[str, HeadNames]:
    """Return the names in the header that `take_head` and `export` write; the one head may have any name there."""
    if file.suffix != ".safetensors":
        return {}
    with safe_open(file, framework="pt") as opened:
        header = opened.metadata() or {}
    try:
        if VOCABULARY in header:
            return {RELEASED: _from_json(json.loads(header[VOCABULARY]), f"{file}: {VOCABULARY}")}
        config = json.loads(header.get(CONFIG, "{}"))
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: expected safetensors with a readable header; {error}.") from error
    of_heads = list(_of_config(config).values()) if isinstance(config, Mapping) else []
    return {RELEASED: of_heads[0]} if len(of_heads) == 1 else {}


def _from_json(value: Any, where: str) -> HeadNames:
    for kind in _SETTINGS.values():
        names = value.get(kind) if isinstance(value, Mapping) else None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return HeadNames(kind, str(value.get("name", "")), tuple(names))
    raise WeightsError(f"{where}: expected `keypoints` or `classes`, a list of names.")


def _of_config(config: Mapping[str, Any]) -> dict[str, HeadNames]:
    """Return the vocabularies that a run's configuration names or contains."""
    model = config.get("model")
    heads = model.get("heads") if isinstance(model, Mapping) else None
    found = {}
    for head, settings in heads.items() if isinstance(heads, Mapping) else ():
        given = settings.get("init_args") if isinstance(settings, Mapping) else None
        if not isinstance(given, Mapping):
            continue
        for setting, kind in _SETTINGS.items():
            if (names := _of_setting(given.get(setting), kind)) is not None:
                found[str(head)] = names
    return found


def _of_setting(value: Any, kind: Kind) -> HeadNames | None:
    if isinstance(value, str):
        try:
            return names_of(load_skeleton(value) if kind == "keypoints" else load_classes(value))
        except SettingError:  # a user's file that is not here: the names stay unknown
            return None
    names = value.get("keypoints" if kind == "keypoints" else "names") if isinstance(value, Mapping) else None
    if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
        return HeadNames(kind, str(value["name"]) if "name" in value else "", tuple(names))
    return None
