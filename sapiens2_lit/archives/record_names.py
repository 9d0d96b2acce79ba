"""Find which tensor a record of a PyTorch archive holds, for messages, without importing or calling what it names."""

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_DEPTH = 12  # largest nesting of containers


@dataclass(frozen=True)
class _Storage:
    key: str


class _Anything:
    """A stand-in for every class that a file names; it does nothing."""

    def __new__(cls, *args: Any, **settings: Any) -> "_Anything":
        return super().__new__(cls)

    def __init__(self, *args: Any, **settings: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None: ...

    def extend(self, values: Any) -> None: ...


class _Names(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Any:
        return _Storage(str(pid[2]))

    def find_class(self, module: str, name: str) -> Any:
        if name.startswith("_rebuild"):
            return _first
        return dict if name == "OrderedDict" else _Anything


def _first(*args: Any) -> Any:
    return args[0] if args else None


def tensor_of_record(filename: str, pickled: bytes) -> str:
    """Describe a record by the names of its tensors, such as `state_dict.backbone.cls_token`, else by its file name.

    Args:
        filename: Name of the record.
        pickled: The archive's `data.pkl`, which may be damaged.
    """
    record = filename.partition("/")[2] or filename
    if not record.startswith("data/"):
        return f"{record}, its index" if record == "data.pkl" else record
    try:
        content = _Names(io.BytesIO(pickled)).load()
        key = record.removeprefix("data/")
        names = [name for name, found in _walk(content, ()) if found == key]
    except Exception:  # unpickling a broken file can raise anything; the record's name is used then
        names = []
    return ", ".join(names[:3]) or record


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Storage):
        yield ".".join(path), value.key
    elif len(path) < _DEPTH and isinstance(value, dict):
        for name, inner in value.items():
            yield from _walk(inner, (*path, str(name)))
    elif len(path) < _DEPTH and isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*path, str(index)))
