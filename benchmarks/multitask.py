"""Five tasks at once against each alone: what they learn of the same samples, and what predicting them costs.

    python benchmarks/multitask.py learn [--steps 300] [--num 512] [--balance FixedWeights GradientNorms]
    python benchmarks/multitask.py predict

`learn` trains the smallest backbone from nothing on synthetic people, once on all tasks of multitask.yaml and once on
each alone, every task on the same samples in the same order, and prints one row a task. `predict` runs five heads of
size 0.1b on one backbone, dense ones on a shared decoder as in multitask.yaml or each with the released one, and five
models of one head with released decoders, in turn, each side in a process of its own.
"""

import argparse
import multiprocessing as mp
import os
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import numpy as np
import torch
import yaml
from torch import nn
from torch.utils.data import Dataset

from sapiens2_lit.cli.configs import find_config
from sapiens2_lit.cli.fit import run
from sapiens2_lit.data.datasets.synthetic import TARGETS
from sapiens2_lit.datamodules import SyntheticDataModule

SIZE = (96, 64)
HELD_OUT = 128
LABELS = {
    "pose": ("keypoints",),
    "seg": ("segmentation",),
    "normal": ("normal",),
    "pointmap": ("pointmap",),
    "albedo": ("albedo",),
}
METRICS = {  # of each head, and whether more of it is better; average precision stays near 0 in so short a time
    "pose": ("PCK@0.1", True),
    "seg": ("foreground_mIoU", True),
    "normal": ("mean_angle", False),
    "pointmap": ("scale_l2", False),
    "albedo": ("mae", False),
}
NORMAL_LOSS = {  # the released weight of the gradient error, 10, is for 1024 x 768; see docs/normal.md
    name: {"class_path": f"sapiens2_lit.losses.{term}", "init_args": {"weight": weight}}
    for name, term, weight in (
        ("cosine", "NormalCosine", 10.0),
        ("l1", "NormalL1", 1.0),
        ("gradient", "NormalGradient", 0.5),
    )
}
PREDICTED = (512, 384)


