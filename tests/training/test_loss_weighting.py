"""How the losses of several heads are weighed."""

from functools import partial

import pytest
import torch
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError, TrainingError
from sapiens2_lit.heads import DepthHead, NormalHead
from sapiens2_lit.training.loss_weighting import (
    FixedWeights,
    GradientNorms,
    LossWeighting,
    UncertaintyWeighting,
)
from sapiens2_lit.training.module import SapiensModule

HEADS = ["small", "large"]


def quadratic(balancer: LossWeighting, steps: int, scales: tuple[float, float] = (1.0, 100.0)) -> Tensor:
    """Train one shared value on two losses of very different scale; returns the gradients' norms of the last step."""
    shared = torch.nn.Parameter(torch.full((4,), 2.0))
    optimizer = torch.optim.SGD([shared], lr=1e-4)
    norms = torch.zeros(2)
    for _ in range(steps):
        optimizer.zero_grad()
        losses = {}
        for index, (name, scale) in enumerate(zip(HEADS, scales, strict=True)):
            (seen,) = balancer.watch_gradients(name, [shared * 1.0])
            seen.register_hook(lambda gradient, index=index: norms.__setitem__(index, gradient.norm()))
            losses[name] = scale * seen.square().sum()
        torch.stack(list(balancer(losses).values())).sum().backward()
        balancer.update()
        optimizer.step()
    return norms


def test_fixed_weights_multiply_and_default_to_one() -> None:
    weighed = FixedWeights(HEADS, {"large": 0.25})({"small": torch.tensor(3.0), "large": torch.tensor(8.0)})
    assert {name: float(loss) for name, loss in weighed.items()} == {"small": 3.0, "large": 2.0}


@pytest.mark.parametrize("weights", [{"other": 1.0}, {"small": -1.0}, {"small": float("nan")}])
def test_fixed_weights_refuse_what_means_nothing(weights: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=r"model\.loss_weighting\.weights"):
        FixedWeights(HEADS, weights)


def test_uncertainty_settles_where_each_weighed_loss_is_one() -> None:
    """The minimum over s of exp(-s) L + s is at s = log L."""
    balancer = UncertaintyWeighting(HEADS)
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        weighed = balancer({"small": torch.tensor(0.5), "large": torch.tensor(4.0)})
        torch.stack(list(weighed.values())).sum().backward()
        optimizer.step()
    assert balancer.weights() == pytest.approx({"small": 2.0, "large": 0.25}, rel=1e-3)


def test_gradient_norms_become_equal() -> None:
    norms = quadratic(GradientNorms(HEADS, alpha=0.0), 100)
    assert float(norms[1] / norms[0]) == pytest.approx(1.0, rel=0.01)
    plain = quadratic(FixedWeights(HEADS), 2)
    assert float(plain[1] / plain[0]) == pytest.approx(100.0, rel=0.01)


def test_sum_of_gradient_norm_weights_stays() -> None:
    balancer = GradientNorms(HEADS, alpha=0.0)
    quadratic(balancer, 10)
    assert sum(balancer.weights().values()) == pytest.approx(2.0)


def test_head_without_labels_keeps_its_weight() -> None:
    balancer = GradientNorms([*HEADS, "absent"], alpha=0.0)
    quadratic(balancer, 20)
    assert balancer.weights()["absent"] == 1.0


def test_head_that_lags_behind_is_heard_more() -> None:
    balancer = GradientNorms(HEADS, alpha=1.0, momentum=0.0)
    for losses in ((1.0, 1.0), (1.0, 0.1)):
        seen = {name: torch.ones(2, requires_grad=True) for name in HEADS}
        tapped = {name: balancer.watch_gradients(name, [value])[0] for name, value in seen.items()}
        scaled = {name: loss * tapped[name].sum() / 2 for name, loss in zip(HEADS, losses, strict=True)}
        torch.stack(list(balancer(scaled).values())).sum().backward()
        balancer.update()
    assert balancer.weights()["small"] * 1.0 > 5 * balancer.weights()["large"] * 0.1


