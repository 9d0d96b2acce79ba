"""What every dense head promises, whatever its task: learning, masks, mirrors, names, and a sensible start."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from sapiens2_lit.data.datasets.synthetic import SyntheticDataset
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    LinearHead,
    MattingHead,
    NormalHead,
    PointmapHead,
    SegmentationHead,
    SMPHead,
)
from sapiens2_lit.heads.base import average
from sapiens2_lit.models.normalize import normalize
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (64, 48)
HEADS: dict[str, Callable[..., Head]] = {
    "normal": NormalHead,
    "albedo": AlbedoHead,
    "depth": DepthHead,
    "relative depth": partial(DepthHead, relative=True),
    "matting": MattingHead,
    "pointmap": partial(PointmapHead, image_size=SIZE),
}
every_head = pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)


@pytest.fixture(scope="module")
def batch() -> dict[str, Any]:
    """Four generated people with every dense label."""
    dataset = SyntheticDataset(4, SIZE, load_skeleton("coco17"))
    return torch.utils.data.default_collate([dataset[index] for index in range(4)])


def features(count: int = 4) -> list[torch.Tensor]:
    return [torch.randn(count, 32, SIZE[0] // 16, SIZE[1] // 16, generator=torch.Generator().manual_seed(0))]


def scores(head: Head, outputs: Any, batch: dict[str, Any]) -> dict[str, float]:
    metrics = head.metrics(stage="validate")
    head.update(metrics, outputs, batch)
    return {name: value.item() for name, value in metrics.compute().items()}


@every_head
@pytest.mark.parametrize("decoder", ["deconv", "pixel_shuffle"])
def test_fields_have_the_size_of_the_input(make: Callable, decoder: str, batch: dict) -> None:
    head = make(32, decoder=decoder)
    for name, value in head.predict(head(features()), batch).items():
        assert value.dtype == torch.float32
        if name not in ("focal", "scale"):
            assert value.shape[2:] == SIZE


@pytest.mark.slow
@every_head
def test_a_few_steps_lower_the_loss_and_better_the_score(make: Callable, batch: dict) -> None:
    """On four people, by heart; benchmarks/learn.py does it on people never seen."""
    torch.manual_seed(0)
    backbone, head = Sapiens2("test", SIZE), make(Sapiens2("test", SIZE).embed_dim)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2)
    losses, images = [], normalize(batch["image"], IMAGENET_MEAN, IMAGENET_STD)
    with torch.no_grad():
        before = scores(head, head(backbone(images)), batch)
    for _ in range(40):
        terms = head.loss(head(backbone(images)), batch)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 4.0)
        optimizer.step()
        losses.append(total.item())
    with torch.no_grad():
        after = scores(head, head(backbone(images)), batch)
    assert losses[-1] < 0.8 * losses[0]
    key, mode = head.monitor
    assert after[key] > before[key] if mode == "max" else after[key] < before[key]


@every_head
def test_fields_are_finer_than_half_precision(make: Callable, batch: dict) -> None:
    head = make(32)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = head(features())
        loss = torch.stack(list(head.loss(outputs, batch).values())).sum()
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    field = outputs["pointmap"] if isinstance(outputs, dict) else outputs
    assert (field != field.bfloat16()).float().mean() > 0.9


@every_head
def test_a_batch_in_which_nothing_counts_has_no_loss_and_finite_gradients(
    make: Callable, batch: dict
) -> None:
    head = make(32)
    nothing = {
        **batch,
        "valid": torch.zeros_like(batch["valid"]),
        "alpha": torch.full_like(batch["alpha"], torch.nan),
    }
    loss = torch.stack(list(head.loss(head(features()), nothing).values())).sum()
    loss.backward()
    assert loss.item() == 0
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in head.parameters()
    )


@every_head
def test_labels_that_do_not_count_do_not_matter(make: Callable, batch: dict) -> None:
    head = make(32)
    outputs, hidden = head(features()), dict(batch)
    for key in ("normal", "albedo", "depth", "pointmap"):
        hidden[key] = torch.where(batch["valid"], batch[key], torch.nan)
    for name, value in head.loss(outputs, hidden).items():
        torch.testing.assert_close(value, head.loss(outputs, batch)[name])
    assert scores(head, outputs, hidden) == pytest.approx(scores(head, outputs, batch), nan_ok=True)


@every_head
def test_flip_test_of_a_mirrored_network_changes_nothing(make: Callable, batch: dict) -> None:
    head = make(32)
    outputs = head(features())
    again = head.unflip(head.unflip(outputs))
    for key, value in head.predict(outputs, batch).items():
        torch.testing.assert_close(head.predict(again, batch)[key], value)
        torch.testing.assert_close(head.predict(average(outputs, again), batch)[key], value)


@every_head
def test_samples_of_another_process_are_not_counted(make: Callable, batch: dict) -> None:
    head = make(32)
    outputs = head(features())
    own = torch.tensor([False, True, True, False])
    part = {key: value[own] for key, value in batch.items() if isinstance(value, torch.Tensor)}
    kept = {key: value[own] for key, value in outputs.items()} if isinstance(outputs, dict) else outputs[own]
    shared = scores(head, outputs, {**batch, "evaluated": own})
    assert shared == pytest.approx(scores(head, kept, part), rel=1e-5, nan_ok=True)


@every_head
def test_images_without_labels_are_predicted_and_not_scored(make: Callable, batch: dict) -> None:
    head = make(32)
    outputs, images = head(features()), {"image": batch["image"]}
    assert all(value.isfinite().all() for value in head.predict(outputs, images).values())
    assert np.isnan(scores(head, outputs, images)[head.monitor[0]])


@every_head
def test_pictures_of_labels_and_predictions(make: Callable, batch: dict) -> None:
    head = make(32)
    prediction = head.predict(head(features()), batch)
    image = batch["image"][0].permute(1, 2, 0).numpy()
    pictures = [
        head.draw(image, {key: value[0] for key, value in prediction.items()}),
        head.draw(image, {key: batch[key][0] for key in head.targets}),
    ]
    for picture in pictures:
        assert picture.dtype == np.uint8
        assert picture.shape[0] == SIZE[0] and picture.shape[2] == 3
    assert (pictures[0] != pictures[1]).any()


@pytest.mark.parametrize("make", [AlbedoHead, DepthHead, partial(PointmapHead, image_size=SIZE)])
def test_released_losses_are_one_setting_away(make: Callable, batch: dict) -> None:
    torch.manual_seed(0)
    outputs = make(32)(features())
    if isinstance(outputs, dict):  # the released logarithm knows nothing behind the camera
        outputs["pointmap"] = outputs["pointmap"].clamp(min=0.5)
    for value in make(32, released_loss=True).loss(outputs, batch).values():
        assert value.isfinite()
    ours, released = (make(32, released_loss=flag).loss(outputs, batch) for flag in (False, True))
    assert {name: value.item() for name, value in ours.items()} != {
        name: value.item() for name, value in released.items()
    }
    with pytest.raises(SettingError, match="`released_loss` has no effect beside `loss`"):
        make(32, loss={"mine": torch.nn.L1Loss()}, released_loss=True)


@every_head
def test_no_term_at_all_is_refused(make: Callable) -> None:
    with pytest.raises(SettingError, match="`loss` is empty"):
        make(32, loss={})


def test_relative_depth_has_no_released_form() -> None:
    with pytest.raises(SettingError, match="`relative` and `released` exclude each other"):
        DepthHead(32, relative=True, released_loss=True)


def test_relative_depth_takes_labels_of_any_unit_and_zero(batch: dict) -> None:
    head = DepthHead(32, relative=True)
    outputs = head(features())
    other = {**batch, "depth": torch.where(batch["valid"], 1000 * batch["depth"] + 50, 0)}
    for name, value in head.loss(outputs, other).items():
        torch.testing.assert_close(value, head.loss(outputs, batch)[name], rtol=1e-3, atol=1e-4)


def test_fresh_heads_start_at_what_any_guess_would_be(batch: dict) -> None:
    torch.manual_seed(0)
    normal, depth = (make(32) for make in (NormalHead, DepthHead))
    facing = normal.predict(normal(features()), batch)["normal"].mean(dim=(0, 2, 3))
    torch.testing.assert_close(facing, torch.tensor([0.0, 0.0, -1.0]), rtol=0, atol=0.2)
    assert depth.predict(depth(features()), batch)["depth"].median().item() == pytest.approx(3.0, abs=1.0)


@pytest.mark.parametrize("make", [NormalHead, DepthHead, AlbedoHead, MattingHead, SegmentationHead])
def test_fresh_heads_add_no_noise_of_random_features(make: Callable) -> None:
    """Training would have to unlearn it first."""
    torch.manual_seed(0)
    outputs = make(128)([torch.randn(2, 128, 4, 3)])
    assert outputs.std(dim=(2, 3)).max() < 0.1


def test_matting_learns_alpha_alone_where_there_is_no_foreground(batch: dict) -> None:
    head = MattingHead(32)
    outputs = head(features())
    without = {key: value for key, value in batch.items() if key != "foreground"}
    assert set(head.loss(outputs, batch)) == {*head.loss(outputs, without), "composite"}
    assert "composite" not in MattingHead(32, color_loss={}).loss(outputs, batch)


def test_mattes_teach_beyond_the_person(batch: dict) -> None:
    """`valid` is where people are; that nothing else is person is half of the label."""
    head = MattingHead(32)
    outputs = head(features()).detach().requires_grad_()
    torch.stack(list(head.loss(outputs, batch).values())).sum().backward()
    outside = ~batch["valid"][:, 0]
    assert (outputs.grad[:, 3][outside] != 0).float().mean() > 0.9


def test_linear_probe_is_linear_and_starts_undecided() -> None:
    head = LinearHead(32).eval()
    a, b = features()[0], features()[0].flip(-1)
    assert not head([a]).any()
    torch.nn.init.normal_(head.get_parameter("conv_seg.weight"))
    torch.testing.assert_close(head([a + b]), head([a]) + head([b]), rtol=1e-4, atol=1e-4)
    labels = {"image": torch.zeros(4, 3, *SIZE), "segmentation": torch.randint(0, 29, (4, *SIZE))}
    assert head.predict(head([a]), labels)["segmentation"].shape == (4, *SIZE)


@pytest.mark.parametrize(
    "make", [SegmentationHead, LinearHead, partial(SMPHead, decoder="upernet", channels=8)]
)
def test_pictures_without_a_labelled_pixel_teach_no_class(make: Callable) -> None:
    head = make(32)
    maps = [feature.requires_grad_() for feature in features(2) * (4 if isinstance(head, SMPHead) else 1)]
    labels = {"image": torch.zeros(2, 3, *SIZE), "segmentation": torch.full((2, *SIZE), 255)}
    loss = torch.stack(list(head.loss(head(maps), labels).values())).sum()
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is None or not p.grad.any() for p in head.parameters())


@pytest.mark.parametrize("decoder", ["dpt", "upernet"])
def test_decoders_of_others_take_grids_of_any_size(decoder: str) -> None:
    head = SMPHead(32, decoder=decoder, channels=8)
    for grid in ((4, 3), (5, 4), (7, 5)):
        logits = head([torch.randn(2, 32, *grid) for _ in range(4)])
        labels = {"image": torch.zeros(2, 3, 16 * grid[0], 16 * grid[1])}
        found = head.predict(logits, labels)["segmentation"]
        assert found.shape[1:] == labels["image"].shape[2:]


@pytest.mark.parametrize(("decoder", "stride"), [("dpt", 8), ("upernet", 4)])
def test_decoders_of_others_use_all_maps(decoder: str, stride: int) -> None:
    head = SMPHead(32, decoder=decoder, channels=16)
    maps = [torch.randn(2, 32, 8, 6, requires_grad=True) for _ in range(4)]
    logits = head(maps)
    assert logits.shape == (2, 29, 8 * stride, 6 * stride)
    batch = {"image": torch.zeros(2, 3, 128, 96), "segmentation": torch.randint(0, 29, (2, 128, 96))}
    torch.stack(list(head.loss(logits, batch).values())).sum().backward()
    assert all(feature.grad.abs().sum() > 0 for feature in maps)
    with pytest.raises(SettingError, match="gives 1 feature maps, expected 4: set its `out_indices`"):
        head(maps[:1])


def test_scores_and_losses_do_not_share_names() -> None:
    """They are logged side by side."""
    for make in HEADS.values():
        head = make(32)
        terms = set(getattr(head, "losses", {})) | set(getattr(head, "color_losses", {})) | {"scale"}
        metrics = head.metrics(stage="validate")
        assert not terms & {name for metric in metrics.values() for name in metric.compute()}
