"""A decoder's layers in order, cut into the pieces that are run, or computed again, one by one."""

from collections.abc import Callable, Iterable, Iterator

from torch import Tensor, nn

Unit = Callable[[Tensor], Tensor]


class Chain:
    """Layers called one after the other; not a module, so that compilers can trace its construction."""

    def __init__(self, layers: list[nn.Module]) -> None:
        self.layers = layers

    def __iter__(self) -> Iterator[nn.Module]:
        return iter(self.layers)

    def __call__(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def units_of(stages: Iterable[nn.Module]) -> list[Unit]:
    """Return modules in order, cut in front of each convolution."""
    units: list[Chain] = []
    for layer in leaves(stages):
        if not units or isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            units.append(Chain([]))
        units[-1].layers.append(layer)
    return list(units)


def leaves(stages: Iterable[nn.Module]) -> list[nn.Module]:
    """Return modules in order, with each Sequential replaced by the modules in it."""
    found: list[nn.Module] = []
    for stage in stages:
        found += leaves(stage) if isinstance(stage, nn.Sequential) else [stage]
    return found
