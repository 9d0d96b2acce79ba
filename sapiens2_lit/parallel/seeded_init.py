"""Initial values of sharded parameters that do not depend on the number of ranks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sapiens2_lit.parallel.dtensor import held_part, is_sharded, local_values


@contextmanager
def rng_for(name: str) -> Iterator[None]:
    """Draw random numbers inside that depend only on the run's seed and on `name`, not on earlier draws."""
    seed = int.from_bytes(sha256(f"{torch.initial_seed()} {name}".encode()).digest()[:7])
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class WholeDraws(TorchDispatchMode):
    """Inside, random values of a sharded tensor are drawn for the whole tensor on the CPU; this rank keeps its part.

    All ranks must have the same state of the random number generator. One whole tensor at a time is in memory.

    Args:
        draw: If False, nothing is drawn and sharded tensors keep their values: a file will bring others.
    """

    def __init__(self, draw: bool = True) -> None:
        super().__init__()
        self.draw = draw

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        random = torch.Tag.nondeterministic_seeded in func.tags
        if not (random and args and isinstance(args[0], Tensor) and is_sharded(args[0])):
            return func(*args, **(kwargs or {}))
        if self.draw:
            draw_whole(func, args[0], args[1:], kwargs or {})
        return args[0]


def init_sharded(init_weights: Callable[[], None], draw: bool = True) -> None:
    """Call a function that initializes parameters in place, some of which may be sharded.

    Args:
        init_weights: The function.
        draw: If False, sharded parameters get no random values, since a file will bring theirs.
    """
    with torch.no_grad(), WholeDraws(draw):
        init_weights()


def draw_whole(
    func: Callable[..., Tensor], target: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Draw random values for a whole tensor on the CPU, and keep this rank's part in place.

    Args:
        func: The operation that draws, in place.
        target: The sharded tensor, of any shape.
        args: Further arguments of the operation.
        kwargs: Further keyword arguments of the operation.
    """
    whole = torch.empty(target.shape, dtype=target.dtype, device="cpu")
    func(whole, *args, **kwargs)
    local_values(target).copy_(whole[held_part(target)])
