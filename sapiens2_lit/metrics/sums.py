"""Sums that a metric makes its ratios of: exact over uneven batches and over processes.

Legend: B batch, C channels, H and W rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class RunningSums(Metric):
    """Base of metrics that are ratios of sums over pixels or samples, lower being better.

    Sums are float64: in float32 a sum of squares over some million pixels loses its small terms. Only on a device
    that has no float64, such as Apple's, they are float32.

    Args:
        names: what is summed.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    sums: Tensor  # one for each name

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.add_state("sums", torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add scalars, one for each name."""
        assert set(terms) == set(self.names), f"sums of {sorted(terms)}, expected {sorted(self.names)}"
        self.sums += torch.stack([terms[name].detach().to(self.sums.dtype) for name in self.names])

    def total(self) -> dict[str, Tensor]:
        """Return the sums so far, by name."""
        return dict(zip(self.names, self.sums.unbind(), strict=True))

    def masked(self, values: Tensor, valid: Tensor) -> Tensor:
        """Sum of values (B, C, H, W) where `valid` (B, 1, H, W) or (B, C, H, W); what is not valid may be NaN."""
        return torch.where(valid, values, 0).sum(dtype=self.sums.dtype)

    def masked_per_sample(self, values: Tensor, valid: Tensor) -> Tensor:
        """`masked` for each sample, (B,)."""
        return torch.where(valid, values, 0).sum(dim=(1, 2, 3), dtype=self.sums.dtype)

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> Any:
        try:
            return super()._apply(fn, exclude_state)
        except TypeError:  # how a device refuses float64
            self._defaults = {name: _narrow(default) for name, default in self._defaults.items()}
            for name in self._defaults:
                setattr(self, name, _narrow(getattr(self, name)))
            return super()._apply(fn, exclude_state)


def _narrow(state: Any) -> Any:
    return state.float() if isinstance(state, Tensor) and state.dtype == torch.float64 else state


def check_maps(prediction: Tensor, target: Tensor, valid: Tensor, channels: int) -> None:
    """Our own mistakes in shapes: broadcasting would hide them."""
    batch, _, height, width = target.shape
    expected = (batch, channels, height, width)
    assert prediction.shape == target.shape == expected, f"{prediction.shape}, {target.shape}, {expected}"
    assert valid.shape == (batch, 1, height, width), f"valid {valid.shape} of target {target.shape}"
    assert valid.dtype == torch.bool, f"valid is {valid.dtype}"
