"""Check that class paths in the user's own configuration, which is trusted, are of the expected kind.

jsonargparse accepts any callable where a setting builds a network, and calls it with the given arguments.
"""

import importlib
import inspect
import typing
from typing import Any

from jsonargparse import Namespace
from torch.optim import Optimizer

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.training.loss_weighting import LossWeighting


def check_kinds(model: Namespace) -> None:
    """Check that the settings of backbone, heads, balancer and optimizer build objects of these kinds, before they do.

    Args:
        model: The settings of the module, parsed.

    Raises:
        SettingError: Naming the setting, the class path and the class whose subclass is expected.
    """
    check_kind(model.get("backbone"), Backbone, "model.backbone")
    for name, head in (model.get("heads") or {}).items():
        check_kind(head, Head, f"model.heads.{name}")
    check_kind(model.get("balance"), LossWeighting, "model.loss_weighting")
    check_kind(model.get("optimizer"), Optimizer, "model.optimizer")


def check_kind(value: Any, base: type, place: str) -> None:
    """Check one setting: a class path with arguments, or a class or function that was named alone.

    Args:
        value: The setting.
        base: The class whose subclass is expected.
        place: Name of the setting, for messages.

    Raises:
        SettingError: It builds something else.
    """
    path = value.get("class_path") if isinstance(value, Namespace | dict) else None
    made = found_at(path) if path is not None else value
    if made is None or hasattr(made, "func"):  # a default, as a partial
        return
    if not isinstance(made, type):  # judge a function by its return annotation
        made = typing.get_type_hints(made).get("return") if inspect.isfunction(made) else None
    if not (isinstance(made, type) and issubclass(made, base)):
        raise SettingError(
            f"{place}: {path or value} is not a subclass of {base.__name__} ({base.__module__}.{base.__qualname__})"
        )


def found_at(path: str) -> Any:
    """Return the object that a class path names, which was imported when the path was parsed; None if there is none."""
    module, names = path, list[str]()
    while "." in module:
        module, _, name = module.rpartition(".")
        names.insert(0, name)
        try:
            found: Any = importlib.import_module(module)
        except ModuleNotFoundError:
            continue
        for name in names:
            found = getattr(found, name, None)
        return found
    return None
