"""Light decoders held against the released ones, and designs of light ones against each other.

    python benchmarks/decoders.py [--tasks normal segmentation ...] [--designs released light ...] [--seeds 0 1 2]
                                  [--steps 1000] [--num 2000] [--output runs/decoders]

Trains the smallest backbone with each decoder on each task as `benchmarks/learn.py` does, on the same pictures, in the
same order, from the same fresh backbone. Prints a row a metric: of every decoder the mean over seeds, and the mean of
the paired differences to the first with two standard errors. Results stand in OUTPUT/results.json: what is there is
not measured again.

Designs: `released` is the task's own decoder, as narrow as the backbone asks for; `light` is what `decoder: light`
gives. For the choice among light ones: `shuffle` has narrow 3 x 3 convolutions and pixel shuffles up to the full size,
`convex` blocks and convex upsampling without the image, `detail` the same with the image's own stream.
"""

import json
import statistics
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from learn import PEOPLE, TASKS, Training, command, cpu_minutes

from sapiens2_lit.cli.fit import run
from sapiens2_lit.decoders import Kind, LightDecoder, PixelShuffleDecoder, released_kind
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.files import write_file

POSE = Training(
    "pose_17.yaml",
    "pose",
    options=("--data.train", "annotations/train_17.json", "--data.test", "annotations/test_17.json"),
)
TRAININGS: dict[str, Training] = {**TASKS, "pose": POSE}
# What is compared besides the score: how sharp boundaries are.
METRICS = {
    "segmentation": {"foreground_mIoU": 1, "boundary_f1": 1},
    "normal": {"mean_angle": -1},
    "depth": {"abs_rel": -1, "depth_pro_boundary_f1": 1},
    "pointmap": {"l2": -1},
    "albedo": {"psnr": 1},
    "matting": {"sad": -1, "gradient": -1},
    "pose": {"PCK@0.1": 1, "PCK@0.05": 1},
}
SCORED = {"segmentation": ["--model.heads.seg.boundaries", "true"]}
SIZE = "[96, 64]"


def narrow_shuffle(
    width: int, widths: tuple[int, int, int], channels: int, predictor: str, **_: bool
) -> object:
    """Pixel shuffles alone: the same widths, then half and a quarter of the last at 1/2 and 1."""
    stages = (widths[1], widths[2], max(16, widths[2] // 2), 16)
    return PixelShuffleDecoder(width, stages, (), channels, predictor, norm="rms")


def without_image(*args: object, **options: object) -> LightDecoder:
    return LightDecoder(*args, **{**options, "detail": False})  # type: ignore[arg-type]


def with_image(*args: object, **options: object) -> LightDecoder:
    return LightDecoder(*args, **{**options, "detail": True})  # type: ignore[arg-type]


DESIGNS: dict[str, tuple[Kind | None, Callable[..., object] | None]] = {
    "released": (None, None),
    "light": ("light", None),
    "linear": ("linear", None),
    "shuffle": ("light", narrow_shuffle),
    "convex": ("light", without_image),
    "detail": ("light", with_image),
}


@contextmanager
def built_by(make: Callable[..., object] | None) -> Iterator[None]:
    """`decoder: light` is what `make` builds."""
    if make is None:
        yield
    else:
        with patch("sapiens2_lit.decoders.build.LightDecoder", make):
            yield


def measure(task: str, design: str, seed: int, options: "Options") -> dict[str, float]:
    """Metrics of held-out people, and CPU minutes of the training."""
    one = TRAININGS[task]
    kind, make = DESIGNS[design]
    arguments = command(one, options.root, options.output / task / f"{design}_{seed}", options.steps)
    kind = kind or released_kind(one.head)
    arguments += [f"--model.heads.{one.head}.decoder", kind, "--seed_everything", str(seed)]
    arguments += SCORED.get(task, [])
    arguments += ["--data.image_size", SIZE, "--data.batch_size", "8", "--model.optimizer.lr", options.lr]
    before = cpu_minutes()
    with built_by(make):
        cli = run(arguments)
        minutes = cpu_minutes() - before
        (found,) = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    names = {name.rpartition("/")[2]: value for name, value in found.items()}
    return {**{name: names[name] for name in METRICS[task] if name in names}, "minutes": minutes}


class Options:
    """What the command line says."""

    def __init__(self) -> None:
        parser = ArgumentParser(description=__doc__)
        parser.add_argument("--tasks", nargs="+", default=list(METRICS), choices=list(METRICS))
        parser.add_argument("--designs", nargs="+", default=["released", "light"], choices=list(DESIGNS))
        parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
        parser.add_argument("--steps", type=int, default=1000)
        parser.add_argument("--num", type=int, default=2000, help="pictures, of which a tenth is held out")
        parser.add_argument("--lr", default="2e-3")
        parser.add_argument("--output", type=Path, default=Path("runs/decoders"))
        found = parser.parse_args()
        self.tasks: list[str] = found.tasks
        self.designs: list[str] = found.designs
        self.seeds: list[int] = found.seeds
        self.steps: int = found.steps
        self.num: int = found.num
        self.lr: str = found.lr
        self.output: Path = found.output
        self.root: Path = found.output / "people"


def row(task: str, metric: str, results: dict[str, dict[str, float]], options: Options) -> str:
    """Means by design, and the paired differences of the others to the first."""

    def values(design: str) -> list[float]:
        return [results[f"{task} {design} {seed} {options.steps}"][metric] for seed in options.seeds]

    first, *others = options.designs
    cells = [f"{statistics.mean(values(first)):.4f}"]
    for design in others:
        gains = [b - a for a, b in zip(values(first), values(design), strict=True)]
        error = 2 * statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        cells.append(f"{statistics.mean(values(design)):.4f} ({statistics.mean(gains):+.4f} ± {error:.4f})")
    sign = "more" if METRICS[task].get(metric, -1) > 0 else "less"
    return f"| {task} | {metric}, {sign} is better | {' | '.join(cells)} |"


def main() -> None:
    options = Options()
    make_dataset(options.root, options.num, PEOPLE)
    file = options.output / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for seed in options.seeds:
        for task in options.tasks:
            for design in options.designs:
                name = f"{task} {design} {seed} {options.steps}"
                if name not in results:
                    results[name] = measure(task, design, seed, options)
                    write_file(options.output, file.name, json.dumps(results, indent=1).encode())
                print(name, results[name], flush=True)
    print(
        "\n| task | metric | " + " | ".join(options.designs) + " |\n|" + "---|" * (2 + len(options.designs))
    )
    for task in options.tasks:
        runs = [
            results[f"{task} {one} {seed} {options.steps}"]
            for one in options.designs
            for seed in options.seeds
        ]
        for metric in (name for name in runs[0] if all(name in found for found in runs)):
            print(row(task, metric, results, options))


if __name__ == "__main__":
    main()
