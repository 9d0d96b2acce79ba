"""Settings that backbone, heads and data share: one place decides each."""

from typing import Any

from jsonargparse import Namespace

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import classes_loader, skeleton_loader

ALIASES = skeleton_loader.ALIASES | classes_loader.ALIASES


def share_settings(settings: Namespace) -> None:
    """Tell backbone and heads the data's image size, and the data the heads' vocabularies: one place decides each."""
    data = settings.data.get("init_args", Namespace())
    heads = [head.get("init_args", Namespace()) for head in settings.model.heads.values()]
    for network in (settings.model.backbone.get("init_args", Namespace()), *heads):
        if "image_size" in data and "image_size" in network:
            network.image_size = data.image_size
    for place, dataset in datasets_of(data).items():
        for head in heads:
            share_vocabularies(head, dataset, place)
            share_relative(head, dataset, place)


def datasets_of(data: Namespace) -> dict[str, Namespace]:
    """The settings of a datamodule, or of each one in a datamodule of several, by their place in the configuration."""
    nested = data.get("datasets")
    if not isinstance(nested, dict):
        return {"data": data}
    return {
        f"data.datasets.{name}": settings.init_args
        for name, settings in nested.items()
        if "init_args" in settings
    }


def share_vocabularies(head: Namespace, data: Namespace, place: str) -> None:
    """The data have the skeleton and the classes of the heads."""
    for vocabulary in ("skeleton", "classes"):
        predicted = head.get(vocabulary)
        if predicted is None or vocabulary not in data:
            continue
        if vocabulary == "classes" and place != "data" and data.get("masks", "masks") is None:
            continue  # another dataset has the masks
        if data[vocabulary] is not None and named(data[vocabulary]) != named(predicted):
            raise SettingError(
                f"{place}.{vocabulary} is {data[vocabulary]}, but the head predicts {predicted}: give one of them"
            )
        data[vocabulary] = predicted


def named(vocabulary: Any) -> Any:
    """A vocabulary's setting, aliases by the name that they stand for."""
    return ALIASES.get(str(vocabulary), vocabulary)


def share_relative(head: Namespace, data: Namespace, place: str) -> None:
    """Depth is relative for both or for neither: the head decides."""
    if "relative" not in head or "relative" not in data:
        return
    if data.relative and not head.relative:
        raise SettingError(
            f"{place}.relative is true, but the head predicts metres: set model.heads.NAME.relative, too"
        )
    data.relative = head.relative
