"""Coarse maps with holes, and errors that grow slowly."""

import pytest
import torch

from sapiens2_lit.losses.masked import coarsen, log_tail


@pytest.mark.parametrize("factor", [2, 5, 64])
def test_coarse_maps_hold_the_means_of_what_counts(factor):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 21, 18, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 1, 21, 18, generator=generator) > 0.7
    means, counts = coarsen(torch.where(valid, values, torch.nan), valid, factor)
    assert means.shape[2:] == counts.shape[2:] == (-(-21 // factor), -(-18 // factor))
    for row in range(means.shape[2]):
        for column in range(means.shape[3]):
            place = (
                ...,
                slice(row * factor, (row + 1) * factor),
                slice(column * factor, (column + 1) * factor),
            )
            count = valid[place].sum(dim=(2, 3))
            expected = torch.where(valid[place], values[place], 0).sum(dim=(2, 3)) / count.clamp(min=1)
            torch.testing.assert_close(means[..., row, column], expected)
            torch.testing.assert_close(counts[..., row, column], count.double())


def test_softened_errors_rise_smoothly_and_never_stop():
    error = torch.linspace(0, 100, 100001, dtype=torch.float64, requires_grad=True)
    value = log_tail(error, 4.0)
    (slope,) = torch.autograd.grad(value.sum(), error)
    assert torch.equal(value[error < 4], error[error < 4])
    assert (slope > 0.03).all() and slope.max() == 1 and slope.diff().abs().max() < 1e-3
    torch.testing.assert_close(slope[error > 4], 4 / error[error > 4].detach())
