"""When memory runs out, the answer is what to change."""

import json
import re
from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace

from sapiens2_lit.cli.main import main
from sapiens2_lit.cli.out_of_memory import advice, explain, is_out_of_memory
from sapiens2_lit.memory.advice import cheaper


@pytest.mark.slow
def test_a_run_out_of_memory_ends_with_what_to_change(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", "--data.root", str(figures)]
    args += ["--data.num_workers", "0", "--output", str(tmp_path), "--trainer.accelerator", "cpu"]
    args += ["--trainer.devices", "1", "--trainer.enable_progress_bar", "false", "--data.batch_size", "4"]
    args += ["--trainer.callbacks", json.dumps([{"class_path": "processes.Full"}])]
    assert main(args) == 1
    message = capsys.readouterr().err.rpartition("error: ")[2]
    assert "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB." in message
    assert "The plan for this run, on each device:" in message and "Traceback" not in message
    assert re.search(r"--trainer.precision bf16-mixed .*: 0\.00\d GiB", message)


def test_what_cannot_be_planned_is_advised_by_the_settings() -> None:
    settings = Namespace()
    settings["data.init_args.batch_size"] = 4
    settings["model.backbone.init_args.activation_checkpointing"] = False
    for trained in (None, object()):
        message = str(advice(settings, torch.OutOfMemoryError("CUDA out of memory. Tried"), trained))
        assert "--data.batch_size 2 --trainer.accumulate_grad_batches 2" in message
        assert "--model.backbone.activation_checkpointing true" in message
        assert "--config strategy/fsdp2.yaml" in message
        assert ("The plan of this run failed" in message) is (trained is not None)


def test_what_is_done_already_is_not_advised() -> None:
    spent = Namespace()
    spent["data.init_args.batch_size"] = 1
    spent["model.backbone.init_args.activation_checkpointing"] = True
    spent["model.adapt.mode"] = "lora"
    spent["trainer.precision"] = "bf16-mixed"
    spent["trainer.strategy"] = Namespace(
        class_path="sapiens2_lit.parallel.strategy.ShardedStrategy", init_args=Namespace(cpu_offload=True)
    )
    assert len(cheaper(spent)) == 1
    assert "image_size" in cheaper(spent)[0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"), True),
        (RuntimeError("shapes"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_other_errors_stay_what_they_are(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: not enough memory"),
        RuntimeError("unable to mmap 1000 bytes from file <x>: Cannot allocate memory (12)"),
        RuntimeError("can't start new thread"),
    ],
)
def test_memory_that_the_system_refuses_is_told(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_other_errors_are_not(tmp_path: Path) -> None:
    assert not is_out_of_memory(OSError(28, "No space left on device"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_a_dead_worker_and_lightnings_words_are_one_line() -> None:
    dead = RuntimeError(
        "DataLoader worker (pid 3) is killed by signal: Killed. It is possible that\ndataloader's"
    )
    assert "is killed by signal: Killed" in str(explain(dead)) and "\n" not in str(explain(dead))
    interval = ValueError(
        "`val_check_interval` (2) must be less than or equal to the number of the training batches (1)."
    )
    assert str(explain(interval)).startswith("trainer.val_check_interval (2)")
    assert explain(ValueError("something else")) is None
