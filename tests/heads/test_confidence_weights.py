"""Weights of pixels and points in every loss: as a plain reference has them; 1 changes nothing, c is a factor."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import canonical_scale
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.losses import (
    AlphaL1,
    CrossEntropy,
    KeypointMSE,
    NormalAngle,
    PointAligned,
    ScaleShiftInvariantL1,
    SkipUnlabelled,
)

SIZE = (32, 24)
EMBED = 16

HEADS: dict[str, Callable[[], Head]] = {
    "pose": lambda: PoseHead(EMBED, "coco17"),
    "segmentation": lambda: SegmentationHead(EMBED, "body3"),
    "normal": lambda: NormalHead(EMBED),
    "normal released": lambda: NormalHead(EMBED, released_loss=True),
    "normal angle": lambda: NormalHead(EMBED, loss={"angle": NormalAngle()}),
    "depth": lambda: DepthHead(EMBED),
    "depth relative": lambda: DepthHead(EMBED, relative=True),
    "depth shift": lambda: DepthHead(EMBED, loss={"invariant": ScaleShiftInvariantL1()}),
    "pointmap": lambda: PointmapHead(EMBED, image_size=SIZE),
    "pointmap aligned": lambda: PointmapHead(EMBED, image_size=SIZE, loss={"aligned": PointAligned()}),
    "albedo": lambda: AlbedoHead(EMBED),
    "matting": lambda: MattingHead(EMBED),
}


def batch_and_outputs(head: Head) -> tuple[dict[str, Tensor], Tensor | dict[str, Tensor]]:
    """Two samples with labels of every kind, some of which do not count, and what a fresh head says of them."""
    torch.manual_seed(0)
    height, width = SIZE
    depth = 2 + 0.02 * torch.rand(2, 1, *SIZE)
    focal = torch.tensor([[30.0, 0, (width - 1) / 2], [0, 30.0, (height - 1) / 2], [0, 0, 1]]).repeat(2, 1, 1)
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rays = torch.stack([(u - focal[0, 0, 2]) / 30, (v - focal[0, 1, 2]) / 30])[None]
    normal = torch.nn.functional.normalize(
        torch.randn(2, 3, *SIZE) - torch.tensor([0, 0, 2.0])[:, None, None], dim=1
    )
    alpha = torch.rand(2, 1, *SIZE)
    labels = torch.randint(0, 4, (2, *SIZE))
    labels[:, :3] = 255
    batch = {
        "image": torch.zeros(2, 3, *SIZE, dtype=torch.uint8),
        "keypoints": torch.rand(2, 17, 3) * torch.tensor([width - 1, height - 1, 1.99]),
        "segmentation": labels,
        "normal": normal,
        "depth": depth,
        "pointmap": torch.cat([rays * depth, depth], dim=1),
        "albedo": torch.rand(2, 3, *SIZE),
        "alpha": alpha,
        "foreground": torch.rand(2, 3, *SIZE) * alpha,
        "valid": torch.rand(2, 1, *SIZE) > 0.3,
        "intrinsics": focal,
    }
    batch["keypoints"][..., 2] = (batch["keypoints"][..., 2] > 0.4).float() * 2
    cells = [torch.randn(2, EMBED, height // 16, width // 16 + 1)[..., : max(1, width // 16)]]
    with torch.no_grad():
        outputs = head(cells)
    if isinstance(outputs, dict):  # points that are nearly right: of others the normals do not count
        near = batch["pointmap"] * canonical_scale(focal, SIZE)[:, None, None, None]
        outputs = {**outputs, "pointmap": near + 0.01 * torch.randn_like(near)}
    return batch, outputs


@pytest.mark.parametrize("name", HEADS)
def test_weights_of_one_change_nothing_and_a_common_one_is_a_factor(name: str) -> None:
    torch.manual_seed(1)
    head = HEADS[name]()
    batch, outputs = batch_and_outputs(head)
    plain = head.loss(outputs, batch)

    def weighted(weight: float) -> dict[str, Tensor]:
        given = torch.full((2, 1, *SIZE), weight)
        return head.loss(outputs, {**batch, "weight": given, "keypoint_weight": torch.full((2, 17), weight)})

    for key, value in weighted(1.0).items():
        assert torch.isfinite(value) and value != 0, key
        torch.testing.assert_close(value, plain[key], rtol=1e-5, atol=1e-6)
    for key, value in weighted(0.3).items():
        tolerance = 0.02 if key == "dice" else 1e-4  # whose eps does not shrink along
        torch.testing.assert_close(value, 0.3 * plain[key], rtol=tolerance, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", ["segmentation", "normal", "depth", "pointmap", "albedo", "matting"])
def test_pixels_without_weight_neither_count_nor_teach(name: str) -> None:
    head = HEADS[name]()
    batch, outputs = batch_and_outputs(head)
    field = outputs["pointmap"] if isinstance(outputs, dict) else outputs
    field = torch.nn.functional.interpolate(field, SIZE, mode="bilinear").requires_grad_()
    given = {**outputs, "pointmap": field} if isinstance(outputs, dict) else field
    weight = torch.rand(2, 1, *SIZE)
    weight[..., :12] = 0
    terms = head.loss(given, {**batch, "weight": weight})
    (gradient,) = torch.autograd.grad(torch.stack([*terms.values()]).sum(), field)
    assert gradient[..., :11].abs().max() == 0 and gradient[..., 13:].abs().max() > 0


def test_weighted_terms_are_those_of_a_plain_reference() -> None:
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.1, 1, (2, 1, *SIZE)).astype(np.float32)

    logits, labels = rng.normal(size=(2, 4, *SIZE)), rng.integers(0, 4, (2, *SIZE))
    labels[:, :5] = 255
    shown = np.where(labels == 255, 0, labels)
    picked = np.take_along_axis(logits, shown[:, None], axis=1)[:, 0]
    entropy = np.where(labels == 255, 0, np.log(np.exp(logits).sum(axis=1)) - picked)
    found = CrossEntropy()(torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(weight[:, 0]))
    assert found.item() == pytest.approx((weight[:, 0] * entropy).mean(), rel=1e-6)

    alpha, truth = rng.uniform(size=(2, 1, *SIZE)), rng.uniform(size=(2, 1, *SIZE))
    counts = weight > 0.5
    weights = np.where(counts, weight, 0)
    expected = np.mean(
        [(w * abs(a - t)).sum() / c.sum() for w, a, t, c in zip(weights, alpha, truth, counts, strict=True)]
    )
    found = AlphaL1()(*map(torch.from_numpy, (alpha, truth, weights)))
    assert found.item() == pytest.approx(expected, rel=1e-6)

    batch, outputs = batch_and_outputs(PoseHead(EMBED, "coco17", loss={"mse": KeypointMSE(2.0)}))
    head = PoseHead(EMBED, "coco17", loss={"mse": KeypointMSE(2.0)})
    scores = rng.uniform(size=(2, 17)).astype(np.float32)
    maps, labelled = head.codec(outputs, batch["image"]).encode(batch["keypoints"])
    squares = ((outputs - maps) ** 2).mean(dim=(2, 3)).numpy() * labelled.numpy()
    found = head.loss(outputs, {**batch, "keypoint_weight": torch.from_numpy(scores)})["mse"]
    assert found.item() == pytest.approx(2 * (scores * squares).mean(), rel=1e-5)


def test_terms_of_others_that_take_no_weights_say_so() -> None:
    head = SegmentationHead(EMBED, "body3", loss={"mine": SkipUnlabelled(CrossEntropy())})
    batch, outputs = batch_and_outputs(head)
    assert head.loss(outputs, batch)["mine"] > 0
    with pytest.raises(SettingError, match=r"confidence.weight is true.*`mine`"):
        head.loss(outputs, {**batch, "weight": torch.ones(2, 1, *SIZE)})
