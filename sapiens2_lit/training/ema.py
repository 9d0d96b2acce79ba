"""An exponential moving average of the trained weights, often better than the weights themselves."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError


@dataclass(frozen=True)
class EMA:
    """The average: after each step, average = decay * average + (1 - decay) * weights.

    Args:
        decay: how much is kept; over the first steps less, (1 + step) / (10 + step), so that it forgets where it began.
        evaluate: validate, test and predict with the average.
    """

    decay: float = 0.999
    evaluate: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise SettingError(f"model.ema.decay: found {self.decay}, expected 0 to below 1")


class WeightAverage(nn.Module):
    """The averages of a module's trained parameters, as float32 buffers beside them.

    Being buffers, they are saved, resumed and moved with the module. The average of a sharded parameter is sharded
    alike, and no step of it communicates.

    Args:
        parameters: those to average, by name.
        settings: how.
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
        """Take in the weights after optimizer step `step`, counted from 1."""
        kept = min(self.settings.decay, (1 + step) / (10 + step))
        averages = [local(self.get_buffer(buffer_name(name))) for name in self.parameters_by_name]
        weights = [local(parameters[name]).float() for name in self.parameters_by_name]
        torch._foreach_lerp_(averages, weights, 1 - kept)

    def use(self, use: bool, parameters: dict[str, nn.Parameter]) -> None:
        """Put the averages in the place of the weights for an evaluation, or the weights back, in place."""
        if self.settings.evaluate and self.swapped != use:
            self.swap(parameters)

    @torch.no_grad()
    def swap(self, parameters: dict[str, nn.Parameter]) -> None:
        """Exchange weights and averages, in place; twice is as if never."""
        for name in self.parameters_by_name:
            weight, average = local(parameters[name]), local(self.get_buffer(buffer_name(name)))
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
        self.swapped = not self.swapped


def buffer_name(name: str) -> str:
    return name.replace(".", "/")  # a buffer's name has no dots


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a sharded tensor, else the tensor itself; both share its memory."""
    found: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return found.detach()
