"""List all settings of one run, those of its chosen classes included: keys, values and descriptions."""

import functools
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import lightning as L
from docstring_parser import parse
from jsonargparse import Namespace

from sapiens2_lit.checkpoints.untrusted_config import base_of, choices_of, parameter_types
from sapiens2_lit.cli.class_kinds import found_at
from sapiens2_lit.cli.config_files import lifted
from sapiens2_lit.cli.fit_options import BEST, CALLBACKS, OPTIONS
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.pretraining.module import PretrainModule

OF_LIGHTNING = {
    "seed_everything": "Seed of all random generators.",
    "ckpt_path": "Go on from this checkpoint: a path, or last, best or auto of --output.",
    "weights_only": "Load only tensors from checkpoints.",
}
ALWAYS = (
    "config",
    "print_config",
    "help",
    "help_all",
    "model",
    "data",
    "trainer",
)  # keys that are not settings


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        key: As on the command line, without dashes.
        value: In this run, or by default.
        text: One sentence that describes it; empty if its class has none.
        hint: Its type.
    """

    key: str
    value: Any
    text: str
    hint: Any = Any


def trained_by(command: str) -> tuple[type, Mapping[str, type]]:
    """Return the module class that a command trains, and the callbacks whose settings are its options."""
    if command != "pretrain":
        return SapiensModule, CALLBACKS
    from sapiens2_lit.cli.before_after import Comparison
    from sapiens2_lit.cli.pretrain import CALLBACKS as OWN

    return PretrainModule, {**OWN, "comparison": Comparison}


def run_settings(
    values: Mapping[str, Any], module: type = SapiensModule, callbacks: Mapping[str, type] = CALLBACKS
) -> list[Setting]:
    """Return all settings of a run.

    Args:
        values: The known settings: parsed, or files and options merged by `config_files.merged`.
        module: Class that is trained.
        callbacks: Classes whose settings are options.
    """
    values = lifted(plain(values))
    found = [
        Setting(name, values.get(name, one.get("default")), one["help"]) for name, one in OPTIONS.items()
    ]
    found += [Setting(name, values.get(name), text) for name, text in OF_LIGHTNING.items()]
    defaults = {name: _under(BEST, name) for name in callbacks}
    for name, kind in (("data", None), ("model", module), ("trainer", L.Trainer), *callbacks.items()):
        given = values.get(name)
        given = {"class_path": given} if isinstance(given, str) else given or {}
        kind = kind or class_at(given.get("class_path"), "sapiens2_lit.datamodules")
        if kind is not None:
            found += settings_of(kind, defaults.get(name, {}) | given, f"{name}.")
    return found


def settings_of(kind: type, values: Mapping[str, Any], prefix: str, given: int = 0) -> Iterator[Setting]:
    """Yield the settings of a class, and of the classes that its arguments are built by.

    Args:
        kind: The class.
        values: Of its arguments, as far as they are known.
        prefix: Of the keys.
        given: Number of first arguments that are not settings, since the caller supplies them.
    """
    for name, hint in list(parameter_types(kind).items())[given:]:
        if name in ("args", "kwargs"):
            continue
        value = values.get(name, default_of(kind, name))
        yield Setting(f"{prefix}{name}", value, text_of(kind, name), hint)
        yield from _inner(hint, value, f"{prefix}{name}.")


def _inner(hint: Any, value: Any, prefix: str) -> Iterator[Setting]:
    """Yield the settings of the class that an argument is built by, if it is a class of settings."""
    if isinstance(value, Mapping) and "class_path" not in value:
        for choice in choices_of(hint):
            if getattr(choice, "__origin__", None) is dict:  # such as heads by their names
                for name, one in value.items():
                    yield from _inner(get_args(choice)[1], one, f"{prefix}{name}.")
                return
    of_base = value is None or isinstance(value, Mapping)
    for choice in choices_of(hint):
        base = base_of(choice)
        path = (
            value.get("class_path")
            if isinstance(value, Mapping)
            else value
            if isinstance(value, str)
            else None
        )
        chosen = class_at(path, base.__module__.rpartition(".")[0]) if base is not None else None
        if chosen is None and of_base and base is not None and _has_settings(base):
            chosen = base
        if chosen is not None:
            arguments = get_args(choice)[0] if len(get_args(choice)) == 2 else ()
            skipped = len(arguments) if isinstance(arguments, list) else 0
            yield from settings_of(chosen, value if isinstance(value, Mapping) else {}, prefix, skipped)
            return


def _has_settings(base: type) -> bool:
    return base.__module__.startswith("sapiens2_lit.") and not inspect.isabstract(base)


def class_at(path: Any, package: str) -> type | None:
    """Return the class that a path names; a name alone is looked up in `package` and in torch.optim."""
    if not isinstance(path, str):
        return None
    places = [path] if "." in path else [f"{package}.{path}", f"torch.optim.{path}"]
    found = next((found for place in places if (found := found_at(place)) is not None), None)
    return found if isinstance(found, type) else None


def plain(value: Any) -> Any:
    """Return settings as mappings and lists of plain values; classes and functions become their paths."""
    if isinstance(value, Namespace | Mapping):
        return {
            name: plain(one) for name, one in (vars(value) if isinstance(value, Namespace) else value).items()
        }
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, functools.partial):
        return {"class_path": f"{value.func.__module__}.{value.func.__qualname__}", **value.keywords}
    if isinstance(value, type) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value


def default_of(kind: type, name: str) -> Any:
    """Return an argument's default; None if it has none."""
    for one in kind.__mro__:
        parameter = _parameters(one).get(name)
        if parameter is not None:
            return None if parameter.default is parameter.empty else plain(parameter.default)
    return None


@functools.cache
def _parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    init = vars(kind).get("__init__")
    return inspect.signature(init).parameters if inspect.isfunction(init) else {}


def text_of(kind: type, name: str) -> str:
    """Return the first sentence on an argument in the docstring of a class or of its bases."""
    for one in kind.__mro__:
        if text := _texts(one).get(name):
            return text
    return ""


@functools.cache
def _texts(kind: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for documented in (kind, vars(kind).get("__init__")):
        for one in parse(documented.__doc__ or "").params if documented is not None else ():
            text = " ".join((one.description or "").split())
            found.setdefault(one.arg_name, text.partition(". ")[0].rstrip("."))
    return found


def _under(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")}
