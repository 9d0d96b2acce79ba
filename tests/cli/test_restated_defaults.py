"""Complete runs say what differs from the defaults, and nothing else."""

import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

import pytest
import yaml
from lightning.pytorch import Trainer

from sapiens2_lit.cli.configs import find_config, shipped_configs
from sapiens2_lit.training.module import SapiensModule

SAID = {"view"}  # that of the released recipe, which a reader wants to see
RUNS = [name for name in shipped_configs() if "/" not in name]


def restated(settings: dict[str, Any], kind: type, place: str) -> Iterator[str]:
    """Settings of a class, and of those nested in them, that are its defaults."""
    hints, defaults = get_type_hints(kind.__init__), defaults_of(kind)
    for name, value in settings.items():
        here = f"{place}.{name}"
        if name not in SAID and name in defaults and plain(defaults[name]) == value:
            yield here
        elif isinstance(value, dict) and is_dataclass(hint := hints.get(name)) and isinstance(hint, type):
            yield from restated(value, hint, here)
        else:
            yield from restated_in(value, here)


def restated_in(value: Any, place: str) -> Iterator[str]:
    """The same of classes named somewhere in a value."""
    if isinstance(value, dict) and "class_path" in value:
        module, _, name = value["class_path"].rpartition(".")
        yield from restated(value.get("init_args", {}), getattr(import_module(module), name), place)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from restated_in(inner, f"{place}.{name}")


def defaults_of(kind: type) -> dict[str, Any]:
    """The defaults of all arguments of a class, those included that its bases take by `**shared`."""
    parameters = {
        name: parameter
        for base in reversed(kind.__mro__)
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
    }
    return {name: p.default for name, p in parameters.items() if p.default is not p.empty}


def plain(value: Any) -> Any:
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("name", RUNS)
def test_no_run_restates_a_default(name: str) -> None:
    settings = yaml.safe_load(find_config(name).read_text())
    found = [*restated(settings["trainer"], Trainer, "trainer"), *restated_in(settings["data"], "data")]
    found += restated(settings["model"], SapiensModule, "model")
    found += ["seed_everything"] if settings.get("seed_everything") == 0 else []
    assert not found
