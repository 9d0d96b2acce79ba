"""What is measured of a run's speed: images over the time without validation, and the share of waiting in it."""

import mmap
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch
from tiny_runs import Pictures, make

from sapiens2_lit.callbacks.run_log import read_rows
from sapiens2_lit.callbacks.throughput import (
    DataWait,
    Throughput,
    batch_flops,
    card_and_flops,
    count_images,
    process_bytes,
)
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule


class Clock:
    """A clock that goes on when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Logged(SapiensModule):
    """A module that keeps what is logged."""

    def __init__(self) -> None:
        L.LightningModule.__init__(self)
        self.seen: dict[str, float] = {}
        self.feature_cache = None

    def log_dict(self, dictionary: Any, *args: Any, **kwargs: Any) -> None:
        self.seen = dict(dictionary)


def test_images_a_second_and_waiting_leave_validation_out() -> None:
    clock, module = Clock(), Logged()
    wait = DataWait(clock)
    measured = Throughput(wait, clock)
    trainer = cast(
        L.Trainer,
        SimpleNamespace(
            global_step=0, log_every_n_steps=2, distributed_sampler_kwargs={"num_replicas": 3, "rank": 0}
        ),
    )
    batch = {"image": torch.zeros(4, 3, 2, 2)}
    measured.on_train_start(trainer, module)
    for step in (1, 2):
        wait.start("[_TrainingEpochLoop].train_dataloader_next")
        clock.now += 0.5
        wait.stop("[_TrainingEpochLoop].train_dataloader_next")
        wait.start("run_training_batch")
        clock.now += 1.5
        wait.stop("run_training_batch")
        if step == 1:
            measured.on_validation_start(trainer, module)
            clock.now += 1000
            measured.on_validation_end(trainer, module)
        trainer.global_step = step  # type: ignore[misc]
        measured.on_train_batch_end(trainer, module, None, batch, step)
    assert module.seen["throughput/images_per_second"] == pytest.approx(3 * 2 * 4 / 4.0)
    assert module.seen["throughput/waiting_for_data"] == pytest.approx(0.25)
    assert measured.speed is not None and measured.image_rate == pytest.approx(measured.speed.images)


def test_accumulated_batches_all_count_and_nothing_is_logged_between(tmp_path: Any) -> None:
    clock, module = Clock(), Logged()
    measured = Throughput(None, clock)
    trainer = cast(
        L.Trainer, SimpleNamespace(global_step=0, log_every_n_steps=1, distributed_sampler_kwargs=None)
    )
    measured.on_train_start(trainer, module)
    for step in (0, 0, 1):
        clock.now += 1
        trainer.global_step = step  # type: ignore[misc]
        measured.on_train_batch_end(trainer, module, None, {"image": torch.zeros(2, 3, 1, 1)}, 0)
        assert bool(module.seen) is (step == 1)
    assert module.seen["throughput/images_per_second"] == pytest.approx(2.0)
    assert "throughput/waiting_for_data" not in module.seen, "another profiler is in use"


def test_a_run_logs_its_speed_and_memory_without_changing_what_it_learns(tmp_path: Any) -> None:
    losses = []
    for measured in (False, True):
        from sapiens2_lit.callbacks.run_log import RunLog

        wait = DataWait()
        trainer = L.Trainer(
            accelerator="cpu", max_steps=4, logger=RunLog(tmp_path / f"version_{int(measured)}"), log_every_n_steps=2,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, profiler=wait,
            callbacks=[Throughput(wait)] if measured else [], default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(make(None, Adapt("full")), Pictures())
        rows = read_rows(tmp_path / f"version_{int(measured)}" / "metrics.csv")
        losses.append([row["train/loss"] for row in rows if "train/loss" in row])
    assert losses[0] == losses[1]
    speeds = [row for row in rows if "throughput/images_per_second" in row]
    assert [row["step"] for row in speeds] == ["1", "3"], "at log steps, after the step"
    for row in speeds:
        assert float(row["throughput/images_per_second"]) > 0
        assert 0 <= float(row["throughput/waiting_for_data"]) <= 1
        assert float(row["memory/process_gib"]) > 0


def test_images_of_several_datasets_are_added() -> None:
    one, two = {"image": torch.zeros(2, 3, 1, 1)}, {"image": torch.zeros(3, 3, 1, 1)}
    assert count_images({"batches": {"a": one, "b": two}}) == 5
    assert count_images(one) == 2


def test_memory_of_the_process_grows_with_what_it_holds() -> None:
    before = process_bytes()
    held = mmap.mmap(-1, 64 * 2**20)  # new pages, which an allocator may keep from earlier
    held.write(bytes(len(held)))
    after = process_bytes()
    assert before is not None and after is not None
    assert after - before > 32 * 2**20
    held.close()


def test_a_known_card_has_a_peak_and_each_head_counts_where_it_learns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What happens on a GPU, but for the GPU: its name is made up."""
    module = make(None, Adapt("full"))
    module.configure_model()
    trainer = cast(L.Trainer, SimpleNamespace(precision="bf16-mixed"))
    taught = {"image": torch.zeros(2, 3, 64, 48, dtype=torch.uint8), "normal": torch.zeros(2, 3, 64, 48)}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    state = torch.get_rng_state()
    peak, flops = card_and_flops(trainer, module, taught)
    assert torch.equal(state, torch.get_rng_state()), "training draws what it would have drawn"
    assert peak == 989e12 and flops is not None
    assert batch_flops(flops, module, taught) == 2 * flops.of(["normal"])
    assert batch_flops(flops, module, {"image": taught["image"]}) == 2 * flops.backbone
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GeForce 256")
    assert card_and_flops(trainer, module, taught) == (-1.0, None)
