"""Many equal blocks as one: a network of 56 blocks is of two or three kinds, and each kind is played once.

Legend: a fold is a run of equal blocks, `times` of them, of which one is played.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.memory.live_memory import LiveMemory


def fold_blocks(backbone: Backbone) -> tuple[Backbone, list[int]]:
    """A backbone of the same parameters with one block in place of each run of equal ones, and how many it stands for.

    Backbones whose blocks cannot be replaced stay whole, without folds.
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
    """Lets `live` count each block as many times as it stands for, over the forward and the backward pass.

    Args:
        blocks: those that are played.
        times: how many each stands for.
        gradient_share: share of a gradient that stays here.
        fresh: gradients come in the backward pass; else those of batches before are added to.
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
        self.births: list[tuple[int, int]] = []  # of what each block made in the forward pass
        self.passed: set[Tensor] = set()  # parameters of blocks whose backward pass is through
        self.ended: set[int] = set()  # blocks whose forward pass is through
        self.backward: int | None = None  # the block whose backward pass is running
        self.kept: Counter[str] = Counter()  # what the other blocks of its run keep meanwhile
        self.weights: dict[Tensor, int] = {
            p: n for block, n in zip(self.blocks, times, strict=True) for p in block.parameters()
        }
        for index, block in enumerate(self.blocks):
            block.register_forward_pre_hook(lambda _, inputs: self.begin(inputs[0]))
            block.register_forward_hook(lambda _, __, output, index=index: self.end(index, output))

    def count_gradient(self, parameter: Tensor) -> None:
        """Let the gradient count as often as its block stands for."""
        if parameter.grad is not None:
            share = self.share_of(parameter)
            self.live.retag(parameter.grad, "gradients", self.weights.get(parameter, 1) * share)

    def count_new_gradient(self, parameter: Tensor) -> None:
        """Let the gradient of this block alone count, until the whole run has passed."""
        if parameter in self.passed or not self.fresh:
            self.count_gradient(parameter)
        elif parameter.grad is not None:
            self.live.retag(parameter.grad, "gradients", self.share_of(parameter))

    def share_of(self, parameter: Tensor) -> float:
        """Bytes that stay for each byte of the gradient as it was made: gathered weights may be of half precision."""
        return self.share * 4 / parameter.element_size()

    def begin(self, x: Tensor) -> None:
        if len(self.births) < len(self.blocks):  # not when computed again
            self.births.append((self.live.births, self.live.births))
            if x.requires_grad:
                x.register_hook(lambda _: self.end_backward())
            self.live.watch()

    def end(self, index: int, output: Tensor) -> None:
        if index in self.ended:
            return  # computed again
        self.ended.add(index)
        first, _ = self.births[index]
        # without gradients, the output lives until the next block has taken it, and nothing is kept
        self.births[index] = (first, self.live.births if output.requires_grad else first)
        kept = self.others(index)
        self.live.consider(add(self.live.highest(), kept))  # in the last of the run
        self.live.elsewhere += kept
        if output.requires_grad:
            output.register_hook(lambda _: self.begin_backward(index))

    def others(self, index: int) -> Counter[str]:
        """Return what the blocks of the run that are not played keep."""
        return scaled(self.live.born(*self.births[index]), self.times[index] - 1)

    def refresh(self) -> None:
        """Something was dropped for all blocks at once, such as autocast's copies of weights."""
        self.live.elsewhere = Counter()
        for index in range(len(self.births)):
            self.live.elsewhere += self.others(index)

    def begin_backward(self, index: int) -> None:
        self.end_backward()
        self.backward = index
        self.kept = self.others(index)
        self.live.watch()

    def end_backward(self) -> None:
        """The run that was in its backward pass is through: its maps are gone, its gradients are there."""
        if self.backward is None:
            return
        block, index = self.blocks[self.backward], self.backward
        sizes = [p.nbytes * self.share_of(p) for p in block.parameters() if p.requires_grad]
        gradients = Counter(gradients=round(sum(sizes) * (self.times[index] - 1)))
        last = Counter(self.live.highest())
        if self.fresh:
            last = add(last, gradients)
        last.subtract(self.kept)
        self.live.consider(last)  # in the first block of the run, the last to pass backward
        self.live.elsewhere.subtract(self.kept)
        self.passed.update(block.parameters())
        for parameter in block.parameters():
            self.count_gradient(parameter)
        self.backward = None


def scaled(sizes: Counter[str], factor: int) -> Counter[str]:
    return Counter({key: size * factor for key, size in sizes.items()})


def add(a: dict[str, int], b: dict[str, int]) -> Counter[str]:
    total = Counter(a)
    total.update(b)
    return total
