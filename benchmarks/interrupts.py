"""Interrupt `synth`, `fit`, `predict` and `export` at many moments under load, and count what goes wrong.

    python benchmarks/interrupts.py                  150 delays a command, 0 to 3 s in steps of 20 ms
    python benchmarks/interrupts.py --cold           as commands of their own, imports and all

`training` and `predicting` are `fit` and `predict` whose delays count from the end of their preparations, as a file
tells. Each delay has one of the eight pairs of a signal (SIGINT, SIGTERM, SIGHUP, SIGUSR1) and a target (the process,
its group), in turn; `--all` runs every pair at every delay. Commands are forked from this process, which has done
their imports, several at once and beside a busy loop on each core. Ends with status 1 if anything went wrong.
"""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from argparse import ArgumentParser
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tempfile import mkdtemp

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
import torch

from sapiens2_lit.cli.main import main

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
TARGETS = ("process", "group")
PAIRS = tuple(product(SIGNALS, TARGETS))
HUNG = 60.0  # s
LEFT = 10.0  # s that other processes of the group have to end after the command
BEGUN = {
    "training": "runs/*/hparams.yaml",
    "predicting": "found/*",
}  # what shows that it is time to count delays
COMMANDS = ("synth", "fit", "training", "predict", "predicting", "export")
COLUMNS = (
    "answered", "ended before", "hung", "wrong status", "traceback", "half files", "processes left",
    "checkpoint not loadable",
)  # fmt: skip
FINE = COLUMNS[:2]


@dataclass
class Trial:
    """A command, when and how it is interrupted, and what came of it."""

    command: str
    args: list[str]
    folder: Path
    delay: float
    number: signal.Signals
    target: str
    pid: int = 0
    started: float = 0.0
    told: float = 0.0
    ended: float = 0.0
    status: int | None = None
    found: list[str] = field(default_factory=list)
    counting: bool = False
    begun: bool = False  # something is written that the same command goes on from


def arguments(command: str, place: int, root: Path, out: Path) -> list[str]:
    """The command line of a trial, which works for longer than it is left alone."""
    if command == "synth":
        return [
            "synth",
            str(out / "people"),
            "--num",
            "5000",
            "--size",
            "96",
            "72",
            "--workers",
            str(1 + place % 3),
        ]
    if command in ("fit", "training"):
        return fit(root, out / "runs", place % 3, 100_000, 2 if place % 2 else 1)
    if command in ("predict", "predicting"):
        model = ["--model", str(root / "model.ckpt"), "--images", str(root / "photos")]
        return ["predict", *model, "--output", str(out / "found"), "--device", "cpu"]
    model = ["--model", str(root / "model.ckpt"), "--output", str(out / "exported")]
    return ["export", *model, "--format", "torch-export"]


def fit(root: Path, output: Path, workers: int, steps: int, accumulate: int = 1) -> list[str]:
    options = {
        "data.root": root / "people", "data.num_workers": workers, "data.batch_size": 2, "output": output,
        "trainer.accelerator": "cpu", "trainer.devices": 1, "trainer.max_steps": steps,
        "trainer.accumulate_grad_batches": accumulate, "trainer.val_check_interval": 6 * accumulate,
        "trainer.check_val_every_n_epoch": "null", "last_checkpoint.every_n_steps": 5,
        "trainer.enable_progress_bar": "false",
    }  # fmt: skip
    given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return ["fit", "--config", "pose_17.yaml", "--config", "size/smoke.yaml", *given]


def prepare(root: Path) -> None:
    """Data to train on, a model, and photographs to predict on."""
    run = root / "made" / "version_0" / "checkpoints" / "last.ckpt"
    for args in (
        [
            "synth",
            str(root / "people"),
            "--num",
            "24",
            "--size",
            "96",
            "72",
            "--tasks",
            "pose",
            "--workers",
            "1",
        ],
        fit(root, root / "made", 0, 2),
    ):
        pid = fork(args, root / "prepare.log")
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise RuntimeError((root / "prepare.log").read_text())
    shutil.copy(run, root / "model.ckpt")
    (root / "photos").mkdir()
    images = sorted((root / "people" / "images").iterdir())
    for index in range(4000):
        image = images[index % len(images)]
        (root / "photos" / f"{index:05}{image.suffix}").hardlink_to(image)


