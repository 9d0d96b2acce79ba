"""The pose head: what it learns from, predicts and draws."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sapiens2_lit.heads import PoseHead
from sapiens2_lit.heads.pose import to_original
from sapiens2_lit.losses import KeypointMSE, KeypointOHKM
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (128, 96)


def batch(count: int = 2, points: int = 17) -> dict:
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(count, points, 2, generator=generator) * torch.tensor([SIZE[1] - 1.0, SIZE[0] - 1.0])
    return {
        "image": torch.zeros(count, 3, *SIZE, dtype=torch.uint8),
        "keypoints": torch.cat([xy, torch.full((count, points, 1), 2.0)], dim=2),
        "affine": torch.tensor([[[0.5, 0.1, 3.0], [-0.1, 0.5, 7.0]]]).expand(count, -1, -1),
        "box": torch.tensor([[10.0, 20.0, 100.0, 150.0]]).expand(count, -1),
        "box_score": torch.ones(count),
        "image_id": torch.arange(count),
        "sample_index": torch.arange(count),
    }


def perfect(head: PoseHead, labels: dict) -> torch.Tensor:
    """The heatmaps that the labels ask for."""
    maps = torch.empty(len(labels["image"]), head.skeleton.num_keypoints, SIZE[0] // 4, SIZE[1] // 4)
    return head.codec(maps, labels["image"]).encode(labels["keypoints"])[0]


@pytest.mark.parametrize("decoder", ["deconv", "pixel_shuffle"])
def test_heatmaps_are_a_quarter_of_the_input(decoder: str) -> None:
    head = PoseHead(32, skeleton="coco17", decoder=decoder)
    assert head([torch.randn(2, 32, 8, 6)]).shape == (2, 17, 32, 24)


def test_perfect_heatmaps_have_no_loss_and_all_keypoints_right() -> None:
    head, labels = PoseHead(32, skeleton="coco17"), batch()
    outputs = perfect(head, labels)
    assert float(head.loss(outputs, labels)["mse"]) < 1e-6
    metrics = head.metrics()
    head.update(metrics, outputs, labels)
    assert {name: float(value) for name, value in metrics.compute().items()} == {
        "PCK@0.05": 1.0,
        "PCK@0.1": 1.0,
    }


def test_predictions_come_in_pixels_of_the_original_image() -> None:
    head, labels = PoseHead(32, skeleton="coco17"), batch()
    outputs = perfect(head, labels)
    original = head.predict(outputs, labels)["keypoints"][..., :2]
    affine = labels["affine"]
    again = original @ affine[:, :, :2].mT + affine[:, None, :, 2]
    torch.testing.assert_close(again, labels["keypoints"][..., :2], atol=0.02, rtol=0)
    del labels["affine"]
    there = head.predict(outputs, labels)["keypoints"][..., :2]
    torch.testing.assert_close(there, labels["keypoints"][..., :2], atol=0.02, rtol=0)


def test_to_original_inverts_the_affine() -> None:
    affine = torch.tensor([[[0.5, 0.2, 3.0], [-0.1, 0.7, 7.0]]])
    points = torch.rand(1, 9, 3) * 300
    moved = torch.cat([points[..., :2] @ affine[0, :, :2].T + affine[0, :, 2], points[..., 2:]], dim=2)
    torch.testing.assert_close(to_original(moved, affine), points, atol=1e-3, rtol=0)


def test_outputs_of_a_mirrored_person_come_back_mirrored() -> None:
    head, labels = PoseHead(32, skeleton="coco17"), batch()
    mirrored = {**labels, "keypoints": labels["keypoints"][:, list(head.skeleton.swap)].clone()}
    mirrored["keypoints"][..., 0] = SIZE[1] - 1 - mirrored["keypoints"][..., 0]
    torch.testing.assert_close(head.unflip(perfect(head, mirrored)), perfect(head, labels), atol=1e-5, rtol=0)


def test_losses_are_terms_of_ones_own() -> None:
    head = PoseHead(32, skeleton="coco17", loss={"mse": KeypointMSE(), "ohkm": KeypointOHKM(top_k=4)})
    terms = head.loss(torch.randn(2, 17, 32, 24), batch())
    assert set(terms) == {"mse", "ohkm"}
    assert float(terms["ohkm"]) > 0


def test_a_target_costs_little_between_loader_and_device() -> None:
    keypoints = batch(1, 308)["keypoints"]
    assert keypoints.nbytes <= 10_000


def test_drawing_marks_the_keypoints(tmp_path: Path) -> None:
    head, labels = PoseHead(32, skeleton="coco17"), batch(1)
    image = np.zeros((*SIZE, 3), np.uint8)
    drawn = head.draw(image, {"keypoints": labels["keypoints"][0]})
    assert not image.any(), "the given image stays as it is"
    for x, y, _ in labels["keypoints"][0].round().long().tolist():
        assert drawn[y, x].any()


def test_parameters_carry_the_released_names() -> None:
    names = set(PoseHead(1024).state_dict())
    assert {"deconv_layers.0.weight", "conv_layers.0.bias", "conv_pose.weight"} <= names
    assert PoseHead(1024).conv_pose.out_channels == load_skeleton("sociopticon308").num_keypoints == 308