def test_losses_that_are_not_positive_need_alpha_zero() -> None:
    balancer = GradientNorms(HEADS)
    seen = torch.ones(2, requires_grad=True)
    losses = {name: -balancer.watch_gradients(name, [seen])[0].sum() for name in HEADS}
    torch.stack(list(balancer(losses).values())).sum().backward()
    with pytest.raises(TrainingError, match="alpha"):
        balancer.update()


def test_frozen_features_have_nothing_to_balance() -> None:
    with pytest.raises(SettingError, match=r"model\.loss_weighting.*frozen"):
        GradientNorms(HEADS).check(backbone_learns=False)
    with pytest.raises(SettingError, match="one head"):
        GradientNorms(["pose"]).check(backbone_learns=True)
    GradientNorms(HEADS).check(backbone_learns=True)


def test_weights_stay_while_a_schedule_keeps_the_backbone_frozen() -> None:
    balancer = GradientNorms(HEADS, alpha=0.0)
    weight = torch.ones(1, requires_grad=True)
    losses = {name: (weight * balancer.watch_gradients(name, [torch.ones(2)])[0]).sum() for name in HEADS}
    torch.stack(list(balancer(losses).values())).sum().backward()
    balancer.update()
    assert balancer.weights() == {"small": 1.0, "large": 1.0}


def test_gradients_that_overflow_change_no_weight() -> None:
    """The scaler of 16-mixed leaves out such a step and goes on."""
    balancer = GradientNorms(HEADS, alpha=0.0)
    for factor in (float("inf"), 1.0):
        seen = torch.ones(2, requires_grad=True)
        losses = {
            name: scale * balancer.watch_gradients(name, [seen])[0].sum()
            for name, scale in zip(HEADS, (1.0, 4.0), strict=True)
        }
        (torch.stack(list(balancer(losses).values())).sum() * factor).backward()
        balancer.update()
        weights = balancer.weights()
        assert all(weight == weight for weight in weights.values())
        assert (weights["small"] > weights["large"]) == (factor == 1.0)


def make(balance) -> SapiensModule:
    heads = {"normal": NormalHead, "depth": DepthHead}
    module = SapiensModule(partial(Sapiens2, "test"), heads, loss_weighting=balance)
    module.configure_model()
    return module


@pytest.mark.parametrize("balance", [FixedWeights, UncertaintyWeighting, GradientNorms])
def test_partial_labels_train_the_heads_that_have_them(balance) -> None:
    module = make(balance)
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.is_log_step = lambda: False
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    depth = {"image": images, "depth": torch.rand(2, 1, 64, 48) + 1}
    module.training_step(depth, 0).backward()
    assert all(parameter.grad is None for parameter in module.heads["normal"].parameters())
    assert all(parameter.grad is not None for parameter in module.heads["depth"].parameters())
    assert all(parameter.grad is not None for parameter in module.backbone.parameters())


def test_batches_of_several_datasets_are_one_step() -> None:
    """The sum of both losses, whether or not the images are of one size."""
    module = make(FixedWeights)
    module.log = module.log_dict = lambda *args, **kwargs: None
    module.is_log_step = lambda: False
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    depth = {"image": images, "depth": torch.rand(2, 1, 64, 48) + 1, "dataset": "a"}
    for size in ((64, 48), (64, 64)):
        normals = {
            "dataset": "b",
            "image": torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8),
            "normal": torch.nn.functional.normalize(torch.randn(1, 3, *size), dim=1),
        }
        with torch.no_grad():
            together = module.training_step({"batches": {"a": depth, "b": normals}}, 0)
            apart = module.training_step(depth, 0) + module.training_step(normals, 0)
        torch.testing.assert_close(together, apart)


def test_a_batch_without_any_label_is_an_error() -> None:
    with pytest.raises(SettingError, match="no head can learn"):
        make(FixedWeights).training_step({"image": torch.zeros(1, 3, 64, 48, dtype=torch.uint8)}, 0)