class Kept(Dataset[dict[str, Any]]):
    """Generated people with some of their labels, read from a file that was made once: epochs repeat them."""

    def __init__(self, file: Path, targets: tuple[str, ...]) -> None:
        others = set(TARGETS) - set(targets)
        samples = torch.load(file, weights_only=True)
        self.samples = [
            {key: value for key, value in sample.items() if key not in others} for sample in samples
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        return self.samples[key[1] if isinstance(key, tuple) else key]


class KeptPeople(SyntheticDataModule):
    """The same few synthetic people in every epoch, and in every run; `folder` is where their files are."""

    def __init__(self, folder: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.folder = Path(folder)

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for name in self.datasets:
            self.datasets[name] = Kept(self.folder / f"{name}.pt", self.targets)

    def ground_truth(self, stage: str) -> None:
        """None: average precision is not measured here."""


def keep_people(folder: Path, num: int) -> None:
    """Make the files of `KeptPeople`."""
    data = SyntheticDataModule(
        SIZE, samples_per_epoch=num, val_samples=8, test_samples=HELD_OUT, num_workers=0
    )
    for stage in ("fit", "test"):
        data.setup(stage)
    for name, dataset in data.datasets.items():
        torch.save([dataset[index] for index in range(len(dataset))], folder / f"{name}.pt")


def learn(heads: list[str], balance: str, steps: int, batch_size: int, output: Path) -> dict[str, float]:
    """Train the heads together; their metrics on held-out people."""
    torch.set_num_threads(1)
    sys.path.append(str(Path(__file__).parent))  # for the class path of the data
    config = yaml.safe_load(find_config("multitask.yaml").read_text())
    targets = sorted({key for name in heads for key in LABELS[name]})
    data = {"class_path": "multitask.KeptPeople", "init_args": {"folder": str(output), "targets": targets}}
    chosen = {name: config["model"]["heads"][name] for name in heads}
    if "normal" in chosen:
        chosen["normal"]["init_args"] = {"loss": NORMAL_LOSS}
    # each head has a decoder of its own, alone and together
    own = {"model": {"heads": chosen, "shared_decoder": False}, "data": data}
    overlay = output / f"{'_'.join(heads)}_{balance}.yaml"
    overlay.write_text(yaml.safe_dump(own))
    command = ["fit", "--config", "multitask.yaml", "--config", "size/pico.yaml", "--config", str(overlay)]
    command += [
        "--data.image_size",
        str(list(SIZE)),
        "--data.batch_size",
        str(batch_size),
        "--output",
        str(output),
    ]
    command += [
        "--data.num_workers",
        "0",
        "--trainer.max_steps",
        str(steps),
        "--trainer.limit_val_batches",
        "0",
    ]
    command += ["--model.loss_weighting", balance]
    command += ["--trainer.enable_checkpointing", "false", "--trainer.logger", "false"]
    command += ["--trainer.accelerator", "cpu", "--trainer.devices", "1"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    cli = run(command)
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    return {name: found[f"test/{name}/{METRICS[name][0]}"] for name in heads}


def compare_learning(
    steps: int, batch_size: int, num: int, balance: list[str], output: Path, jobs: int
) -> None:
    output.mkdir(parents=True, exist_ok=True)
    keep_people(output, num)
    runs = [(list(METRICS), name) for name in balance] + [([name], "FixedWeights") for name in METRICS]
    start = time.perf_counter()
    with ProcessPoolExecutor(jobs, mp.get_context("spawn")) as pool:
        found = list(pool.map(partial(learn_one, steps, batch_size, output), runs))
    together, alone = (
        found[: len(balance)],
        {name: value for run_ in found[len(balance) :] for name, value in run_.items()},
    )
    print(
        f"{steps} steps of {batch_size} of {num} people, {SIZE[0]} x {SIZE[1]}, pico from nothing, ", end=""
    )
    print(f"{(time.perf_counter() - start) / 60:.0f} min in all\n")
    print(f"| head | metric | alone | {' | '.join(f'together, {name} | better by' for name in balance)} |")
    print("|---" * (3 + 2 * len(balance)) + "|")
    for name, (metric, more_is_better) in METRICS.items():
        cells = [name, metric, f"{alone[name]:.4f}"]
        for values in together:
            ratio = values[name] / alone[name] if more_is_better else alone[name] / values[name]
            cells += [f"{values[name]:.4f}", f"{100 * (ratio - 1):+.1f} %"]
        print(f"| {' | '.join(cells)} |")


def learn_one(
    steps: int, batch_size: int, output: Path, heads_and_balance: tuple[list[str], str]
) -> dict[str, float]:
    start = time.perf_counter()
    found = learn(*heads_and_balance, steps, batch_size, output)
    print(
        f"{heads_and_balance} {(time.perf_counter() - start) / 60:.1f} min: {found}",
        file=sys.stderr,
        flush=True,
    )
    return found


def networks(way: str) -> list[nn.Module]:
    """One model of five heads, sharing a decoder or each with the released one, or five models of one."""
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.heads import AlbedoHead, NormalHead, PointmapHead, PoseHead, SegmentationHead
    from sapiens2_lit.training.module import SapiensModule

    heads = {
        "pose": PoseHead,
        "seg": SegmentationHead,
        "normal": NormalHead,
        "pointmap": partial(PointmapHead, image_size=PREDICTED),
        "albedo": AlbedoHead,
    }
    shares = way == "shared"
    if shares:  # as in multitask.yaml: pose keeps the released decoder
        dense = {name: partial(make, decoder="shared") for name, make in heads.items() if name != "pose"}
        heads = {**heads, **dense}
    groups = [{name: head} for name, head in heads.items()] if way == "apart" else [heads]
    modules = [
        SapiensModule(partial(Sapiens2, "0.1b", PREDICTED), group, flip_test=False, shared_decoder=shares)
        for group in groups
    ]
    for module in modules:
        module.configure_model()
    return [module.eval() for module in modules]


def serve(way: str, pipe: Connection) -> None:
    """Predict an image when asked, answer with the seconds of clock and CPUs; at the end with the peak memory in GB."""
    torch.set_num_threads(2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    modules = networks(way)
    images = torch.randint(0, 256, (1, 3, *PREDICTED), dtype=torch.uint8)
    with torch.no_grad():
        while pipe.recv():
            start = time.perf_counter(), time.process_time()
            for module in modules:
                module.predict_step({"image": images}, 0)
            pipe.send((time.perf_counter() - start[0], time.process_time() - start[1]))
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e6)


WAYS = {"shared": "one pass, shared decoder", "joint": "one pass, released decoders", "apart": "five models"}


def compare_predicting(repeats: int) -> None:
    context = mp.get_context("spawn")
    pipes, processes = [], []
    for way in WAYS:
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(way, theirs)))
        processes[-1].start()
        theirs.close()  # so that its end is known here
        pipes.append(ours)
    times = np.empty((repeats + 1, len(WAYS), 2))
    for repeat in range(repeats + 1):  # in turn, so that a drift of the machine's speed meets all
        for side, pipe in enumerate(pipes):
            pipe.send(True)
            times[repeat, side] = pipe.recv()
    memory = []
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(False)
        memory.append(pipe.recv())
        process.join()
    clock, cpus = np.median(times[1:], axis=0).T
    print(
        f"0.1b, one image of {PREDICTED[0]} x {PREDICTED[1]}, float32, two threads, torch {torch.__version__}\n"
    )
    print(
        f"| predicting five tasks | {' | '.join(WAYS.values())} | ratio to five models |\n|---|---|---|---|---|"
    )
    for what, values, unit in (
        (f"time, median of {repeats}", clock, "s"),
        ("time of the CPUs", cpus, "s"),
        ("peak memory over the interpreter", memory, "GB"),
    ):
        cells = " | ".join(f"{value:.2f} {unit}" for value in values)
        print(f"| {what} | {cells} | {values[0] / values[2]:.2f}, {values[1] / values[2]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    learning = commands.add_parser("learn")
    learning.add_argument("--steps", type=int, default=300)
    learning.add_argument("--batch-size", type=int, default=8)
    learning.add_argument("--num", type=int, default=512, help="people to train on")
    learning.add_argument("--balance", nargs="+", default=["FixedWeights", "GradientNorms"])
    learning.add_argument("--jobs", type=int, default=2, help="trainings at a time, each on one thread")
    learning.add_argument("--output", type=Path, default=Path("runs/multitask_learn"))
    predicting = commands.add_parser("predict")
    predicting.add_argument("--repeats", type=int, default=5)
    options = vars(parser.parse_args())
    chosen: dict[str, Callable[..., None]] = {"learn": compare_learning, "predict": compare_predicting}
    chosen[options.pop("command")](**options)


if __name__ == "__main__":
    main()
