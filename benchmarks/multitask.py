"""Five tasks at once against each alone: what they learn of the same samples, and what predicting them costs.

    python benchmarks/multitask.py learn [--steps 400] [--num 512] [--balance GradientNorms]
    python benchmarks/multitask.py predict

`learn` trains the smallest backbone from nothing on synthetic people, once on all tasks of multitask.yaml and once on
each alone, every task on the same samples in the same order, and prints one row a task. `predict` runs five heads of
size 0.1b on one backbone, and five models of one head, in turn, each side in a process of its own.
"""

import argparse
import multiprocessing as mp
import os
import resource
import time
from collections.abc import Callable
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import numpy as np
import torch
import yaml
from torch import nn
from torch.utils.data import Dataset

from sapiens2_lit.config_files import find_config
from sapiens2_lit.datamodules import SyntheticDataModule
from sapiens2_lit.datamodules.synthetic_dataset import SyntheticDataset
from sapiens2_lit.run import run

SIZE = (96, 64)
METRICS = {  # of each head, and whether more of it is better; average precision stays near 0 in so short a time
    "pose": ("PCK@0.1", True),
    "seg": ("foreground_mIoU", True),
    "normal": ("mean_angle", False),
    "pointmap": ("scale_l2", False),
    "albedo": ("mae", False),
}
PREDICTED = (512, 384)