def fork(args: list[str], log: Path) -> int:
    """Run a command in a process and a group of its own; returns the process's number."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.setsid()
        file = os.open(log, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(file, stream)
        status = main(args)
        atexit._run_exitfuncs()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def cold(args: list[str], log: Path) -> int:
    with log.open("w") as file:
        command = [sys.executable, "-m", "sapiens2_lit", *args]
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True).pid


def run(trials: list[Trial], at_once: int, start: Callable[[list[str], Path], int]) -> Iterator[Trial]:
    """Run trials, some at a time, and give each when nothing more is to come of it."""
    waiting = deque(trials)
    live: dict[int, Trial] = {}
    while waiting or live:
        while waiting and len(live) < at_once:
            trial = waiting.popleft()
            trial.folder.mkdir(parents=True)
            (trial.folder / "log").touch()
            trial.started = time.monotonic()
            trial.pid = start(trial.args, trial.folder / "log")
            live[trial.pid] = trial
        for trial in [trial for trial in live.values() if over(trial)]:
            del live[trial.pid]
            yield trial
        time.sleep(0.002)


def over(trial: Trial) -> bool:
    """Take a trial one step further; whether that was the last."""
    now = time.monotonic()
    if trial.status is None:
        pid, status = os.waitpid(trial.pid, os.WNOHANG)
        if pid:
            trial.status, trial.ended = os.waitstatus_to_exitcode(status), now
        elif not trial.counting:
            pattern = BEGUN.get(trial.command)
            trial.counting = pattern is None or any(trial.folder.glob(pattern))
            trial.started = now
        elif not trial.told and now - trial.started >= trial.delay:
            send = os.killpg if trial.target == "group" else os.kill
            with suppress(ProcessLookupError):  # a group is not there before the child has made it
                send(trial.pid, trial.number)
                trial.told = now
        elif trial.told and now - trial.told > HUNG:
            os.killpg(trial.pid, signal.SIGKILL)
            os.waitpid(trial.pid, 0)
            trial.status, trial.ended = 0, now
            trial.found.append("hung")
        return False
    try:
        os.killpg(trial.pid, 0)
    except ProcessLookupError:
        return True
    if now - trial.ended < LEFT:
        return False
    trial.found.append("processes left")
    os.killpg(trial.pid, signal.SIGKILL)
    return True


def judge(trial: Trial) -> None:
    """Say in `trial.found` what came of it."""
    log = (trial.folder / "log").read_text(errors="replace")
    if "hung" not in trial.found:
        asked = (128 + trial.number, -trial.number)  # a shell shows both as 128 + N
        if not trial.told or (trial.status == 0 and "came when" not in log):
            trial.found.append("ended before")
        elif trial.status not in asked:
            trial.found.append("wrong status")
    if "Traceback" in log:
        trial.found.append("traceback")
    if any(half(path) for path in trial.folder.rglob("*") if path.is_file() and path.name != "log"):
        trial.found.append("half files")
    runs = list(trial.folder.glob("runs/*"))
    if runs and not all(loads(run / "checkpoints" / "last.ckpt") for run in runs):
        trial.found.append("checkpoint not loadable")
    if "saved" in log and not runs:
        trial.found.append("checkpoint not loadable")
    trial.begun = any(path.is_file() and path.name != "log" for path in trial.folder.rglob("*"))
    if not trial.found:
        trial.found.append("answered")


def half(path: Path) -> bool:
    """Whether a file is one that was not finished."""
    if path.name.startswith(".") and path.suffix != ".jsonl":
        return True
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as arrays:
                all(arrays[name] is not None for name in arrays)
        elif path.suffix in (".png", ".jpg"):
            return cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is None
        elif path.suffix in (".ckpt", ".pt2"):
            with zipfile.ZipFile(path) as file:
                return file.testzip() is not None
    except Exception:
        return True
    return False


def loads(path: Path) -> bool:
    try:
        return torch.load(path, weights_only=True)["global_step"] > 0
    except Exception:
        return False


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Unlike `TemporaryDirectory` it is not removed by children that run the functions for their exit."""
    folder = Path(mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that load `count` cores."""
    pids = []
    for _ in range(count):
        if pid := os.fork():
            pids.append(pid)
            continue
        parent = os.getppid()
        while os.getppid() == parent:
            pass
        os._exit(0)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def table(trials: list[Trial]) -> str:
    lines = [
        "| command | signal | to | interrupts | with work done | slowest answer, s | "
        + " | ".join(COLUMNS)
        + " |",
        "|---" * (6 + len(COLUMNS)) + "|",
    ]
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.command, trial.number.name, trial.target), []).append(trial)
    for key, group in groups.items():
        counts = Counter(found for trial in group for found in trial.found)
        slowest = max(trial.ended - trial.told for trial in group if trial.told)
        begun = sum(trial.begun for trial in group)
        cells = [*key, len(group), begun, f"{slowest:.1f}", *(counts[column] for column in COLUMNS)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def benchmark() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commands", nargs="+", default=COMMANDS)
    parser.add_argument("--delays", type=int, default=150, help="moments, evenly between 0 and --until")
    parser.add_argument("--until", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--all", action="store_true", help="every signal and target at every delay")
    parser.add_argument("--cold", action="store_true", help="start each as a command of its own")
    parser.add_argument("--at-once", type=int, default=4, help="commands that run at a time (%(default)s)")
    parser.add_argument(
        "--load", type=int, default=os.cpu_count(), help="busy loops beside them (%(default)s)"
    )
    options = parser.parse_args()
    if not options.cold:
        preload()
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # of children: Python's handler may raise where nobody listens yet
    with temporary_folder() as root:
        prepare(root)
        trials = []
        for first, command in enumerate(options.commands):
            for place in range(options.delays):
                pairs = PAIRS if options.all else (PAIRS[(first + place) % len(PAIRS)],)
                for number, target in pairs:
                    out = root / "trials" / f"{command}_{place}_{number.name}_{target}"
                    delay = options.until * place / options.delays
                    args = arguments(command, place // len(PAIRS), root, out)
                    trials.append(Trial(command, args, out, delay, number, target))
        wrong = 0
        with busy(options.load):
            for trial in run(trials, options.at_once, cold if options.cold else fork):
                judge(trial)
                if not set(trial.found) <= set(FINE):
                    wrong += 1
                    log = (trial.folder / "log").read_text(errors="replace")
                    print(trial, log[-3000:], sep="\n", file=sys.stderr)
                shutil.rmtree(trial.folder)
    print(table(trials))
    return int(wrong > 0)


def preload() -> None:
    """Import what the commands import, once for all of them."""

    import sapiens2_lit.cli.export
    import sapiens2_lit.cli.fit
    import sapiens2_lit.cli.predict
    import sapiens2_lit.cli.synth  # noqa: F401


if __name__ == "__main__":
    sys.exit(benchmark())
