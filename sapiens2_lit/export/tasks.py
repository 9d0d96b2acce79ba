"""Find the task of a head, choose the head to export, and name alternatives if a format cannot hold it."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import NoReturn

from torch import nn

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.vocabularies.tasks import TASKS

ANY_HEADS = "--format onnx or --format torch-export, which hold any heads"


def task_of(head: nn.Module) -> str | None:
    """Return the task of a head with released names, or None."""
    found = next((task for task, row in TASKS.items() if isinstance(head, _class_at(row.head))), None)
    return found if found and hasattr(head, f"conv_{found}") else None


@cache
def _class_at(path: str) -> type[nn.Module]:
    module, _, name = path.rpartition(".")
    found: type[nn.Module] = getattr(import_module(module), name)
    return found


def choose_head(heads: Mapping[str, Head], name: str | None, form: str) -> tuple[str, Head]:
    """Return the one head that a format holds.

    Args:
        heads: By name.
        name: Of `--head`, or None.
        form: Name of the format.

    Raises:
        SettingError: There are several heads and no choice among them, or no such head.
    """
    found = ", ".join(heads)
    if name is None:
        if len(heads) == 1:
            return next(iter(heads.items()))
        raise SettingError(
            f"--format {form} holds one head, and the model has {len(heads)} ({found}): choose one by --head NAME, or "
            f"take {ANY_HEADS}"
        )
    if name not in heads:
        raise SettingError(f"--head {name}: the model has no such head, expected one of {found}")
    return name, heads[name]


def choose_heads(heads: Mapping[str, Head], name: str | None) -> dict[str, Head]:
    """Return all heads, or the one called `name`.

    Raises:
        SettingError: There is no such head.
    """
    return dict(heads) if name is None else dict([choose_head(heads, name, "onnx")])


def cannot_hold(form: str, name: str, head: nn.Module, why: str, instead: str = ANY_HEADS) -> NoReturn:
    """Raise an error that a format cannot hold a head, with formats that can.

    Args:
        form: Name of the format.
        name: Of the head.
        head: The head.
        why: The reason.
        instead: Formats that can.

    Raises:
        SettingError: Always.
    """
    raise SettingError(
        f"--format {form} cannot hold the head {name} ({type(head).__name__}): {why}; take {instead}"
    )
