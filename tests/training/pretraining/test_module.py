"""The module: what learns, what follows it, what it goes on from, and when it gives up."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from small_runs import Pictures, fit, make
from torch import Tensor

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import write_weights
from sapiens2_lit.errors import SettingError, TrainingError, WeightsError
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.pretraining.guards import CollapseGuard, effective_rank, teacher_state
from sapiens2_lit.training.pretraining.schedule import warmup_then_cosine
from sapiens2_lit.training.pretraining.settings import Anchor, Distillation
from sapiens2_lit.training.pretraining.teacher import Center

DINO = Distillation(prototypes=16, hidden=32, bottleneck=8)


class Student(L.Callback):
    """Remembers the student's weights after every step, and the teacher's at first."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self.first: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        self.first = {name: p.clone() for name, p in module.teacher.named_parameters()}

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *_: Any) -> None:
        self.seen.append({name: p.detach().clone() for name, p in module.network.named_parameters()})


def test_the_teacher_is_the_average_in_closed_form(tmp_path: Path) -> None:
    module, student = make(contrast="dino", dino=DINO), Student()
    fit(module, tmp_path, 4, callbacks=[student])
    assert module.teacher is not None
    for name, parameter in module.teacher.named_parameters():
        count, m = len(student.seen), DINO.momentum
        expected = m**count * student.first[name].double()
        for index, weights in enumerate(student.seen):
            expected = expected + (1 - m) * m ** (count - 1 - index) * weights[name].double()
        torch.testing.assert_close(parameter.double(), expected, rtol=1e-5, atol=1e-7)
        assert not parameter.requires_grad
    moved = [name for name, p in module.teacher.named_parameters() if not torch.equal(p, student.first[name])]
    assert "backbone.blocks.0.attn.wq.weight" in moved
    assert "heads.cls.layers.0.weight" in moved


