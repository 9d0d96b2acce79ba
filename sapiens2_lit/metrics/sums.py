"""Sums from which a metric computes ratios: exact over uneven batches and over processes.

Legend: B batch, C channels, H and W rows and columns.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class RunningSums(Metric):
    """Base of metrics that are ratios of sums over pixels or samples; lower is better.

    Sums are float64: in float32 a sum of squares over millions of pixels loses its small terms. They are float32 only
    on devices without float64, such as Apple's.

    Args:
        names: Names of the sums.
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
        """Add scalars to the sums, one for each name."""
        assert set(terms) == set(self.names), f"sums of {sorted(terms)}, expected {sorted(self.names)}"
        self.sums += torch.stack([terms[name].detach().to(self.sums.dtype) for name in self.names])

    def total(self) -> dict[str, Tensor]:
        """Return the sums so far, by name."""
        return dict(zip(self.names, self.sums.unbind(), strict=True))

    def masked(self, values: Tensor, valid: Tensor) -> Tensor:
        """Sum values (B, C, H, W) where `valid`, (B, 1, H, W) or (B, C, H, W), is true; other values may be NaN."""
        return torch.where(valid, values, 0).sum(dtype=self.sums.dtype)

    def masked_per_sample(self, values: Tensor, valid: Tensor) -> Tensor:
        """Return `masked` of each sample, (B,)."""
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
    """Assert that shapes fit, since broadcasting would hide mistakes in the code.

    Args:
        prediction: (B, C, H, W).
        target: (B, C, H, W).
        valid: (B, 1, H, W) bool.
        channels: C.
    """
    batch, _, height, width = target.shape
    expected = (batch, channels, height, width)
    assert prediction.shape == target.shape == expected, f"{prediction.shape}, {target.shape}, {expected}"
    assert valid.shape == (batch, 1, height, width), f"valid {valid.shape} of target {target.shape}"
    assert valid.dtype == torch.bool, f"valid is {valid.dtype}"
