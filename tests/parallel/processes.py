"""Real processes for tests: ranks that run the command, one job after the other.

They are forked from a server that has imported everything, so that starting one takes a tenth of a second.
"""

import contextlib
import json
import multiprocessing
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning as L
import torch

Job = list[str]
MakeJob = Callable[..., Job]
FSDP = ("--config", "strategy/fsdp2.yaml")
HSDP = (*FSDP, "--trainer.strategy.replicas", "2")
DDP = ("--config", "strategy/ddp.yaml")
STEPS = 20
PRELOADED = [
    "sapiens2_lit.cli.fit", "sapiens2_lit.heads", "sapiens2_lit.datamodules", "processes",
    "albumentations", "peft", "torch.utils.tensorboard",
    "s3fs", "PIL.GifImagePlugin", "sapiens2_lit.backbones.timm",  # by Lightning, for TensorBoard, for class paths
]  # fmt: skip


class Recorder(L.Callback):
    """Writes the training loss and what was logged on this rank, by optimizer step, into `folder`/RANK.json."""

    def __init__(self, folder: str, pause: int = 0) -> None:
        self.path = Path(folder)
        self.pause = pause  # a little after each step from this one on, 0 never
        self.steps: dict[int, dict[str, float]] = {}

    def on_train_batch_end(
        self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        every = trainer.accumulate_grad_batches
        row = self.steps.setdefault((trainer.fit_loop.total_batch_idx // every) + 1, {"loss": 0.0})
        row["loss"] += float(outputs["loss"])
        row["norm"] = float(trainer.callback_metrics.get("train/gradient_norm", torch.nan))
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / f"{trainer.global_rank}.json").write_text(json.dumps(self.steps))
        if self.pause and trainer.global_step >= self.pause:
            (self.path / f"{trainer.global_rank}.paused").touch()
            time.sleep(0.3)

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        values = {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")
        }
        if not trainer.sanity_checking:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / f"{trainer.global_rank}.measured").write_text(json.dumps(values))


class Full(L.Callback):
    """A GPU that runs out of memory at the second step."""

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class StuckInSave(L.Callback):
    """Leaves rank 1 in the middle of writing its part of the second sharded checkpoint, and says so by a file."""

    def __init__(self, marker: str) -> None:
        self.marker = Path(marker)
        self.saves = 0

    def on_train_start(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.global_rank != 1:
            return
        from torch.distributed.checkpoint import FileSystemWriter

        write = FileSystemWriter.write_data

        def stuck(*args: Any) -> Any:
            self.saves += 1
            if self.saves == 2:
                self.marker.touch()
                time.sleep(600)
            return write(*args)

        FileSystemWriter.write_data = stuck  # type: ignore[method-assign]  # in this process alone


def recorded(folder: Path, key: str = "loss") -> dict[int, float]:
    """By step, the mean over ranks of what they recorded."""
    ranks = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    assert ranks and all(rank.keys() == ranks[0].keys() for rank in ranks)
    return {int(step): sum(rank[step][key] for rank in ranks) / len(ranks) for step in ranks[0]}


@dataclass
class Ranks:
    """Processes that run jobs together."""

    processes: list[ForkServerProcess]
    folder: Path

    def join(self, timeout: float = 900) -> list[list[int]]:
        """Exit statuses of the jobs, for each rank."""
        for process in self.processes:
            process.join(timeout)
            if process.is_alive():
                process.kill()
                raise TimeoutError(f"a rank did not end within {timeout} s:\n{self.log()}")
        return [self.statuses(rank) for rank in range(len(self.processes))]

    def statuses(self, rank: int) -> list[int]:
        path = self.folder / f"{rank}.status"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def log(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))


def preload() -> None:
    """Let processes of the method `forkserver` begin with everything imported, whoever starts them."""
    server()


def server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def start(world: int, jobs: list[Job], folder: Path, environment: dict[str, str] | None = None) -> Ranks:
    """Start `world` ranks, which run the jobs' command lines in order, as torchrun would."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(world):
        variables = {
            "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world,
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": 1,
        }  # fmt: skip
        variables = {**{name: str(value) for name, value in variables.items()}, **(environment or {})}
        process = server().Process(target=run_rank, args=(rank, variables, jobs, folder))
        process.start()
        processes.append(process)
    return Ranks(processes, folder)


def start_alone(job: Job, folder: Path) -> ForkServerProcess:
    """Start a process that is no rank of many, whose output goes to files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    process = server().Process(target=run_rank, args=(0, {"OMP_NUM_THREADS": "1"}, [job], folder))
    process.start()
    return process


def run_rank(rank: int, environment: dict[str, str], jobs: list[Job], folder: Path) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    with (
        (folder / f"{rank}.log").open("w", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        for job in jobs:
            status = run_job(job)
            with (folder / f"{rank}.status").open("a") as statuses:
                statuses.write(f"{status}\n")
            if status:
                log.flush()
                os._exit(status)  # as other ranks may be waiting for this one, no goodbye
    sys.exit(0)


def run_job(job: Job) -> int:
    from sapiens2_lit.cli.main import main

    try:
        return main(job)
    except Exception:
        import traceback

        traceback.print_exc()
        return 1


@dataclass
class Command:
    """A process in a group of its own, as a shell starts it, but with everything imported; its output is in `log`."""

    process: ForkServerProcess
    log: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def printed(self) -> str:
        return self.log.read_text()

    def wait(self, timeout: float = 900) -> int:
        """The exit status; negative for a signal that ended it.

        Raises:
            TimeoutError: with what was printed.
        """
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"it did not end within {timeout} s:\n{self.printed()}")
        return self.process.exitcode


def start_command(args: Job, log: Path) -> Command:
    """Start `sapiens2-lit ARGS`; ranks that Lightning starts for it are commands of their own."""
    return start_apart(be_command, args, log)


def start_script(path: Path, args: Job, log: Path) -> Command:
    """Start `python PATH ARGS`."""
    return start_apart(be_script, [str(path), *args], log)


def start_apart(work: Callable[[Job], int], args: Job, log: Path) -> Command:
    log.touch()
    process = server().Process(target=be_apart, args=(work, args, log))
    process.start()
    return Command(process, log)


def be_apart(work: Callable[[Job], int], args: Job, log: Path) -> None:
    os.setsid()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with log.open("ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    sys.exit(work(args))


def be_command(args: Job) -> int:
    from sapiens2_lit.cli.main import main

    command = sys.modules["__main__"] = ModuleType("__main__")  # by which Lightning starts other ranks
    command.__spec__ = find_spec("sapiens2_lit.__main__")
    sys.argv = ["sapiens2-lit", *args]
    return main(args)


def be_script(args: Job) -> int:
    sys.argv = args
    sys.path.insert(0, str(Path(args[0]).parent))
    try:
        runpy.run_path(args[0], run_name="__main__")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0
