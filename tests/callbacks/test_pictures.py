"""Labels beside predictions: what nobody taught a head does not show."""

import numpy as np
import pytest
import torch

from sapiens2_lit.heads import AlbedoHead, DepthHead, Head, MattingHead, NormalHead, PointmapHead
from sapiens2_lit.visualization.compare import compare

SIZE = (32, 48)


def scene() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    valid = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    valid[..., 8:24, 10:30] = True
    depth = torch.where(valid, 2 + torch.rand(1, 1, *SIZE, generator=generator), 0)
    normal = torch.nn.functional.normalize(torch.randn(1, 3, *SIZE, generator=generator), dim=1)
    return {
        "image": torch.randint(0, 256, (1, 3, *SIZE), generator=generator, dtype=torch.uint8),
        "valid": valid,
        "intrinsics": torch.eye(3)[None],
        "depth": depth,
        "pointmap": torch.cat([depth / 4, depth / 3, depth], dim=1),
        "normal": normal * valid,
        "albedo": torch.rand(1, 3, *SIZE, generator=generator) * valid,
        "alpha": torch.rand(1, 1, *SIZE, generator=generator),
    }


@pytest.mark.parametrize("make", [DepthHead, PointmapHead, NormalHead, AlbedoHead])
def test_predictions_show_where_labels_count(make: type[Head]) -> None:
    head, batch = make(16, **({"image_size": SIZE} if make is PointmapHead else {})), scene()
    key = head.targets[0]
    wild = torch.where(batch["valid"], batch[key], 50.0)
    exact = compare(head, batch, {key: batch[key]}, 0)
    np.testing.assert_array_equal(compare(head, batch, {key: wild, "scale": torch.ones(1)}, 0), exact)
    unlabelled = {name: batch[name] for name in ("image", "valid")}
    assert not np.array_equal(
        compare(head, unlabelled, {key: wild}, 0), compare(head, unlabelled, {key: batch[key]}, 0)
    ), "an image without labels shows all of it"


def test_mattes_show_everywhere() -> None:
    head, batch = MattingHead(16), scene()
    other = torch.where(batch["valid"], batch["alpha"], 1 - batch["alpha"])
    exact = compare(head, batch, {"alpha": batch["alpha"]}, 0)
    assert not np.array_equal(compare(head, batch, {"alpha": other}, 0), exact)
