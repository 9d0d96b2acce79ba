"""An exponential moving average of the trained weights, which is often better than the weights themselves."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError


@dataclass(frozen=True)
class EMA:
    """The average: after each step, average = decay * average + (1 - decay) * weights.

    Args:
        decay: Share of the average that is kept. In the first steps it is (1 + step) / (10 + step) or less, so that the
            average forgets the initial weights.
        evaluate: Validate, test and predict with the average.

    Raises:
        SettingError: `decay` is not in 0 to below 1.
    """

    decay: float = 0.999
    evaluate: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise SettingError(f"model.ema.decay: found {self.decay}, expected 0 to below 1")


class WeightAverage(nn.Module):
    """The averages of a module's trained parameters, as float32 buffers.

    As buffers, they are saved, resumed and moved with the module. The average of a sharded parameter is sharded in the
    same way, and updates need no communication.

    Args:
        parameters: The parameters to average, by name.
        settings: How to average.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], settings: EMA) -> None:
        super().__init__()
        self.settings = settings
        self.parameters_by_name = list(parameters)
        self.swapped = False
        for name, parameter in parameters.items():
            self.register_buffer(buffer_name(name), parameter.detach().float().clone())

    @torch.no_grad()
    def update(self, parameters: dict[str, nn.Parameter], step: int) -> None:
        """Update the averages with the weights after optimizer step `step`, counted from 1."""
        kept = min(self.settings.decay, (1 + step) / (10 + step))
        averages = [local(self.get_buffer(buffer_name(name))) for name in self.parameters_by_name]
        weights = [local(parameters[name]).float() for name in self.parameters_by_name]
        torch._foreach_lerp_(averages, weights, 1 - kept)

    def use(self, use: bool, parameters: dict[str, nn.Parameter]) -> None:
        """Swap in the averages for an evaluation, or restore the weights, in place."""
        if self.settings.evaluate and self.swapped != use:
            self.swap(parameters)

    @torch.no_grad()
    def swap(self, parameters: dict[str, nn.Parameter]) -> None:
        """Exchange weights and averages in place; a second call undoes the first."""
        for name in self.parameters_by_name:
            weight, average = local(parameters[name]), local(self.get_buffer(buffer_name(name)))
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
        self.swapped = not self.swapped


def buffer_name(name: str) -> str:
    """Return the name of a parameter's average among the buffers."""
    return name.replace(".", "/")  # a buffer's name has no dots


def local(tensor: Tensor) -> Tensor:
    """Return this rank's part of a sharded tensor of any shape, else the tensor itself; both share its memory."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found.detach()
