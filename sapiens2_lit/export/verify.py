"""Check that an export computes, or holds, the same as the model."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.errors import ExportError


def random_images(count: int, size: tuple[int, int]) -> Tensor:
    """Return noise, RGB uint8 (N, 3, H, W), the same in every call.

    Args:
        count: N.
        size: (H, W).
    """
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=generator)


def compare(
    form: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor], tolerance: float
) -> float:
    """Return the largest difference of any output, relative to the output's largest value if that is above 1.

    Args:
        form: Name of the format, for messages.
        expected: Outputs of the model, of any shape.
        found: Outputs of the export.
        tolerance: Largest allowed difference.

    Raises:
        ExportError: Outputs are missing, of another shape, not finite, or further apart than `tolerance`.
    """
    if expected.keys() != found.keys():
        raise ExportError(f"{form}: the export returns {sorted(found)}, the model {sorted(expected)}")
    differences = {}
    for name, value in expected.items():
        other = found[name]
        if other.shape != value.shape:
            raise ExportError(
                f"{form}: {name} is {tuple(other.shape)} in the export, {tuple(value.shape)} in the model"
            )
        value, other = value.detach().cpu().double(), other.detach().cpu().double()
        differences[name] = float((other - value).abs().max() / value.abs().max().clamp(min=1.0))
    name, largest = max(differences.items(), key=lambda pair: pair[1] if pair[1] == pair[1] else float("inf"))
    if not largest <= tolerance:
        raise ExportError(
            f"{form}: {name} differs by {largest:.2g} from the model's, expected {tolerance:g} at most. Please report "
            "it; --check false writes the export nevertheless."
        )
    return largest


def check_read_back(expected: Mapping[str, Tensor], file: Path) -> str:
    """Read a file back and compare every tensor, bit by bit; return a line on the result.

    Args:
        expected: Tensors of any shape, by released names.
        file: Of any layout that `read_weights` reads.

    Raises:
        ExportError: A tensor is missing or differs.
    """
    found = read_weights(file).tensors
    wrong = [
        key
        for key in expected.keys() | found.keys()
        if key not in expected or key not in found or not torch.equal(expected[key].cpu(), found[key])
    ]
    if wrong:
        raise ExportError(
            f"--format released: read back, {len(wrong)} tensors differ: {', '.join(sorted(wrong)[:5])}"
        )
    return f"read back, all {len(found)} tensors equal"
