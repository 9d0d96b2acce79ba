"""How long a run lasts of which nobody says it: by its samples, within bounds, and as it was begun."""

from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace

from sapiens2_lit.cli.choose_steps import (
    EPOCHS,
    FEWEST,
    MOST,
    choose_duration,
    devices_of,
    is_open,
    sensible_duration,
    steps_before,
    validate_in_steps,
)
from sapiens2_lit.datamodules import MultitaskDataModule, PoseDataModule, SyntheticDataModule

OPEN = {"max_steps": -1, "max_epochs": None, "max_time": None, "fast_dev_run": False}


@pytest.mark.parametrize("images", [1, 16, 768])
def test_more_samples_never_train_for_fewer_steps_nor_beyond_the_bounds(images: int) -> None:
    found = [sensible_duration(samples, images).steps for samples in range(1, 40_000, 97)]
    assert found == sorted(found)
    assert min(found) >= FEWEST and max(found) <= MOST


def test_500_pictures_are_seen_100_times_and_the_reason_is_said() -> None:
    found = sensible_duration(500, 16)
    assert found.steps == EPOCHS * 500 / 16 == 3125 < MOST
    assert "100 epochs of 500 samples, 16 a step" in found.reason
    assert "most" in sensible_duration(10**6, 16).reason
    assert "fewest" in sensible_duration(12, 16).reason
    assert sensible_duration(None, 16).steps == MOST


@pytest.mark.parametrize(
    ("name", "value"), [("max_steps", 5), ("max_epochs", 3), ("max_time", "00:01:00:00"), ("fast_dev_run", 1)]
)
def test_what_the_user_says_wins(name: str, value: object) -> None:
    assert is_open(Namespace(**OPEN))
    assert not is_open(Namespace(**{**OPEN, name: value}))


def test_a_run_that_goes_on_keeps_its_steps(tmp_path: Path) -> None:
    run = tmp_path / "version_0"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"trainer": {"max_steps": 321}}))
    last = str(run / "checkpoints" / "last.ckpt")
    assert steps_before(last) == 321
    assert choose_duration(Namespace(ckpt_path=last), None).steps == 321
    assert steps_before(None) is steps_before(str(tmp_path / "other.ckpt")) is None


def settings(batch_size: int, devices: object = 2) -> Namespace:
    trainer = Namespace(accumulate_grad_batches=4, devices=devices, num_nodes=1, accelerator="cpu")
    return Namespace(
        ckpt_path=None, trainer=trainer, data=Namespace(init_args=Namespace(batch_size=batch_size))
    )


def test_the_samples_are_counted_and_workers_left_to_the_trainer(
    figures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    data = PoseDataModule(str(figures), "coco17", (64, 48), batch_size=1)
    found = choose_duration(settings(1), data)
    assert "12 samples, 8 a step" in found.reason
    several = MultitaskDataModule(
        {"a": PoseDataModule(str(figures), "coco17", (64, 48))}, image_size=(64, 48)
    )
    choose_duration(settings(1), several)
    assert several.datasets["a"].num_workers is None
    assert "new samples in every epoch" in choose_duration(settings(1), SyntheticDataModule()).reason
    assert "do not say" in choose_duration(settings(1), object()).reason


@pytest.mark.parametrize(("devices", "count"), [(3, 3), ("3", 3), ([0, 2], 2), ("0,1,3", 3), ("auto", 1)])
def test_devices_are_counted_as_they_are_written(
    devices: object, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert devices_of(settings(1, devices).trainer) == count
    monkeypatch.setenv("WORLD_SIZE", "7")
    assert devices_of(settings(1, devices).trainer) == 7


def test_chosen_steps_are_validated_ten_times() -> None:
    trainer = Namespace(
        max_steps=3126, val_check_interval=None, check_val_every_n_epoch=1, accumulate_grad_batches=4
    )
    validate_in_steps(trainer)
    assert trainer.val_check_interval == 312 * 4
