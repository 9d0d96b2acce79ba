"""Check settings in a file against the types of what they would build, before anything is built.

jsonargparse imports what a class path says, even one in a text if a class or a callable is allowed there. So a file's
settings are checked here first: each value is compared with the annotation of its parameter, at any depth.
"""

import dataclasses
import functools
import inspect
import operator
import types
import typing
from collections import abc
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.util import find_spec
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from torch import nn

from sapiens2_lit.checkpoints.trust import Trust, find_class, is_in
from sapiens2_lit.errors import UntrustedError, WeightsError

_KEYS = {"class_path", "init_args", "dict_kwargs"}
_MODULES = ("sapiens2_lit.losses", "sapiens2_lit.decoders", "torch.nn", "segmentation_models_pytorch.losses")
_SEQUENCES = (abc.Sequence, abc.Iterable, abc.Collection, abc.MutableSequence, abc.Set)
_LIMIT = 20_000  # values in the settings of one file; references in YAML can turn a few lines into billions


@dataclasses.dataclass
class FileSettings:
    """Checks the settings of one file.

    Args:
        origin: The file, for messages.
        trust: What may be named in it.
    """

    origin: str
    trust: Trust
    _seen: int = 0

    def check(self, values: Mapping[str, tuple[Any, Any]]) -> None:
        """Check values, each with the type that it will be parsed as, by their keys in the file.

        All class paths are checked before the first one is imported.

        Raises:
            UntrustedError: The values name classes that a file may not name. Nothing was imported.
            WeightsError: They name a class of another kind, or a class where none is expected.
        """
        for place, (value, _) in values.items():
            if refused := sorted({path for path in self._class_paths(value) if not self.trust.allows(path)}):
                raise UntrustedError(f"{self.origin}: {place}", refused)
        for place, (value, hint) in values.items():
            self._check(value, hint, place)

    def _class_paths(self, value: Any) -> Iterator[str]:
        """Yield every class path in mappings, at any depth."""
        self._count()
        if isinstance(value, Mapping):
            if isinstance(path := value.get("class_path"), str):
                yield path
            for entry in value.values():
                yield from self._class_paths(entry)
        elif isinstance(value, list | tuple):
            for entry in value:
                yield from self._class_paths(entry)

    def _count(self) -> None:
        self._seen += 1
        if self._seen > 2 * _LIMIT:
            raise WeightsError(f"{self.origin}: its settings have more than {_LIMIT} values.")

    def _check(self, value: Any, hint: Any, place: str) -> None:
        self._count()
        choices = list(choices_of(hint))
        if isinstance(value, str):
            self._check_text(value, choices, place)
        elif isinstance(value, Mapping):
            self._check_mapping(value, choices, place)
        elif isinstance(value, list | tuple):
            inner = [_element(choice) for choice in choices if _is_list(choice)]
            for index, entry in enumerate(value):
                self._check(entry, _union(inner), f"{place}[{index}]")

    def _check_text(self, text: str, choices: list[Any], place: str) -> None:
        """Accept text where only text, a number or a choice is allowed; elsewhere it must not be parsed further."""
        if all(map(_is_plain, choices)):
            return
        if not any(map(_is_plain, choices)) and Any not in choices:
            raise self._refused(place, text, "a mapping with class_path and init_args, as `fit` writes it")
        try:
            loaded = yaml.safe_load(text)
        except yaml.YAMLError:
            loaded = text
        if isinstance(loaded, dict | list):
            raise self._refused(place, text, "a value, not text that is parsed again")
        if _names_object(text) and not self.trust.names(text):
            raise UntrustedError(f"{self.origin}: {place}", [text])

    def _check_mapping(self, value: Mapping[Any, Any], choices: list[Any], place: str) -> None:
        classes = [choice for choice in choices if base_of(choice) is not None]
        if "class_path" in value:
            bases = [base for choice in classes if (base := base_of(choice)) is not None]
            self._check_class(value, bases, place)
            return
        dicts = [choice for choice in choices if _is_dict(choice)]
        if not dicts and len(classes) == 1 and not _is_callable(classes[0]):
            self._check_arguments(value, base_of(classes[0]), place)  # the arguments of the class itself
            return
        inner = _union([get_args(choice)[1] for choice in dicts if len(get_args(choice)) == 2])
        for key, entry in value.items():
            self._check(entry, inner, f"{place}.{key}")

    def _check_class(self, value: Mapping[Any, Any], bases: list[type], place: str) -> None:
        path = value["class_path"]
        if not isinstance(path, str) or set(value) - _KEYS:
            raise self._refused(place, value, f"a mapping with only {', '.join(sorted(_KEYS))}")
        if not bases:
            raise self._refused(place, path, "a value, not a class")
        where = f"{self.origin}: {place}"
        # if several types are allowed here, take the first one that the class is a subclass of
        for base in bases[:-1]:
            try:
                found = find_class(path, base, where, self.trust)
            except UntrustedError:
                raise
            except WeightsError:
                continue
            break
        else:
            base = bases[-1]
            found = find_class(path, base, where, self.trust)
        if base is nn.Module and not self.trust.names(path):
            _check_small_module(found, path, where)
        for key in ("init_args", "dict_kwargs"):
            self._check_arguments(value.get(key) or {}, found, place)

    def _check_arguments(self, arguments: Any, kind: type | None, place: str) -> None:
        if not isinstance(arguments, Mapping):
            raise self._refused(place, arguments, "a mapping of arguments")
        hints = parameter_types(kind) if kind is not None else {}
        for name, value in arguments.items():
            self._check(value, hints.get(name, Any), f"{place}.{name}")

    def _refused(self, place: str, found: Any, expected: str) -> WeightsError:
        text = str(found)
        return WeightsError(
            f"{self.origin}: {place}: found {text if len(text) < 80 else text[:77] + '...'}, expected {expected}."
        )


