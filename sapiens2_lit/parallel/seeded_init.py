"""Fresh values of sharded parameters, the same whatever the number of ranks."""

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
    """Random numbers inside depend on the run's seed and on `name` alone, not on what was drawn before."""
    seed = int.from_bytes(sha256(f"{torch.initial_seed()} {name}".encode()).digest()[:7])
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


class WholeDraws(TorchDispatchMode):
    """Inside, random values for a sharded tensor are drawn for the whole of it, on the CPU, and this rank's part kept.

    All ranks must have the same state of the random number generator. One whole tensor at a time is in memory.

    Args:
        draw: if false nothing is drawn and sharded tensors keep what they hold: a file will bring their values.
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
    """Call a function that gives parameters their fresh values in place, of which some may be sharded.

    Args:
        draw: if false, sharded parameters get no random values, since a file will bring theirs.
    """
    with torch.no_grad(), WholeDraws(draw):
        init_weights()


def draw_whole(
    func: Callable[..., Tensor], target: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    whole = torch.empty(target.shape, dtype=target.dtype, device="cpu")
    func(whole, *args, **kwargs)
    local_values(target).copy_(whole[held_part(target)])
