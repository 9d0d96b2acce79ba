"""What every dense task learns from nothing, held against the best constant prediction.

    python benchmarks/learn.py [--tasks normal depth ...] [--steps 4000] [--num 10000] [--output runs/learn]

Generates people before one camera once, trains the smallest backbone with a linear decoder on each task alone on a CPU,
and prints a row a metric: on held-out people, and of the constant that suits the training labels best. Deep decoders
learn far more slowly from nothing. There is one focal length, because pictures hardly tell it: with all those that
`synth` draws unless told otherwise, distance is a guess.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.cli.fit import run
from sapiens2_lit.geometry import unproject
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.files import write_file
from sapiens2_lit.synthetic.dataset.layout import png
from sapiens2_lit.synthetic.dataset.manifest import Settings
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

Batch = dict[str, Any]
STEPS, NUM = 4000, 10000
PEOPLE = Settings(size=(192, 128), field_of_view=(40.0, 40.0))
CONSTANT_FROM = 400  # pictures
DRAWN, ZOOM = 4, 2  # people in a picture, and how much larger than the network sees them
SETTINGS = [
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false", "--pictures.num_samples", "0"),
    *("--data.num_workers", "1", "--data.val", "null", "--data.augment", "null"),
]


def mean(key: str) -> Callable[[Batch], Tensor]:
    """Mean over all pixels that count of a field (B, C, H, W), as (1, C, 1, 1)."""
    return lambda batch: batch[key].movedim(1, -1)[batch["valid"][:, 0]].mean(dim=0)[None, :, None, None]


def nearest_in_ratio(batch: Batch) -> Tensor:
    """The depth of least AbsRel, lower than the mean: the median of depths weighted by their inverse; (1, 1, 1, 1)."""
    depth = batch["depth"][batch["valid"]].double().sort().values
    share = depth.reciprocal().cumsum(0) / depth.reciprocal().sum()
    return depth[(share < 0.5).sum()].float().reshape(1, 1, 1, 1)


def wall(batch: Batch) -> Tensor:
    """A wall at the mean depth, before the mean camera; (1, 3, H, W)."""
    depth = mean("pointmap")(batch)[:, 2:].expand(1, 1, *batch["image"].shape[2:])
    return unproject(depth, batch["intrinsics"].mean(dim=0, keepdim=True))


def commonest_class(batch: Batch) -> Tensor:
    """The commonest class of people."""
    return torch.bincount(batch["segmentation"].flatten(), minlength=256)[1:255].argmax() + 1


def nobody(batch: Batch) -> Tensor:
    """No person anywhere: the constant of least SAD where people take less than half of the pixels."""
    return torch.zeros(1, 1, 1, 1)


def predict_class(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    return constant.expand_as(batch["segmentation"]), batch["segmentation"]


def predict_field(key: str) -> Callable[[Tensor, Batch], tuple[Tensor, ...]]:
    return lambda constant, batch: (constant.expand_as(batch[key]), batch[key], batch["valid"])


def predict_alpha(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    return constant.expand_as(batch["alpha"]), batch["alpha"], batch["alpha"].isfinite()


@dataclass(frozen=True)
class Training:
    """What is trained.

    Attributes:
        config: a shipped one.
        head: its name in there.
        options: of this task alone.
    """

    config: str
    head: str
    options: tuple[str, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Task(Training):
    """What is trained and measured, and what a constant predicts.

    Attributes:
        metrics: of the head's metrics, the member and the name of the value.
        constant: from many training samples.
        predict: what a member of the head's metrics takes, with the constant for the prediction.
        itself: the same with the picture for the prediction, where that is one.
    """

    metrics: dict[str, str]
    constant: Callable[[Batch], Tensor]
    predict: Callable[[Tensor, Batch], tuple[Tensor, ...]]
    itself: Callable[[Batch], tuple[Tensor, ...]] | None = None


# The released weight of the gradient error, 10, is for 1024 x 768, where neighbours differ ten times less: squared, a
# hundred times. On small pictures it would drown the angles.
NORMAL_LOSS = json.dumps(
    {
        name: {"class_path": f"sapiens2_lit.losses.{term}", "init_args": {"weight": weight}}
        for name, term, weight in (
            ("cosine", "NormalCosine", 10.0),
            ("l1", "NormalL1", 1.0),
            ("gradient", "NormalGradient", 0.5),
        )
    }
)
# How far away people are is one number a picture, which needs more of them rather than larger ones.
SMALL = ("--data.image_size", "[96, 64]", "--data.batch_size", "16", "--model.optimizer.lr", "6e-3")
TASKS = {
    "segmentation": Task(
        "segmentation_29.yaml",
        "seg",
        {"segmentation": "foreground_mIoU"},
        commonest_class,
        predict_class,
        # the released ones favor what is too small to be seen here
        options=("--model.heads.seg.class_weights", "none"),
    ),
    "normal": Task(
        "normal.yaml",
        "normal",
        {"normal": "mean_angle"},
        mean("normal"),
        predict_field("normal"),
        options=("--model.heads.normal.loss", NORMAL_LOSS),
    ),
    "depth": Task(
        "depth.yaml",
        "depth",
        {"depth": "abs_rel"},
        nearest_in_ratio,
        predict_field("depth"),
        options=SMALL,
    ),
    "pointmap": Task(
        "pointmap.yaml",
        "pointmap",
        {"points": "l2", "scale": "scale_l2"},
        wall,
        predict_field("pointmap"),
        options=SMALL,
    ),
    "albedo": Task(
        "albedo.yaml",
        "albedo",
        {"albedo": "psnr"},
        mean("albedo"),
        predict_field("albedo"),
        itself=lambda batch: (batch["image"] / 255, batch["albedo"], batch["valid"]),
    ),
    "matting": Task(
        "matting.yaml",
        "matting",
        {"matting": "sad"},
        nobody,
        predict_alpha,
        options=("--model.heads.matting.connectivity", "false"),  # it is not printed, and slow
    ),
}


def command(task: Training, root: Path, output: Path, steps: int) -> list[str]:
    """What a user would type after `sapiens2-lit`."""
    options = ["fit", "--config", task.config, "--config", "size/pico.yaml", "--data.root", str(root)]
    options += ["--output", str(output), "--trainer.max_steps", str(steps), "--trainer.devices", "1"]
    options += [f"--model.heads.{task.head}.decoder", "linear", "--model.optimizer.lr", "4e-3"]
    options += ["--data.image_size", "[192, 128]"]
    return [*options, *SETTINGS, *task.options]


def learn(task: Task, root: Path, output: Path, steps: int) -> tuple[list[str], np.ndarray]:
    """One row a metric, as `metric | trained | constant | CPU minutes`, and a picture of held-out people."""
    before = cpu_minutes()
    cli = run(command(task, root, output, steps))
    minutes = cpu_minutes() - before
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)

    head = dict(cli.model.named_heads())[task.head]
    metrics = head.metrics(cli.datamodule, "test")
    batches = CONSTANT_FROM // cli.datamodule.batch_size
    constant = task.constant(join(islice(cli.datamodule.train_dataloader(), batches)))
    rows = []
    for batch in cli.datamodule.test_dataloader():
        for member in task.metrics:
            metrics[member].update(*task.predict(constant, batch))
    for member, metric in task.metrics.items():
        trained, trivial = found[f"test/{task.head}/{metric}"], metrics[member].compute()[metric]
        rows.append(f"{metric} | {trained:.3f} | {trivial:.3f} | {minutes:.1f}")
        if task.itself is not None:
            metrics[member].reset()
            for batch in cli.datamodule.test_dataloader():
                metrics[member].update(*task.itself(batch))
            rows.append(f"{metric} of the picture itself | | {metrics[member].compute()[metric]:.3f} |")
    picture = draw(cli.model, task.head, next(iter(cli.datamodule.test_dataloader())))
    write_file(output, "predictions.png", png(picture))
    return rows, picture


def join(batches: Iterable[Batch]) -> Batch:
    """Batches as one, without what is no tensor."""
    parts = list(batches)
    return {
        key: torch.cat([part[key] for part in parts])
        for key, value in parts[0].items()
        if torch.is_tensor(value)
    }


def cpu_minutes() -> float:
    """Of this process and of the loaders that have ended: on a shared machine the clock says little."""
    return sum(os.times()[:4]) / 60


def draw(model: SapiensModule, name: str, batch: Batch) -> np.ndarray:
    """The first people of a batch, one a row: image, labels, predictions where labels count."""
    head = dict(model.named_heads())[name]
    batch = {key: value[:DRAWN] for key, value in batch.items()}
    with torch.no_grad():
        predicted = head.predict(model.to("cpu").eval().evaluate(batch["image"])[name], batch)
    pictures = []
    for row, image in enumerate(batch["image"].permute(0, 2, 3, 1).numpy()):
        views = [image]
        for fields in (batch, predicted):
            own = {key: fields[key][row] for key in predicted if key in fields}
            if "valid" in batch and "alpha" not in own:
                own = {
                    key: field * batch["valid"][row] if field.ndim == 3 else field
                    for key, field in own.items()
                }
            view = head.draw(image, own)
            width = image.shape[1]
            beside = view.shape[1] > width and np.array_equal(view[:, :width], image)
            views.append(view[:, width:] if beside else view)
        pictures += [view.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1) for view in views]
    titles = ["image", f"{name}: labels", "predicted"]
    columns = [contact_sheet(pictures[column::3], columns=1) for column in range(3)]
    return side_by_side(columns, titles=titles)


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--num", type=int, default=NUM, help="pictures, of which a tenth is held out")
    parser.add_argument("--output", type=Path, default=Path("runs/learn"))
    options = parser.parse_args()
    root = options.output / "people"
    make_dataset(root, options.num, PEOPLE)
    table, pictures = ["| task | metric | trained | constant | CPU minutes |", "|---|---|---|---|---|"], []
    for name in options.tasks:
        rows, picture = learn(TASKS[name], root, options.output / name, options.steps)
        table += [f"| {name} | {row} |" for row in rows]
        pictures.append(picture)
        print("\n".join(table[-len(rows) :]), flush=True)
    write_file(options.output, "predictions.png", png(contact_sheet(pictures, columns=3)))
    print("\n" + "\n".join(table))


if __name__ == "__main__":
    main()
