"""Track which bytes are alive while something runs on fake tensors, and the purposes of the most of them."""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Storage:
    """A storage that is alive: its size, how many of its bytes are counted, its purpose, and its number."""

    reference: weakref.ref[Any]
    size: int
    counted: int
    purpose: str
    birth: int


class LiveMemory(TorchDispatchMode):
    """Counts the bytes of all storages that are created inside, from their first tensor to their last.

    Storages that exist before, such as parameters, are not counted. Tensors that share a storage are counted once.
    Every storage belongs to the `purpose` that was set when it was made.

    Attributes:
        peak: For each phase, the most bytes alive at once, by purpose.
        elsewhere: Bytes by purpose that are not simulated, but would be alive as well; set by the caller.
    """

    def __init__(self) -> None:
        super().__init__()
        self.purpose = self.phase = "other"
        self.alive: Counter[str] = Counter()
        self.elsewhere: Counter[str] = Counter()
        self.peak: dict[str, dict[str, int]] = {}
        self.births = 0
        self._total = 0
        self._highest: dict[str, int] = {}
        self._local: tuple[int, dict[str, int]] = (0, {})
        self._storages: dict[int, Storage] = {}
        self._weights: set[int] = set()

    def know_weights(self, weights: Iterable[Tensor]) -> None:
        """Register parameters of any shape: copies of them in another precision get the purpose `weight copies`."""
        self._weights |= {weight.untyped_storage()._cdata for weight in weights}

    @contextmanager
    def during(self, phase: str, purpose: str | None = None) -> Iterator[None]:
        """Set phase and purpose for what is made inside; the purpose is the phase's name by default."""
        before = self.phase, self.purpose
        self.phase, self.purpose = phase, purpose or phase
        self._note()  # what is alive already belongs to this phase, too
        try:
            yield
        finally:
            self.phase, self.purpose = before

    def retag(self, tensor: Tensor, purpose: str, share: float = 1.0) -> None:
        """Change the purpose of a tensor of any shape, and count `share` of its bytes."""
        storage = self._storages.get(tensor.untyped_storage()._cdata)
        if storage is None:
            return
        self._count(storage.purpose, -storage.counted)
        storage.purpose, storage.counted = purpose, round(storage.size * share)
        self._count(purpose, storage.counted)

    def born(self, first: int, last: int) -> Counter[str]:
        """Return bytes by purpose of what is alive among storages number `first` to `last` (exclusive)."""
        found: Counter[str] = Counter()
        for storage in self._storages.values():
            if first <= storage.birth < last:
                found[storage.purpose] += storage.counted
        return found

    def watch(self) -> None:
        """Start a second search for the fullest moment; `highest` returns it."""
        self._local = (-1, {})
        self._note()

    def highest(self) -> dict[str, int]:
        """Return bytes by purpose at the fullest moment since `watch`."""
        return self._local[1]

    def consider(self, purposes: Mapping[str, int]) -> None:
        """Include a moment that is not simulated in the present phase."""
        total = sum(purposes.values())
        if total > self._highest.get(self.phase, -1):
            self._highest[self.phase] = total
            self.peak[self.phase] = {key: size for key, size in purposes.items() if size}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self._see(func, args, result)
        elif isinstance(result, tuple | list):
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._see(func, args, leaf)
        return result

    def _see(self, func: Any, args: tuple[Any, ...], tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages or key in self._weights:
            return
        purpose = self.purpose
        if func is torch.ops.aten._to_copy.default and args[0].untyped_storage()._cdata in self._weights:
            purpose = "weight copies"
        size = storage.nbytes()
        reference = weakref.ref(storage, lambda _: self._forget(key))
        self._storages[key] = Storage(reference, size, size, purpose, self.births)
        self.births += 1
        self._count(purpose, size)

    def _forget(self, key: int) -> None:
        storage = self._storages.pop(key)
        self._count(storage.purpose, -storage.counted)

    def _count(self, purpose: str, change: int) -> None:
        self.alive[purpose] += change
        self._total += change
        if change > 0:
            self._note()

    def _note(self) -> None:
        total = self._total + self.elsewhere.total()
        highest = total > self._highest.get(self.phase, -1)
        if highest or total > self._local[0]:
            purposes = dict(self.alive + self.elsewhere)
            if highest:
                self._highest[self.phase], self.peak[self.phase] = total, purposes
            self._local = max(self._local, (total, purposes), key=lambda moment: moment[0])
