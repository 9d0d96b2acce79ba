"""The table of benchmarks/memory.py, made of tensors without contents, holds for real ones."""

import runpy
from pathlib import Path

import pytest
import torch

from sapiens2_lit.heads import NormalHead, SegmentationHead

MEMORY = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "memory.py"))


@pytest.mark.parametrize("make", [SegmentationHead, NormalHead])
def test_as_much_is_kept_of_real_tensors(make: type) -> None:
    size = (64, 48)
    head, data = make(64), MEMORY["labels"](2, size)
    data["segmentation"] = torch.randint(0, 29, (2, *size))
    features = torch.rand(2, 64, 4, 3, requires_grad=True)
    kept = MEMORY["Kept"]([*head.parameters(), *head.buffers(), *data.values(), features])
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
        outputs = head([features])
        decoder = kept.total()
        head.loss(outputs, data)
    found, loss = MEMORY["measure"](make, 64, size, 2, mixed=False)
    assert found == pytest.approx(decoder, rel=0.02)
    assert loss == pytest.approx(kept.total() - decoder, rel=0.1)


def test_half_precision_keeps_half_and_batches_grow_evenly() -> None:
    mixed, full = (MEMORY["measure"](SegmentationHead, 64, (64, 48), 2, mixed)[0] for mixed in (True, False))
    decoder, _, copies = MEMORY["per_image"](SegmentationHead, 64, (64, 48), True)
    assert mixed == pytest.approx((2 * decoder + copies) * 1e6)
    assert 2 * decoder * 1e6 == pytest.approx(full / 2, rel=0.05)
