"""Convert low-bit optimizer states to plain tensors, so that checkpoints can be read with nothing but torch.

torchao keeps these states in its own tensor classes. `torch.load` refuses them unless torchao was imported before, and
Lightning cannot load them at all: it passes a function as `map_location`, which they do not support.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

CLASS = "torchao"  # key in the dictionary that replaces such a tensor


def with_plain_states(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return state dicts of optimizers in which torchao's tensors are replaced by dictionaries of plain tensors."""
    return _mapped(states, _flatten)


def with_own_states(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the inverse of `with_plain_states`."""
    return _mapped(states, _unflatten)


def _mapped(states: list[dict[str, Any]], change: Callable[[Any], Any]) -> list[dict[str, Any]]:
    return [
        {
            **whole,
            "state": {
                key: {name: change(value) for name, value in state.items()}
                for key, state in whole["state"].items()
            },
        }
        for whole in states
    ]


def _flatten(value: Any) -> Any:
    kind = type(value)
    if not (isinstance(value, Tensor) and kind.__module__.startswith("torchao.optim.")):
        return value
    names, settings = value.__tensor_flatten__()  # type: ignore[attr-defined]  # every wrapper of tensors has it
    return {
        CLASS: kind.__name__,
        "settings": settings,
        "tensors": {name: getattr(value, name) for name in names},
    }


def _unflatten(value: Any) -> Any:
    if not (isinstance(value, dict) and CLASS in value):
        return value
    from torchao.optim.subclass_4bit import OptimState4bit
    from torchao.optim.subclass_8bit import OptimState8bit
    from torchao.optim.subclass_fp8 import OptimStateFp8

    kinds = {kind.__name__: kind for kind in (OptimState4bit, OptimState8bit, OptimStateFp8)}
    return kinds[value[CLASS]].__tensor_unflatten__(value["tensors"], value["settings"])
