"""Point maps: metres, the camera, mirrors, and where the focal length comes from."""

import math

import pytest
import torch

from sapiens2_lit.errors import SettingError
from sapiens2_lit.geometry import canonical_scale, intrinsics_from_focal, project, unproject
from sapiens2_lit.heads import PointmapHead
from sapiens2_lit.losses import PointAligned

SIZE = (64, 48)


def scene(focal: float = 60.0) -> dict[str, torch.Tensor]:
    """Two curved surfaces before one camera, and the batch of them."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(2, 1, 5, 4, generator=generator)
    depth = 2 + torch.nn.functional.interpolate(rough, SIZE, mode="bicubic")
    intrinsics = intrinsics_from_focal(torch.tensor([focal, 1.5 * focal]), SIZE)
    return {
        "image": torch.zeros(2, 3, *SIZE, dtype=torch.uint8),
        "pointmap": unproject(depth, intrinsics),
        "intrinsics": intrinsics,
        "valid": torch.ones(2, 1, *SIZE, dtype=torch.bool),
    }


def perfect(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The outputs that the labels ask for."""
    scale = canonical_scale(batch["intrinsics"], SIZE)
    return {"pointmap": scale[:, None, None, None] * batch["pointmap"], "scale": scale[:, None]}


@pytest.mark.parametrize("focal_from", ["scale", "points"])
def test_perfect_outputs_give_metres_and_the_camera_and_no_loss(focal_from: str) -> None:
    head, batch = PointmapHead(32, image_size=SIZE, focal_from=focal_from), scene()
    found = head.predict(perfect(batch), batch)
    torch.testing.assert_close(found["pointmap"], batch["pointmap"])
    torch.testing.assert_close(found["depth"], batch["pointmap"][:, 2:])
    torch.testing.assert_close(found["focal"], batch["intrinsics"][:, 0, 0], rtol=1e-4, atol=0)
    camera = intrinsics_from_focal(found["focal"], SIZE)
    torch.testing.assert_close(
        project(found["pointmap"], camera), project(batch["pointmap"], batch["intrinsics"])
    )
    assert sum(term.item() for term in head.loss(perfect(batch), batch).values()) < 1e-4
    metrics = head.metrics(stage="validate")
    head.update(metrics, perfect(batch), batch)
    scores = metrics.compute()
    for name in ("l2", "depth_abs_rel", "scale_l2", "affine_l2", "focal_rel", "surface_mean_angle"):
        assert scores[name].item() == pytest.approx(0, abs=0.05)


def test_a_longer_lens_of_the_same_image_is_the_same_canonical_map_and_larger_depth() -> None:
    """Canonical units leave the scale to its own branch."""
    near, far = scene(60), scene(120)
    far["pointmap"] = unproject(2 * near["pointmap"][:, 2:], far["intrinsics"])
    torch.testing.assert_close(perfect(near)["pointmap"][:, 2], perfect(far)["pointmap"][:, 2])


def test_a_mirrored_scene_has_mirrored_outputs() -> None:
    head, batch = PointmapHead(32, image_size=SIZE), scene()
    mirrored = dict(batch, pointmap=unproject(batch["pointmap"][:, 2:].flip(-1), batch["intrinsics"]))
    back = head.unflip(perfect(mirrored))
    torch.testing.assert_close(back["pointmap"], perfect(batch)["pointmap"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(back["scale"], perfect(batch)["scale"])


def test_focal_length_is_of_the_original_image_where_the_affine_is_known() -> None:
    head, batch = PointmapHead(32, image_size=SIZE), scene()
    halved = torch.tensor([[0.5, 0, 3], [0, 0.5, -2]]).expand(2, 2, 3)
    original = head.predict(perfect(batch), {**batch, "affine": halved})["focal"]
    torch.testing.assert_close(original, 2 * batch["intrinsics"][:, 0, 0])


def test_focal_length_from_points_needs_only_those_that_count() -> None:
    head, batch = PointmapHead(32, image_size=SIZE, focal_from="points"), scene()
    batch["valid"][..., :20] = False
    outputs = perfect(batch)
    outputs["pointmap"][..., :20] = 7
    found = head.predict(outputs, batch)["focal"]
    torch.testing.assert_close(found, batch["intrinsics"][:, 0, 0], rtol=1e-4, atol=0)
    batch["valid"][:] = False
    assert head.predict(outputs, batch)["focal"].isnan().all()


def test_focal_length_from_points_of_a_crop_whose_principal_point_is_elsewhere() -> None:
    head, batch = PointmapHead(32, image_size=SIZE, focal_from="points"), scene()
    batch["intrinsics"][:, :2, 2] += torch.tensor([15.0, -40.0])
    batch["pointmap"] = unproject(batch["pointmap"][:, 2:], batch["intrinsics"])
    found = head.predict(perfect(batch), batch)["focal"]
    torch.testing.assert_close(found, batch["intrinsics"][:, 0, 0], rtol=1e-4, atol=0)


def test_samples_without_a_pixel_that_counts_teach_no_scale() -> None:
    head, batch = PointmapHead(32, image_size=SIZE), scene()
    batch["valid"][0] = False
    outputs = perfect(batch)
    outputs["scale"] = (outputs["scale"] + 1).requires_grad_()
    head.loss(outputs, batch)["scale"].backward()
    assert outputs["scale"].grad[0].item() == 0 and outputs["scale"].grad[1].item() > 0


def test_labels_without_metric_scale_are_learned_by_alignment() -> None:
    head, batch = PointmapHead(32, image_size=SIZE, loss={"aligned": PointAligned()}, scale_weight=0), scene()
    other = {**batch, "pointmap": 3 * batch["pointmap"] + torch.tensor([0, 0, 1.0])[:, None, None]}
    outputs = perfect(batch)
    assert set(head.loss(outputs, other)) == {"aligned", "scale"}
    assert sum(term.item() for term in head.loss(outputs, other).values()) < 1e-3


def test_scales_below_any_camera_give_finite_points() -> None:
    head, batch = PointmapHead(32, image_size=SIZE), scene()
    outputs = {**perfect(batch), "scale": torch.tensor([[-1.0], [0.0]])}
    assert all(value.isfinite().all() for value in head.predict(outputs, batch).values())
    assert math.isfinite(head.loss(outputs, batch)["scale"].item())


def test_scale_is_no_number_of_eight_bits_under_autocast() -> None:
    """A scale in bfloat16 moves every point of a person 3 m away by up to a centimetre."""
    torch.manual_seed(0)
    head = PointmapHead(32, image_size=SIZE).eval()
    torch.nn.init.normal_(head.scale_final_layer[-1].weight)
    features = [torch.randn(16, 32, SIZE[0] // 16, SIZE[1] // 16)]
    with torch.autocast("cpu", torch.bfloat16):
        outputs = head(features)
    for name, values in outputs.items():
        assert values.dtype == torch.float32, name
        assert not torch.equal(values, values.bfloat16().float()), f"{name} is rounded"


def test_sizes_are_checked() -> None:
    with pytest.raises(SettingError, match=r"`image_size` is \[8, 48\] and `patch_size` 16"):
        PointmapHead(32, image_size=(8, 48))