def parameter_types(kind: type) -> dict[str, Any]:
    """Return the types of a class's arguments by name, with the ones passed on to its bases; Any if not given."""
    found: dict[str, Any] = {}
    for one in kind.__mro__:
        init = vars(one).get("__init__")
        if not inspect.isfunction(init):
            continue
        hints = _hints(one if dataclasses.is_dataclass(one) else init)
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.name != "self":
                found.setdefault(parameter.name, hints.get(parameter.name, Any))
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except (NameError, TypeError, AttributeError):  # names that are imported only for type checkers
        return {}


def _check_small_module(found: type, path: str, where: str) -> None:
    """Refuse whole networks, which fetch weights, where any module is allowed, such as for a loss."""
    if not is_in(found.__module__, _MODULES):
        raise WeightsError(f"{where}: {path} is not a loss or layer; expected one of {', '.join(_MODULES)}.")


def _names_object(text: str) -> bool:
    """Return whether text could be the import path of something that exists, without importing it."""
    parts = text.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return False
    try:
        return find_spec(parts[0]) is not None
    except (ImportError, ValueError):
        return True  # a module that is being imported, or has no spec


def choices_of(hint: Any) -> Iterator[Any]:
    """Yield the types that a value may have, with unions taken apart."""
    while True:
        if get_origin(hint) is Annotated or hasattr(hint, "__value__"):
            hint = getattr(hint, "__value__", None) or get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        else:
            break
    if get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            yield from choices_of(one)
    elif isinstance(hint, typing.TypeVar | str | typing.ForwardRef):
        yield Any
    else:
        yield Any if hint in (object, inspect.Parameter.empty) else hint


def _union(hints: list[Any]) -> Any:
    return functools.reduce(operator.or_, hints) if hints else Any


def _is_plain(hint: Any) -> bool:
    """Return whether a value of this type cannot be an object that is imported or built."""
    if hint in (None, type(None)) or get_origin(hint) is Literal:
        return True
    return isinstance(hint, type) and issubclass(hint, str | int | float | complex | bytes | PurePath | Enum)


def _is_callable(hint: Any) -> bool:
    return hint in (typing.Callable, abc.Callable) or get_origin(hint) is abc.Callable


def base_of(hint: Any) -> type | None:
    """Return what a class path must name a subclass of; None if the type allows no class path.

    The type may be a class, a type of a class, or a function that makes an object.
    """
    if _is_callable(hint):
        made = get_args(hint)[-1] if get_args(hint) else None
        return made if isinstance(made, type) and not _is_plain(made) else None
    if get_origin(hint) is type:
        return get_args(hint)[0] if isinstance(get_args(hint)[0], type) else None
    origin = get_origin(hint) or hint
    if not isinstance(origin, type) or _is_plain(origin) or _is_dict(hint) or _is_list(hint):
        return None
    return None if origin is type else origin


def _is_dict(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint) or hint
    return origin in _SEQUENCES or (
        isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset)
    )


def _element(hint: Any) -> Any:
    inner = [one for one in get_args(hint) if one is not Ellipsis]
    return _union(inner)
