"""A teacher in a training: where it is, what it leaves behind, and that a run goes on exactly."""

import logging
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from small_teachers import fit, student, write_teacher

from sapiens2_lit.callbacks import TeacherCache
from sapiens2_lit.callbacks.teacher_cache import AnswerCache
from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.checkpoints.teachers import read_teachers
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.loss_weighting import GradientNorms


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_teacher(tmp_path_factory.mktemp("teacher") / "one.ckpt", "normal", "seg")


class Watch(L.Callback):
    """Notes whether the teacher was ever in training mode, or had a gradient."""

    def __init__(self) -> None:
        self.passes = self.trained = 0
        self.wrong: list[str] = []

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        module.train()
        for teacher in module.teaching.distiller.teachers:
            teacher.network.backbone.register_forward_hook(self.look)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self.trained = self.passes  # then speeds are measured

    def look(self, backbone: Any, inputs: Any, outputs: Any) -> None:
        self.passes += 1
        if backbone.training or torch.is_grad_enabled() or outputs[-1].requires_grad:
            self.wrong.append("pass")

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, *_: Any) -> None:
        for teacher in module.teaching.distiller.teachers:
            for part in teacher.network.modules():
                self.wrong += ["mode"] * part.training
            for parameter in teacher.network.parameters():
                self.wrong += ["gradient"] * (parameter.grad is not None or parameter.requires_grad)


def test_it_is_frozen_and_no_part_of_the_student(weights: str, tmp_path: Path) -> None:
    watch, module = Watch(), student(Teacher(weights, features=1.0, relations=1.0))
    _, trainer = fit(module, tmp_path, watch, keep=4)
    assert watch.trained == 4 and not watch.wrong
    teacher = module.teaching.distiller.teachers[0].network
    own, theirs = ({id(p) for p in one.parameters()} for one in (module, teacher))
    optimized = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert not theirs & (own | optimized)
    assert optimized == own, "the projection learns, too"

    state = torch.load(tmp_path / "kept.ckpt", weights_only=True)["state_dict"]
    fit(student(None), tmp_path / "plain", epochs=1, keep=2)
    without = torch.load(tmp_path / "plain" / "kept.ckpt", weights_only=True)["state_dict"]
    assert set(state) - set(without) == {"distillation.projection.weight", "distillation.projection.bias"}
    assert not any(name.startswith("distillation") for name in read_weights(tmp_path / "kept.ckpt").tensors)
    (origin,) = read_teachers(tmp_path / "kept.ckpt")
    assert (origin.weights, origin.base) == (weights, None), "it started from random values"
    assert [one.name.split()[0] for one in module.teaching.speeds] == ["student", "teacher"]


@pytest.mark.slow
def test_a_run_goes_on_exactly(weights: str, tmp_path: Path) -> None:
    settings = Teacher(weights, features=1.0, relations=0.5)
    whole, _ = fit(student(settings), tmp_path, keep=2)
    later, _ = fit(student(settings), tmp_path / "later", resume=tmp_path / "kept.ckpt")
    assert later == whole[2:]


@pytest.mark.slow
def test_it_teaches_images_without_labels(weights: str, tmp_path: Path) -> None:
    losses, trainer = fit(student(Teacher(weights)), tmp_path, labelled=False, epochs=15)
    assert losses[-1] < 0.8 * losses[0]
    assert "train/seg/teacher_kl" in trainer.callback_metrics
    both, _ = fit(student(Teacher(weights, heads={"normal": 2.0})), tmp_path / "both", epochs=1)
    labels, _ = fit(student(None), tmp_path / "labels", epochs=1)
    assert both[0] > labels[0], "a batch with labels teaches both"


@pytest.mark.slow
def test_losses_are_balanced_as_tasks(weights: str, tmp_path: Path) -> None:
    settings = Teacher(weights, relations=0.5)
    module = student(settings, loss_weighting=lambda names: GradientNorms(names, alpha=0.0))
    fit(module, tmp_path, labelled=False)
    found = module.balancer.weights()
    assert list(found) == ["normal", "seg", "teacher_relations"]
    assert all(weight != 1.0 for weight in found.values())


@pytest.mark.slow
def test_cached_answers_are_live_ones_to_storage_precision(
    weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    live, _ = fit(student(Teacher(weights, features=1.0)), tmp_path / "live", labelled=False)
    settings = Teacher(weights, features=1.0, cache=str(tmp_path / "cache"))
    first, again = TeacherCache(), TeacherCache()
    losses, _ = fit(student(settings), tmp_path / "a", first, labelled=False)
    watch = Watch()
    later, _ = fit(student(settings), tmp_path / "b", again, watch, labelled=False)
    assert first.cache is not None and again.cache is not None
    assert (first.cache.computed, again.cache.computed, watch.trained) == (4, 0, 0)
    assert losses == pytest.approx(live, rel=2e-3)
    assert later == losses, "it makes no difference which were stored"

    with caplog.at_level(logging.INFO):
        other = write_teacher(tmp_path / "other.ckpt", "normal", "seg", seed=2)
        third = TeacherCache()
        changed = Teacher(other, features=1.0, cache=str(tmp_path / "cache"))
        fit(student(changed), tmp_path / "c", third, labelled=False, epochs=1)
    assert third.cache is not None and third.cache.computed == 4
    assert third.cache.store.folder != first.cache.store.folder
    assert "belongs to another teacher" in caplog.text


def test_images_that_never_come_again_are_said(
    weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache, module = TeacherCache(), student(Teacher(weights, cache=str(tmp_path / "cache")))
    fit(module, tmp_path, cache, labelled=False, epochs=1)
    assert isinstance(cache.cache, AnswerCache)
    cache.cache.answer(torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8))
    cache.cache.say()
    assert "there was no room for 2 answers among the 4 of" in caplog.text
