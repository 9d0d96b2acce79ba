"""What every dense task learns from nothing, held against the best constant prediction.

    python benchmarks/learn.py [--tasks normal depth ...] [--steps 300] [--num 500] [--output runs/learn]

Generates synthetic people once, trains the smallest backbone on each task alone on a CPU, and prints one row a task:
the metric on held-out people, and the same metric of a constant that the training labels suggest.
"""

import json
import os
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.drawing import contact_sheet, side_by_side
from sapiens2_lit.geometry import unproject
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.run import run
from sapiens2_lit.synthetic.dataset import make_dataset
from sapiens2_lit.synthetic.files import write_file
from sapiens2_lit.synthetic.layout import png
from sapiens2_lit.synthetic.manifest import Settings

Batch = dict[str, Any]
STEPS, NUM = 600, 1000
DRAWN, ZOOM = 4, 2  # people in a picture, and how much larger than the network sees them
SETTINGS = [
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false", "--pictures.num_samples", "0"),
    *("--data.num_workers", "1", "--data.val", "null", "--data.augment", "null"),
]


def mean(batches: Iterable[Batch], key: str, valid: bool = True) -> Tensor:
    """Mean over all pixels that count of a field (B, C, H, W), as (1, C, 1, 1)."""
    total, count = 0.0, 0
    for batch in batches:
        field = batch[key].double()
        mask = batch["valid"] if valid else torch.ones_like(field[:, :1], dtype=torch.bool)
        total = total + (field * mask).sum((0, 2, 3))
        count += int(mask.sum())
    return (total / count).float()[None, :, None, None]


def constant_class(batches: Iterable[Batch]) -> Tensor:
    """The commonest class of people."""
    counts = sum(torch.bincount(batch["segmentation"].flatten(), minlength=256)[:255] for batch in batches)
    return counts[1:].argmax() + 1


def predict_class(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    return constant.expand_as(batch["segmentation"]), batch["segmentation"]


def predict_field(key: str, valid: bool = True) -> Callable[[Tensor, Batch], tuple[Tensor, ...]]:
    def predict(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        field = batch[key]
        mask = batch["valid"] if valid else torch.ones_like(field[:, :1], dtype=torch.bool)
        return constant.expand_as(field), field, mask

    return predict


def predict_wall(constant: Tensor, batch: Batch) -> tuple[Tensor, ...]:
    """A wall at the mean depth, on the rays of the true cameras: more than a constant could know."""
    points = batch["pointmap"]
    return unproject(constant[:, 2:].expand_as(points[:, 2:]), batch["intrinsics"]), points, batch["valid"]


@dataclass(frozen=True)
class Task:
    """A configuration, its head, the member of the head's metrics and the value of it, and what a constant predicts."""

    config: str
    head: str
    member: str
    metric: str
    constant: Callable[[Iterable[Batch]], Tensor]
    predict: Callable[[Tensor, Batch], tuple[Tensor, ...]]
    options: tuple[str, ...] = ()


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
TASKS = {
    "segmentation": Task(
        "segmentation_29.yaml", "seg", "segmentation", "foreground_mIoU", constant_class, predict_class
    ),
    "normal": Task(
        "normal.yaml",
        "normal",
        "normal",
        "mean_angle",
        lambda b: mean(b, "normal"),
        predict_field("normal"),
        ("--model.heads.normal.loss", NORMAL_LOSS),
    ),
    "depth": Task(
        "depth.yaml", "depth", "depth", "abs_rel", lambda b: mean(b, "depth"), predict_field("depth")
    ),
    "pointmap": Task(
        "pointmap.yaml", "pointmap", "points", "l2", lambda b: mean(b, "pointmap"), predict_wall
    ),
    "albedo": Task(
        "albedo.yaml", "albedo", "albedo", "psnr", lambda b: mean(b, "albedo"), predict_field("albedo")
    ),
    "matting": Task(
        "matting.yaml",
        "matting",
        "matting",
        "sad",
        lambda b: mean(b, "alpha", False),
        predict_field("alpha", False),
    ),
}


def command(task: Task, root: Path, output: Path, steps: int) -> list[str]:
    """What a user would type after `sapiens2-lit`."""
    options = ["fit", "--config", task.config, "--config", "size/pico.yaml", "--data.root", str(root)]
    options += ["--output", str(output), "--trainer.max_steps", str(steps), "--trainer.devices", "1"]
    return [*options, *SETTINGS, *task.options]


def learn(task: Task, root: Path, output: Path, steps: int) -> tuple[float, float, float, np.ndarray]:
    """Metric of the trained head, that of the constant, CPU minutes of training, and a picture of held-out people."""
    before = cpu_minutes()
    cli = run(command(task, root, output, steps))
    minutes = cpu_minutes() - before
    (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)

    head = dict(cli.model.named_heads())[task.head]
    metrics = head.metrics(cli.datamodule, "test")
    constant = task.constant(cli.datamodule.train_dataloader())
    chosen = metrics[task.member]
    for batch in cli.datamodule.test_dataloader():
        chosen.update(*task.predict(constant, batch))
    picture = draw(cli.model, task.head, next(iter(cli.datamodule.test_dataloader())))
    write_file(output, "predictions.png", png(picture))
    trained = float(found[f"test/{task.head}/{task.metric}"])
    return trained, float(chosen.compute()[task.metric]), minutes, picture


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
            views.append(head.draw(image, own))
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
    make_dataset(root, options.num, Settings(size=(192, 128)))
    rows, pictures = [], []
    for name in options.tasks:
        trained, constant, minutes, picture = learn(TASKS[name], root, options.output / name, options.steps)
        rows.append(f"| {name} | {TASKS[name].metric} | {trained:.3f} | {constant:.3f} | {minutes:.1f} |")
        pictures.append(picture)
        print(rows[-1], flush=True)
    write_file(options.output, "predictions.png", png(contact_sheet(pictures, columns=3)))
    print("\n| task | metric | trained | constant | CPU minutes |\n|---|---|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
