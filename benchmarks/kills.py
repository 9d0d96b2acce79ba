"""Runs that are killed again and again, and go on: is what they end in the same, bit for bit, as without a kill?

    python benchmarks/kills.py [--kills 10] [--kinds LoRA ...] [--folder DIR]

Every run is a `fit` of seven kinds, in a process forked after the imports, ended by SIGKILL at a random moment after it
saved something new, and gone on with by `--ckpt_path auto`. Compared are all tensors of the last checkpoint: weights,
averages, optimizer states and random generators; and which checkpoints there are.
"""

import faulthandler
import json
import os
import random
import shutil
import signal
import sys
import time
from argparse import ArgumentParser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums of more threads round otherwise

import peft
import torch

import sapiens2_lit.cli.fit
from sapiens2_lit.cli.main import main as command

STEPS = 14
TOO_LONG = 900  # s, after which a run says where it hangs
TINY = (
    "--config", "size/test.yaml", "--data.batch_size", "2", "--trainer.accelerator", "cpu",
    "--trainer.devices", "1", "--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false",
    "--last_checkpoint.every_n_steps", "1", "--trainer.val_check_interval", "3",
    "--trainer.check_val_every_n_epoch", "null", "--trainer.limit_val_batches", "1",
    "--trainer.max_steps", str(STEPS), "--pictures.num_samples", "0",
)  # fmt: skip
IN_PROCESS = ("--data.num_workers", "0")
KINDS = {
    "pose, moving average": ("--config", "pose_17.yaml", "--model.ema", "{}", *IN_PROCESS),
    "LoRA with dropout": (
        "--config", "segmentation_29.yaml", "--model.adapt.mode", "lora", "--model.adapt.lora.dropout", "0.1",
        *IN_PROCESS,
    ),
    "drop path": ("--config", "normal.yaml", *IN_PROCESS, "--model.backbone", "drop_path.DropPathSapiens2"),
    "two heads, weighted by uncertainty": ("--config", "TWO_HEADS", *IN_PROCESS),
    "frozen, feature cache": (
        "--config", "depth.yaml", "--model.adapt.mode", "frozen", "--feature_cache.folder", "CACHE", *IN_PROCESS,
    ),
    "packed shards, frozen, feature cache, two workers": (
        "--config", "normal.yaml", "--model.adapt.mode", "frozen", "--feature_cache.folder", "CACHE",
        "--data.shards.window", "1", "--data.num_workers", "2",
    ),
    "accumulated gradients, a worker": (
        "--config", "pose_17.yaml", "--trainer.accumulate_grad_batches", "2", "--data.num_workers", "1",
    ),
}  # fmt: skip


TWO_HEADS = {
    "model": {
        "backbone": {"class_path": "sapiens2_lit.backbones.Sapiens2"},
        "heads": {
            "depth": {"class_path": "sapiens2_lit.heads.DepthHead"},
            "normal": {"class_path": "sapiens2_lit.heads.NormalHead"},
        },
        "loss_weighting": {"class_path": "sapiens2_lit.training.loss_weighting.UncertaintyWeighting"},
    },
    "data": {
        "class_path": "sapiens2_lit.datamodules.MultitaskDataModule",
        "init_args": {
            "schedule": "round_robin",
            "datasets": {
                "depth": {
                    "class_path": "sapiens2_lit.datamodules.DepthDataModule",
                    "init_args": {"root": "."},
                },
                "normal": {
                    "class_path": "sapiens2_lit.datamodules.NormalDataModule",
                    "init_args": {"root": "."},
                },
            },
        },
    },
}


@dataclass
class Result:
    """What came of the runs of one kind."""

    kills: int = 0
    equal: int = 0  # kills in runs that ended as the one without
    files: bool = True
    seconds: float = 0.0


def options(kind: str, data: Path, output: Path) -> list[str]:
    """The command of a kind; later files win, so the size comes last."""
    config, cache = output.parent / "two_heads.yaml", output.parent / f"{output.name}_cache"
    config.write_text(json.dumps(TWO_HEADS))
    own = [part.replace("CACHE", str(cache)).replace("TWO_HEADS", str(config)) for part in KINDS[kind]]
    root = data.with_name(f"{data.name}_packed") if kind.startswith("packed") else data
    split = max(at for at, part in enumerate(own) if part == "--config") + 2  # configurations come first
    return ["fit", *own[:split], *TINY, *own[split:], "--data.root", str(root), "--output", str(output)]


def start(args: list[str], log: Path) -> int:
    """Run a command in a forked process; returns its number."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    status = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        torch.set_num_threads(1)
        faulthandler.dump_traceback_later(TOO_LONG, exit=True)
        status = command(args)
    finally:
        os._exit(status)


def finish(process: int) -> int:
    """Wait for a process; returns its exit status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_after_a_save(process: int, last: Path, delay: float) -> bool:
    """SIGKILL a run `delay` seconds after its next save; returns whether it still ran then."""
    before = time_of(last)
    while time_of(last) == before:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    time.sleep(delay)
    if os.waitpid(process, os.WNOHANG)[0]:
        return False
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    return finish(process) == -signal.SIGKILL


