"""Link settings that backbone, heads and data share: each is set in one place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import load_classes, load_skeleton
from sapiens2_lit.vocabularies.written_out import ALIASES, is_file_name, written_out


def share_settings(settings: Namespace) -> None:
    """Give backbone and heads the data's image size, and the data the heads' vocabularies."""
    data = settings.data.get("init_args", Namespace())
    heads = [head.get("init_args", Namespace()) for head in settings.model.heads.values()]
    for network in (settings.model.backbone.get("init_args", Namespace()), *heads):
        if "image_size" in data and "image_size" in network:
            network.image_size = data.image_size
    datasets = datasets_of(data)
    find_vocabularies(
        {f"model.heads.{name}": head for name, head in zip(settings.model.heads, heads, strict=True)}, data
    )
    for place, dataset in datasets.items():
        find_vocabularies({place: dataset}, dataset)
        for number, source in enumerate(dataset.get("sources") or []):
            if isinstance(source, Namespace):
                find_vocabularies({f"{place}.sources[{number}]": source}, source)
        for head in heads:
            share_vocabularies(head, dataset, place)
            share_relative(head, dataset, place)


def datasets_of(data: Namespace) -> dict[str, Namespace]:
    """Return the settings of each datamodule by its place in the configuration: of a single one, or of several."""
    nested = data.get("datasets")
    if not isinstance(nested, dict):
        return {"data": data}
    return {
        f"data.datasets.{name}": settings.init_args
        for name, settings in nested.items()
        if "init_args" in settings
    }


def find_vocabularies(owners: Mapping[str, Namespace], data: Namespace) -> None:
    """Find files of vocabularies also below the data's root and in `annotations` there.

    Args:
        owners: Settings that may name vocabularies, by their place in the configuration; changed in place.
        data: Settings of the data, whose folders are searched.

    Raises:
        SettingError: A file is nowhere; the message lists the searched places.
    """
    roots = [Path(one.root).expanduser() for one in datasets_of(data).values() if one.get("root")]
    folders = [folder for root in roots for folder in (root, root / "annotations")]
    for place, settings in owners.items():
        for key in ("skeleton", "classes", "file_skeleton"):
            given = settings.get(key)
            if not isinstance(given, str | Path) or not is_file_name(str(given)):
                continue
            path = Path(given).expanduser()
            places = [path, *(folder / path for folder in folders)]
            found = next((one for one in places if one.exists()), None)
            if found is None:
                looked = ", ".join(map(str, dict.fromkeys(places)))
                raise SettingError(
                    f"{place}.{key} is {given}, and there is no such file (looked for {looked})."
                )
            if found != path:
                settings[key] = str(found)


def with_vocabularies(config: dict[str, Any]) -> dict[str, Any]:
    """Write the user's own vocabularies out in a run's configuration, in place, and return it.

    Checkpoints hold it, and are read on machines without the data and the vocabulary files.
    """
    for head in (config["model"].get("heads") or {}).values():
        settings = (head or {}).get("init_args") or {}
        for key, load in (("skeleton", load_skeleton), ("classes", load_classes)):
            if isinstance(settings.get(key), str) and is_file_name(settings[key]):
                settings[key] = written_out(load(settings[key]))
    return config


def share_vocabularies(head: Namespace, data: Namespace, place: str) -> None:
    """Give the data the skeleton and the classes of a head.

    Args:
        head: Settings of the head.
        data: Settings of the data; changed in place.
        place: Of the data in the configuration, for messages.

    Raises:
        SettingError: The data's setting contradicts the head's.
    """
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
    """Return a vocabulary's setting, with an alias replaced by its name."""
    return ALIASES.get(str(vocabulary), vocabulary)


def share_relative(head: Namespace, data: Namespace, place: str) -> None:
    """Make depth relative for both data and head, or for neither; the head decides.

    Args:
        head: Settings of the head.
        data: Settings of the data; changed in place.
        place: Of the data in the configuration, for messages.

    Raises:
        SettingError: The data's depth is relative, but the head's is not.
    """
    if "relative" not in head or "relative" not in data:
        return
    if data.relative and not head.relative:
        raise SettingError(
            f"{place}.relative is true, but the head predicts meters: set model.heads.NAME.relative, too"
        )
    data.relative = head.relative