class Kept(Dataset[dict[str, Any]]):
    """Generated people, made once and kept in memory: epochs repeat them."""

    def __init__(self, dataset: SyntheticDataset) -> None:
        self.samples = [dataset[index] for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        return self.samples[key[1] if isinstance(key, tuple) else key]


@cache
def kept(length: int, skeleton: Any, targets: tuple[str, ...], start: int) -> Kept:
    return Kept(SyntheticDataset(length, SIZE, skeleton, targets, start=start))


class KeptPeople(SyntheticDataModule):
    """The same few synthetic people in every epoch, and in every run of this process."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for name, dataset in self.datasets.items():
            if isinstance(dataset, SyntheticDataset):
                length = self.counts[name]
                self.datasets[name] = kept(length, self.skeleton, self.targets, dataset.start)

    def ground_truth(self, stage: str) -> None:
        """None: average precision is not measured here."""


def learn(heads: list[str], steps: int, num: int, balance: str, output: Path) -> dict[str, float]:
    """Train the heads together; their metrics on 64 held-out people."""
    config = yaml.safe_load(find_config("multitask.yaml").read_text())
    chosen = {name: config["model"]["heads"][name] for name in heads}
    overlay = output / f"{'_'.join(heads)}.yaml"
    overlay.write_text(yaml.safe_dump({"model": {"heads": chosen}}))
    command = ["fit", "--config", "multitask.yaml", "--config", "size/nano.yaml", "--config", str(overlay)]
    command += [
        "--data",
        "multitask.KeptPeople",
        "--data.samples_per_epoch",
        str(num),
        "--data.num_workers",
        "0",
    ]
    command += ["--data.test_samples", "64", "--data.val_samples", "16"]
    command += ["--data.image_size", str(list(SIZE)), "--data.batch_size", "16", "--output", str(output)]
    command += [
        "--model.optimizer.lr",
        "2e-3",
        "--model.warmup_steps",
        "30",
        "--trainer.max_steps",
        str(steps),
    ]
    command += ["--trainer.limit_val_batches", "0", "--trainer.enable_checkpointing", "false"]
    command += ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.logger", "false"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    if len(heads) > 1:
        command += ["--model.balance", balance]
    cli = run(command)
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    return {name: found[f"test/{name}/{METRICS[name][0]}"] for name in heads}


def compare_learning(steps: int, num: int, balance: str, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    together = learn(list(METRICS), steps, num, balance, output)
    print(f"all at once: {(time.perf_counter() - start) / 60:.1f} min", flush=True)
    rows = []
    for name, (metric, more_is_better) in METRICS.items():
        start = time.perf_counter()
        alone = learn([name], steps, num, balance, output)[name]
        ratio = together[name] / alone if more_is_better else alone / together[name]
        rows.append(
            f"| {name} | {metric} | {together[name]:.4f} | {alone:.4f} | {100 * (ratio - 1):+.1f} % |"
        )
        print(f"{rows[-1]} {(time.perf_counter() - start) / 60:.1f} min alone", flush=True)
    print(f"\n{steps} steps of 16 of {num} people, {SIZE[0]} x {SIZE[1]}, {balance}")
    print("\n| head | metric | all five | alone | better by |\n|---|---|---|---|---|\n" + "\n".join(rows))


def networks(joint: bool) -> list[nn.Module]:
    """One model of five heads, or five models of one."""
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.heads import AlbedoHead, NormalHead, PointmapHead, PoseHead, SegmentationHead
    from sapiens2_lit.module import SapiensModule

    heads = {
        "pose": PoseHead,
        "seg": SegmentationHead,
        "normal": NormalHead,
        "pointmap": partial(PointmapHead, image_size=PREDICTED),
        "albedo": AlbedoHead,
    }
    groups = [heads] if joint else [{name: head} for name, head in heads.items()]
    modules = [
        SapiensModule(partial(Sapiens2, "0.1b", PREDICTED), group, flip_test=False) for group in groups
    ]
    for module in modules:
        module.configure_model()
    return [module.eval() for module in modules]


def serve(joint: bool, pipe: Connection) -> None:
    """Predict an image when asked, answer with the seconds of clock and CPUs; at the end with the peak memory in GB."""
    torch.set_num_threads(2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    modules = networks(joint)
    images = torch.randint(0, 256, (1, 3, *PREDICTED), dtype=torch.uint8)
    with torch.no_grad():
        while pipe.recv():
            start = time.perf_counter(), time.process_time()
            for module in modules:
                module.predict_step({"image": images}, 0)
            pipe.send((time.perf_counter() - start[0], time.process_time() - start[1]))
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6)


def compare_predicting(repeats: int) -> None:
    context = mp.get_context("spawn")
    pipes, processes = [], []
    for joint in (True, False):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(joint, theirs)))
        processes[-1].start()
        pipes.append(ours)
    times = np.empty((repeats + 1, 2, 2))
    for repeat in range(repeats + 1):  # in turn, so that a drift of the machine's speed meets both
        for side, pipe in enumerate(pipes):
            pipe.send(True)
            times[repeat, side] = pipe.recv()
    memory = []
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        memory.append(pipe.recv())
        process.join()
    seconds = np.median(times[1:], axis=0)
    print(
        f"0.1b, one image of {PREDICTED[0]} x {PREDICTED[1]}, float32, two threads, torch {torch.__version__}\n"
    )
    print("| predicting five tasks | five heads, one pass | five models | ratio |\n|---|---|---|---|")
    kinds = (f"time, median of {repeats}", "time of the CPUs")
    for what, (joint_s, apart_s) in zip(kinds, seconds.T, strict=True):
        print(f"| {what} | {joint_s:.2f} s | {apart_s:.2f} s | {joint_s / apart_s:.2f} |")
    print(
        f"| peak memory over the interpreter | {memory[0]:.2f} GB | {memory[1]:.2f} GB | {memory[0] / memory[1]:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    learning = commands.add_parser("learn")
    learning.add_argument("--steps", type=int, default=400)
    learning.add_argument("--num", type=int, default=512, help="people to train on")
    learning.add_argument("--balance", default="GradientNorms")
    learning.add_argument("--output", type=Path, default=Path("runs/multitask_learn"))
    predicting = commands.add_parser("predict")
    predicting.add_argument("--repeats", type=int, default=5)
    options = vars(parser.parse_args())
    chosen: dict[str, Callable[..., None]] = {"learn": compare_learning, "predict": compare_predicting}
    chosen[options.pop("command")](**options)


if __name__ == "__main__":
    main()