def time_of(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def differences(found: Any, expected: Any, name: str = "") -> list[str]:
    """Names of tensors and numbers that differ."""
    if isinstance(expected, torch.Tensor):
        equal = isinstance(found, torch.Tensor) and torch.equal(found, expected)
        return [] if equal else [name]
    if isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            return [f"{name}: keys"]
        return [one for key in expected for one in differences(found[key], expected[key], f"{name}.{key}")]
    if isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            return [f"{name}: length"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [one for index, (a, b) in pairs for one in differences(a, b, f"{name}.{index}")]
    return [] if found == expected else [name]


def content(run: Path) -> dict[str, Any]:
    """What is compared of a run: its tensors, and its random generators."""
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    kept = {name: saved[name] for name in ("global_step", "state_dict", "optimizer_states", "lr_schedulers")}
    return {**kept, "random": saved["callbacks"].get("RandomState")}


def files(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def try_kind(kind: str, kills: int, data: Path, place: Path, dice: random.Random) -> Result:
    """A run without a kill, and one with that many.

    Raises:
        RuntimeError: a run failed; its log is named.
    """
    result, begin = Result(), time.perf_counter()
    whole, killed, log = place / "whole", place / "killed", place / "log.txt"
    place.mkdir(parents=True)
    if finish(start(options(kind, data, whole), log)):
        raise RuntimeError(f"{kind}: the run without a kill failed: {log}")
    args = [*options(kind, data, killed), "--ckpt_path", "auto"]
    last = killed / "version_0" / "checkpoints" / "last.ckpt"
    ended = 0
    while result.kills < kills and ended < kills:
        if kill_after_a_save(start(args, log), last, dice.uniform(0, 0.6)):
            result.kills += 1
        else:  # it came to its end: once more from the beginning
            ended += 1
            shutil.rmtree(killed)
    if finish(start(args, log)):
        raise RuntimeError(f"{kind}: the run that goes on failed: {log}")
    wrong = compare(killed / "version_0", whole / "version_0", place / "differences.txt")
    result.equal = 0 if wrong else result.kills
    result.files = files(killed / "version_0") == files(whole / "version_0")
    result.seconds = time.perf_counter() - begin
    if wrong or not result.files:
        print(
            f"{kind}: {len(wrong)} differ, such as {wrong[:3]}; files {files(killed / 'version_0')}",
            flush=True,
        )
    return result


def compare(found: Path, expected: Path, answer: Path) -> list[str]:
    """What differs between two runs, found out in a process of its own: this one only forks, and computes nothing."""
    if not (child := os.fork()):
        answer.write_text("comparison failed")
        try:
            answer.write_text("\n".join(differences(content(found), content(expected))))
        finally:
            os._exit(0)
    finish(child)
    return answer.read_text().split("\n") if answer.read_text() else []


def make_data(folder: Path) -> Path:
    """A dataset of 24 small generated people, with all labels; and the same in shards beside it."""
    packed = str(folder.with_name(f"{folder.name}_packed"))
    for args in (
        ["synth", str(folder), "--num", "24", "--size", "128", "96"],
        ["pack", str(folder), packed, "--shard_size", "500kB"],
    ):
        if finish(start(args, folder.with_suffix(".log"))):
            raise RuntimeError(f"{args[0]} failed: {folder.with_suffix('.log')}")
    return folder


def main() -> int:
    """Kill runs of every kind and print the table; returns 1 where one did not end as it should."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="of each kind")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help="those whose names begin so")
    parser.add_argument("--folder", type=Path, help="keep the runs there")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    assert sapiens2_lit.cli.fit and peft  # imported before the first fork
    place = (given.folder or Path(mkdtemp())).resolve()
    place.mkdir(parents=True, exist_ok=True)
    dice = random.Random(given.seed)
    data = make_data(place / "data")
    print(
        "| run | kills | bit-equal | the best and the last alone | seconds |\n|---|---|---|---|---|",
        flush=True,
    )
    total = Result()
    for number, kind in enumerate(KINDS):
        if not kind.startswith(tuple(given.kinds)):
            continue
        found = try_kind(kind, given.kills, data, place / str(number), dice)
        print(
            f"| {kind} | {found.kills} | {found.equal} | {'yes' if found.files else 'NO'} | {found.seconds:.0f} |",
            flush=True,
        )
        total.kills, total.equal = total.kills + found.kills, total.equal + found.equal
        total.files, total.seconds = total.files and found.files, total.seconds + found.seconds
    print(
        f"| in all | {total.kills} | {total.equal} | {'yes' if total.files else 'NO'} | {total.seconds:.0f} |"
    )
    if given.folder is None:
        shutil.rmtree(place, ignore_errors=True)
    return int(total.kills != total.equal or not total.files)


if __name__ == "__main__":
    raise SystemExit(main())