def test_the_center_is_one_mean_a_step_over_all_batches() -> None:
    logits = torch.randn(6, 2, 4, generator=torch.Generator().manual_seed(0))
    whole, parts = Center(4, 0.9), Center(4, 0.9)
    for step in range(3):
        whole.add(logits + step)
        for part in (logits + step).split([1, 3, 2]):
            parts.add(part)
        whole.step()
        parts.step()
        torch.testing.assert_close(whole.value, parts.value)
    mean = logits.mean((0, 1)).double()
    expected = 0.1 * (0.81 * mean + 0.9 * (mean + 1) + (mean + 2))
    torch.testing.assert_close(whole.value.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("objective", ["mae", "both"])
def test_a_run_goes_on_in_the_middle_of_an_epoch_bit_for_bit(tmp_path: Path, objective: str) -> None:
    settings: dict[str, Any] = {"contrast": "dino", "dino": DINO} if objective == "both" else {}
    whole, _ = make(**settings), None
    fit(whole, tmp_path / "whole", 5)
    _, half = fit(make(**settings), tmp_path / "half", 2)
    later = make(**settings)
    fit(later, tmp_path / "later", 5, resume=half)
    expected, found = whole.state_dict(), later.state_dict()
    assert expected.keys() == found.keys()
    assert any(name.startswith("teacher.") for name in found) == (objective == "both")
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_a_checkpoint_of_another_objective_is_refused(tmp_path: Path) -> None:
    _, saved = fit(make(), tmp_path, 1)
    with pytest.raises(WeightsError, match="found mae, here is mae \\+ dino"):
        fit(make(contrast="dino", dino=DINO), tmp_path, 2, resume=saved)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    return write_weights(
        Sapiens2("test").state_dict(), tmp_path_factory.mktemp("start") / "model.safetensors"
    )


def cosine_distance(module: Any, start: Path) -> float:
    """Mean over patches of whole pictures, from the frozen start."""
    images = torch.stack([Pictures().train_dataloader().dataset[0, index]["image"][0] for index in range(6)])
    with torch.no_grad():
        before = Sapiens2("test", (64, 48), weights=str(start))(module.network.normalize(images))[-1]
        after = module.network.features(images)[-1]
    return float((1 - torch.cosine_similarity(before, after, dim=1)).mean())


@pytest.mark.slow
def test_the_anchor_holds_features_near_the_start(tmp_path: Path, start: Path) -> None:
    distances = []
    for anchor in (Anchor(weight=10.0), None):
        module = make(start, anchor=anchor)
        fit(module, tmp_path / str(anchor is None), 100, planned=100)
        distances.append(cosine_distance(module, start))
    assert distances[0] < 0.02
    assert distances[1] > 2 * distances[0], "without it they go further"


def test_the_decoder_learns_alone_at_first(tmp_path: Path, start: Path) -> None:
    module = make(start, decoder_first_steps=2)
    module.configure_model()
    before = {name: p.detach().clone() for name, p in module.network.heads.named_parameters()}
    fit(module, tmp_path, 2)
    stayed = [name for name, p in module.network.heads.named_parameters() if torch.equal(p, before[name])]
    assert not stayed, "biases and norms of the decoder learn as well"
    assert cosine_distance(module, start) == pytest.approx(0, abs=1e-6)
    module = make(start, decoder_first_steps=2)
    fit(module, tmp_path, 5)
    assert cosine_distance(module, start) > 1e-6


def test_adapters_learn_beside_the_anchor(tmp_path: Path, start: Path) -> None:
    module = make(start, adapt=Adapt("lora"), anchor=Anchor())
    run, _ = fit(module, tmp_path, 2)
    assert float(run.callback_metrics["train/anchor_distance"]) < 0.1
    trained = {name for name, p in module.network.backbone.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_settings_that_do_not_fit_are_errors(start: Path) -> None:
    with pytest.raises(SettingError, match="neither mae nor contrast"):
        make(mae=None)
    with pytest.raises(SettingError, match=r"model\.dino has no effect"):
        make(dino=DINO)
    with pytest.raises(SettingError, match="trains nothing"):
        make(adapt=Adapt("frozen"))
    with pytest.raises(SettingError, match=r"model\.saved"):
        make(saved="teacher")
    with pytest.raises(SettingError, match="no weights to stay near to"):
        make(anchor=Anchor()).configure_model()


def test_collapse_is_told_and_ends_the_run() -> None:
    guard = CollapseGuard(grace=10)
    random = torch.Generator().manual_seed(0)
    healthy = teacher_state(torch.softmax(5 * torch.randn(32, 16, generator=random), dim=-1))
    same = teacher_state(torch.softmax(torch.randn(1, 16, generator=random), dim=-1).expand(32, -1))
    one = teacher_state(torch.nn.functional.one_hot(torch.zeros(32, dtype=torch.int64), 16).float())
    assert not healthy.collapsed
    assert same.collapsed
    assert one.collapsed
    assert healthy.information > 0.5
    for step in range(10):
        guard.check(same, step)  # at first it is no wonder
    guard.check(same, 10)
    guard.check(healthy, 11)
    guard.check(same, 12)
    guard.check(same, 13)
    with pytest.raises(TrainingError, match=r"has collapsed(.|\n)*same answer"):
        guard.check(same, 14)


def test_a_run_that_collapses_stops(tmp_path: Path) -> None:
    """Without a teacher that learns, and all its answers alike."""
    module = make(contrast="dino", dino=Distillation(prototypes=16, teacher_temperature=(1e3, 1e3)))
    module.guard = CollapseGuard(grace=0)
    with pytest.raises(TrainingError, match="collapsed"):
        fit(module, tmp_path, 8, log_every_n_steps=1)


def test_effective_rank_counts_directions() -> None:
    assert effective_rank(torch.eye(6)) == pytest.approx(6, rel=1e-5)
    assert effective_rank(torch.ones(6, 4)) == pytest.approx(1, rel=1e-3)


def test_prototypes_wait_at_first(tmp_path: Path) -> None:
    module = make(contrast="dino", dino=DINO)
    module.configure_model()
    before = module.network.heads["cls"].last.weight.detach().clone()
    fit(module, tmp_path, 2, planned=30)
    assert torch.equal(module.network.heads["cls"].last.weight, before)
    fit(module, tmp_path, 6, planned=30)
    assert not torch.equal(module.network.heads["cls"].last.weight, before)


def test_rates_warm_up_and_follow_a_cosine() -> None:
    factor = warmup_then_cosine(10, 110, last=0.01, waits=0)
    assert [factor(0), factor(5), factor(10)] == pytest.approx([1e-3, 0.5005, 1.0])
    assert factor(60) == pytest.approx(0.505)
    assert factor(110) == pytest.approx(0.01)
    late = warmup_then_cosine(10, 110, last=0.0, waits=20)
    assert [late(step) for step in (0, 19)] == [0.0, 0.0]
    assert 0 < late(20) < late(25) < late(30)
    assert late(40) == pytest.approx(warmup_then_cosine(10, 110, 0.0)(40))
