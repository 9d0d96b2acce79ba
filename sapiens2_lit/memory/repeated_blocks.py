"""Simulate many equal blocks as one: a network of 56 blocks has two or three kinds, and each kind is run once.

Legend: a fold is a run of `times` equal blocks, one of which is simulated.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.memory.live_memory import LiveMemory


def fold_blocks(backbone: Backbone) -> tuple[Backbone, list[int]]:
    """Return a backbone with one block for each run of equal ones, and the length of each run.

    It has the same parameters otherwise. Backbones whose blocks cannot be replaced are returned themselves, without
    folds.
    """
    if backbone.activation_checkpointing not in (True, False, "selective"):
        return backbone, []
    kinds: list[Any] = []
    blocks: list[nn.Module] = []
    times: list[int] = []
    ends: dict[int, int] = {}
    for index, block in enumerate(backbone.blocks):
        kind = kind_of(block)
        if kinds and kinds[-1] == kind and index - 1 not in backbone.out_indices:
            times[-1] += 1
        else:
            kinds.append(kind)
            blocks.append(block)
            times.append(1)
        ends[index] = len(blocks) - 1
    folded = backbone.with_blocks(blocks, tuple(ends[index] for index in backbone.out_indices))
    return (backbone, []) if folded is None else (folded, times)


def kind_of(block: nn.Module) -> list[Any]:
    """Return what equal blocks have in common."""
    settings = [(name, type(module)) for name, module in block.named_modules()]
    return settings + [(name, p.shape, p.dtype, p.requires_grad) for name, p in block.named_parameters()]


class RepeatedBlocks:
    """Makes `live` count each block as often as it is repeated, over the forward and the backward pass.

    Args:
        live: The memory that is tracked.
        blocks: The blocks that are simulated.
        times: How many blocks each of them represents.
        gradient_share: Share of a gradient that stays on this device.
        fresh: Gradients are created in the backward pass; otherwise they are added to earlier ones.
    """

    def __init__(
        self,
        live: LiveMemory,
        blocks: Iterable[nn.Module],
        times: list[int],
        gradient_share: float,
        fresh: bool,
    ) -> None:
        self.live, self.fresh = live, fresh
        self.blocks, self.times = list(blocks), times
        self.share = gradient_share
        self.births: list[tuple[int, int]] = []  # first and last storage of each block's forward pass
        self.passed: set[Tensor] = set()  # parameters of blocks whose backward pass is done
        self.ended: set[int] = set()  # blocks whose forward pass is done
        self.backward: int | None = None  # the block whose backward pass is running
        self.kept: Counter[str] = Counter()  # what the other blocks of its run keep meanwhile
        self.weights: dict[Tensor, int] = {
            p: n for block, n in zip(self.blocks, times, strict=True) for p in block.parameters()
        }
        for index, block in enumerate(self.blocks):
            block.register_forward_pre_hook(lambda _, inputs: self.begin(inputs[0]))
            block.register_forward_hook(lambda _, __, output, index=index: self.end(index, output))

    def count_gradient(self, parameter: Tensor) -> None:
        """Count the gradient of a parameter, of any shape, as often as its block is repeated."""
        if parameter.grad is not None:
            share = self.share_of(parameter)
            self.live.retag(parameter.grad, "gradients", self.weights.get(parameter, 1) * share)

    def count_new_gradient(self, parameter: Tensor) -> None:
        """Count only this block's gradient of a parameter, of any shape, until the whole run has passed."""
        if parameter in self.passed or not self.fresh:
            self.count_gradient(parameter)
        elif parameter.grad is not None:
            self.live.retag(parameter.grad, "gradients", self.share_of(parameter))

    def share_of(self, parameter: Tensor) -> float:
        """Return the bytes that stay for each byte of the gradient of a parameter of any shape.

        Gradients stay in float32, while gathered weights may be in half precision.
        """
        return self.share * 4 / parameter.element_size()

    def begin(self, x: Tensor) -> None:
        """Note that the forward pass of the next block begins, with input `x` of any shape."""
        if len(self.births) < len(self.blocks):  # not when it is computed again
            self.births.append((self.live.births, self.live.births))
            if x.requires_grad:
                x.register_hook(lambda _: self.end_backward())
            self.live.watch()

    def end(self, index: int, output: Tensor) -> None:
        """Note that the forward pass of a block ends, with an output of any shape."""
        if index in self.ended:
            return  # it is computed again
        self.ended.add(index)
        first, _ = self.births[index]
        # without gradients, the output lives until the next block has taken it, and nothing is kept
        self.births[index] = (first, self.live.births if output.requires_grad else first)
        kept = self.others(index)
        self.live.consider(add(self.live.highest(), kept))  # the moment in the last block of the run
        self.live.elsewhere += kept
        if output.requires_grad:
            output.register_hook(lambda _: self.begin_backward(index))

    def others(self, index: int) -> Counter[str]:
        """Return what the blocks of the run that are not simulated keep, in bytes by purpose."""
        return scaled(self.live.born(*self.births[index]), self.times[index] - 1)

    def refresh(self) -> None:
        """Compute again what other blocks keep, after something was freed for all blocks, such as copies of weights."""
        self.live.elsewhere = Counter()
        for index in range(len(self.births)):
            self.live.elsewhere += self.others(index)

    def begin_backward(self, index: int) -> None:
        """Note that the backward pass of a block begins."""
        self.end_backward()
        self.backward = index
        self.kept = self.others(index)
        self.live.watch()

    def end_backward(self) -> None:
        """Note that the backward pass of the current run is done: its maps are freed, and its gradients exist."""
        if self.backward is None:
            return
        block, index = self.blocks[self.backward], self.backward
        sizes = [p.nbytes * self.share_of(p) for p in block.parameters() if p.requires_grad]
        gradients = Counter(gradients=round(sum(sizes) * (self.times[index] - 1)))
        last = Counter(self.live.highest())
        if self.fresh:
            last = add(last, gradients)
        last.subtract(self.kept)
        self.live.consider(last)  # the moment in the run's first block, whose backward pass comes last
        self.live.elsewhere.subtract(self.kept)
        self.passed.update(block.parameters())
        for parameter in block.parameters():
            self.count_gradient(parameter)
        self.backward = None


def scaled(sizes: Counter[str], factor: int) -> Counter[str]:
    """Multiply all sizes by a factor."""
    return Counter({key: size * factor for key, size in sizes.items()})


def add(a: dict[str, int], b: dict[str, int]) -> Counter[str]:
    """Return the sums of two mappings of sizes."""
    total = Counter(a)
    total.update(b)
    return total
