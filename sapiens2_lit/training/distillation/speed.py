"""Measure how fast a network is, to compare student and teacher."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from sapiens2_lit.models.network import Network

SECONDS = 1.0  # shortest time that is measured, after one pass for warm-up
FEWEST = 3  # smallest number of measured passes


@dataclass(frozen=True)
class Speed:
    """Speed of one network with all its heads, image by image.

    Attributes:
        name: Its name, for people.
        parameters: Number of its parameters.
        image_size: (height, width).
        images: Images per second.
    """

    name: str
    parameters: int
    image_size: tuple[int, int]
    images: float

    def line(self) -> str:
        """Return the speed in words."""
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
    """Run a network on one image again and again, for a second or longer.

    Args:
        name: Its name.
        network: Measured in eval mode; its mode is restored afterward.
        image_size: (height, width).
        context: Makes the context of each pass, such as autocast.
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
    """Return the lines that `fit` prints at its end: each speed, and how many times as fast the first network is."""
    if len(speeds) < 2:
        return []
    student, *teachers = speeds
    times = ", ".join(f"{student.images / one.images:.1f}" for one in teachers)
    return [
        "one image at a time, here:",
        *(f"  {one.line()}" for one in speeds),
        f"  the student is {times} times as fast as its teacher{'s' if len(teachers) > 1 else ''}",
    ]
