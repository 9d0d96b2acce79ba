"""Extract the configuration of exported networks, without settings of one machine or of training."""

import copy
from collections.abc import Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.trained_view import data_setting
from sapiens2_lit.vocabularies.written_out import is_file_name, written_out

VOCABULARIES = ("skeleton", "classes")


def portable_config(model: InferenceModel, heads: Mapping[str, Head]) -> dict[str, Any]:
    """Return the configuration of the given heads in the form that `fit` saves; empty if it is unknown.

    The form is `{"model": {"backbone": ..., "heads": ...}, "data": ...}`. `data` has only what prediction depends on:
    how images and people are shown. Vocabularies are written out, since the export is used without the user's files;
    weights are left out, since the export contains them.
    """
    settings = model.config.get("model")
    if not isinstance(settings, Mapping) or not settings.get("backbone") or not settings.get("heads"):
        return {}
    backbone = copy.deepcopy(dict(settings["backbone"]))
    backbone.get("init_args", {}).pop("weights", None)
    chosen = {name: copy.deepcopy(dict(settings["heads"][name])) for name in heads}
    for name, head in heads.items():
        for key, vocabulary in (("skeleton", head.skeleton), ("classes", head.classes)):
            if vocabulary is not None and not is_shipped(settings["heads"][name], key):
                chosen[name].setdefault("init_args", {})[key] = written_out(vocabulary)
    padding = data_setting(model.config, "padding")
    data = {"view": model.view} | ({} if padding is None else {"padding": padding})
    exported: dict[str, Any] = {"backbone": backbone, "heads": chosen}
    if any(head.takes_shared for head in heads.values()):
        exported["shared_decoder"] = True
    return {"model": exported, "data": {"init_args": data}}


def is_shipped(head: Mapping[str, Any], key: str) -> bool:
    """Return whether a head's vocabulary is one of the package, by name or by default."""
    given = (head.get("init_args") or {}).get(key)
    return given is None or (isinstance(given, str) and not is_file_name(given))


def without_places(value: Any) -> Any:
    """Return a copy of settings with absolute paths cut to their last part, since strangers read the card."""
    if isinstance(value, Mapping):
        return {key: without_places(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(entry) for entry in value]
    if isinstance(value, str):
        for kind in (PurePath, PureWindowsPath):
            if kind(value).is_absolute() or value.startswith("~"):
                return kind(value).name
    return value
