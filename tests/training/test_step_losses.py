"""Losses of a step, over one batch or several."""

import torch

from sapiens2_lit.training.partial_labels import with_features
from sapiens2_lit.training.step_losses import StepLosses


def test_a_head_s_loss_is_the_sum_of_its_terms_and_the_mean_over_its_batches() -> None:
    losses = StepLosses([{"image": torch.zeros(2), "sample": ["a", "b"]}, {"image": torch.zeros(3)}])
    losses.add("pose", {"l1": torch.tensor(1.0), "l2": torch.tensor(2.0)})
    losses.add("pose", {"l1": torch.tensor(3.0), "l2": torch.tensor(4.0)})
    losses.add("depth", {"silog": torch.tensor(0.5)})
    assert {name: float(value) for name, value in losses.heads().items()} == {"pose": 5.0, "depth": 0.5}
    assert {name: float(value) for name, value in losses.terms().items()} == {
        "pose/l1": 2.0,
        "pose/l2": 3.0,
        "depth/silog": 0.5,
    }
    assert (losses.size, losses.samples) == (5, ["a", "b"])


def test_batches_of_one_size_pass_the_backbone_at_once() -> None:
    passes: list[int] = []

    def compute(images: torch.Tensor) -> list[torch.Tensor]:
        passes.append(len(images))
        return [images.float() + 1]

    first, second = torch.zeros(2, 3, 4, 4), torch.ones(1, 3, 4, 4)
    parts = with_features({"batches": {"a": {"image": first}, "b": {"image": second}}}, compute, None)
    assert passes == [3]
    for (part, (features,)), image in zip(parts, (first, second), strict=True):
        assert part["image"] is image
        assert torch.equal(features, image + 1)
    other = {"image": torch.ones(1, 3, 8, 4)}
    with_features({"batches": {"a": {"image": first}, "b": other}}, compute, None)
    assert passes == [3, 2, 1]
    stored = {"image": first, "features": [torch.zeros(1)]}
    assert with_features(stored, compute, None)[0][1] is stored["features"]
    assert passes == [3, 2, 1]


def test_batches_that_lack_a_term_do_not_make_it_weigh_less() -> None:
    losses = StepLosses([{"image": torch.zeros(1)}, {"image": torch.zeros(1)}])
    losses.add("seg", {"ce": torch.tensor(1.0), "teacher_kl": torch.tensor(0.25)})
    losses.add("seg", {"teacher_kl": torch.tensor(0.75)})
    assert float(losses.heads()["seg"]) == 1.5
    assert {name: float(value) for name, value in losses.terms().items()} == {
        "seg/ce": 1.0,
        "seg/teacher_kl": 0.5,
    }
