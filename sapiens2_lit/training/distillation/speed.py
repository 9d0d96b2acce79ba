"""How fast a network is, to compare student and teacher."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from sapiens2_lit.models.network import Network

SECONDS = 1.0  # that are measured at least, after one pass that warms up
FEWEST = 3  # passes that are measured at least


@dataclass(frozen=True)
class Speed:
    """Of one network, image by image, through all of its heads.

    Attributes:
        name: of it, for people.
        parameters: how many.
        image_size: (height, width).
        images: a second.
    """

    name: str
    parameters: int
    image_size: tuple[int, int]
    images: float

    def line(self) -> str:
        """Return the same in words."""
        height, width = self.image_size
        millions = self.parameters / 1e6
        return f"{self.name}: {millions:,.1f} M parameters, {self.images:.3g} images/s at {height} x {width}"


@torch.no_grad()
def measure_speed(
    name: str,
    network: Network,
    image_size: tuple[int, int],
    context: Callable[[], AbstractContextManager[Any]],
) -> Speed:
    """Run a network on one image again and again, for a second at least.

    Args:
        name: of it.
        network: in any mode, in which it is afterwards; in evaluation it is measured.
        image_size: (height, width).
        context: of each pass, such as autocast.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    device = next(network.parameters()).device
    images = torch.zeros(1, 3, *image_size, dtype=torch.uint8, device=device)
    count, began = -1, 0.0
    while count < FEWEST or time.perf_counter() - began < SECONDS:
        with context():
            network(images)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        count += 1
        began = began if count else time.perf_counter()
    seconds = time.perf_counter() - began
    for module, mode in modes.items():
        module.training = mode
    return Speed(name, sum(p.numel() for p in network.parameters()), image_size, count / seconds)


def speed_lines(speeds: list[Speed]) -> list[str]:
    """Return what `fit` says of them at its end: each, and how many times as fast the first is."""
    if len(speeds) < 2:
        return []
    student, *teachers = speeds
    times = ", ".join(f"{student.images / one.images:.1f}" for one in teachers)
    return [
        "one image at a time, here:",
        *(f"  {one.line()}" for one in speeds),
        f"  the student is {times} times as fast as its teacher{'s' if len(teachers) > 1 else ''}",
    ]
