"""What a small network learns from a large one, on synthetic people and a CPU; RESULTS.md has the numbers.

    python benchmarks/distillation.py segmentation   # three seeds
    python benchmarks/distillation.py pose           # one
    python benchmarks/distillation.py normal         # one
    python benchmarks/distillation.py all

A `nano` teacher of 2,000 steps on 4,000 labelled pictures; a `pico` student of 500 steps: on 64 labels alone; on the
pictures with the teacher's labels written once (`predict --as_dataset`) beside the 64; on the pictures with the teacher
in the loop; and with its features besides. Scores are of 200 other people. Each part goes on where it was stopped: what
its folder holds is not done again, and times are those of when it was done. `--quick` is a rehearsal of a minute.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.cli.main import main

SIZE = (96, 64)  # of the student's input; the teacher sees half as much again, and pictures have its size
TEACHER_SIZE = (144, 96)
SEEDS = {"segmentation": 3, "pose": 1, "normal": 1}
SCORES = {"segmentation": "seg/foreground_mIoU", "pose": "pose/PCK@0.1", "normal": "normal/mean_angle"}
CONFIGS = {"segmentation": "segmentation_29.yaml", "pose": "pose_17.yaml", "normal": "normal.yaml"}
MODULES = {"segmentation": "SegmentationDataModule", "pose": "PoseDataModule", "normal": "NormalDataModule"}
# 29 classes are hardly learned at this size: head, upper and lower body
OPTIONS = {"segmentation": ("--model.heads.seg.classes", "body3"), "pose": (), "normal": ()}
UNSURE = ("--model.heads.pose.init_args.draw_threshold", "-1.0")  # a teacher of two steps is sure of nothing
TRAINER = [
    *("--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false", "--pictures.num_samples", "0"),
]


@dataclass(frozen=True)
class Sizes:
    """How much is done: pictures, labels, steps, and which networks."""

    pool: int = 4000
    labelled: int = 64
    tested: int = 200
    teacher_steps: int = 2000
    steps: int = 500
    teacher: str = "nano"
    student: str = "pico"
    batch: int = 16
    workers: int = 2


QUICK = Sizes(
    pool=24,
    labelled=6,
    tested=6,
    teacher_steps=2,
    steps=2,
    teacher="smoke",
    student="smoke",
    batch=4,
    workers=0,
)


def command(*args: object) -> None:
    """Run a command of sapiens2-lit in this process."""
    assert main([str(arg) for arg in args]) == 0, args


def once(place: Path, work: Callable[[], None]) -> float:
    """Seconds of some work that leaves `place`/done.json, as they were when it was done."""
    done = place / "done.json"
    if not done.exists():
        began = time.perf_counter()
        work()
        place.mkdir(parents=True, exist_ok=True)
        done.write_text(json.dumps(time.perf_counter() - began))
    seconds: float = json.loads(done.read_text())
    return seconds


def people(folder: Path, name: str, count: int, seed: int) -> Path:
    """Labelled people, all of whom train and, once more, are tested on: each dataset has one use here."""
    root = folder / name
    tasks = ("--tasks", "pose", "segmentation", "normal")
    once(
        root, lambda: command("synth", root, "--num", count, "--size", *TEACHER_SIZE, "--seed", seed, *tasks)
    )
    stems = sorted(path.stem for path in (root / "images").iterdir())
    parts = [
        json.loads((root / "annotations" / f"{part}_17.json").read_text())
        for part in ("train", "val", "test")
    ]
    joined = {key: [one for part in parts for one in part[key]] for key in ("images", "annotations")}
    for part in ("train", "val", "test"):
        (root / "splits" / f"{part}.txt").write_text("\n".join(stems) + "\n")
        whole = {**joined, "categories": parts[0]["categories"]}
        (root / "annotations" / f"{part}.json").write_text(json.dumps(whole))
    return root


def fit(
    output: Path, task: str, network: str, steps: int, size: tuple[int, int], sizes: Sizes, *options: object
) -> float:
    """Train a run, or go on with it; returns its seconds."""

    def work() -> None:
        args = ["fit", "--config", CONFIGS[task], "--config", f"size/{network}.yaml", *TRAINER]
        args += [
            "--output",
            output,
            "--ckpt_path",
            "auto",
            "--trainer.max_steps",
            steps,
            "--trainer.limit_val_batches",
            0,
        ]
        args += ["--data.image_size", f"[{size[0]}, {size[1]}]", "--data.num_workers", sizes.workers]
        command(*args, *OPTIONS[task], *options)

    return once(output, work)


def newest(run: Path) -> Path:
    """Return the last checkpoint of the newest version that has one."""
    versions = run.glob("version_*/checkpoints/last.ckpt")
    return max(versions, key=lambda path: int(path.parents[1].name.removeprefix("version_")))


def measure(run: Path, task: str, root: Path, size: tuple[int, int], sizes: Sizes) -> float:
    """The score of a run on pictures that nothing has learned from."""
    place = run / "measured"
    if not any(place.rglob("metrics.json")):
        last = newest(run)
        own = yaml.safe_load((last.parents[1] / "config.yaml").read_text())
        init = {"root": str(root), "image_size": list(size), "num_workers": 0, "batch_size": sizes.batch}
        data = {
            "class_path": f"sapiens2_lit.datamodules.{MODULES[task]}",
            "init_args": init | settings_of(task),
        }
        settings = run / "test.yaml"
        settings.write_text(
            yaml.safe_dump({"model": {key: own["model"][key] for key in ("backbone", "heads")}, "data": data})
        )
        command("test", "--config", settings, "--ckpt_path", last, *TRAINER[:6], "--output", place)
    return written(place, task)


def settings_of(task: str) -> dict[str, Any]:
    """What a task's datamodule is told in every run."""
    return {"segmentation": {"view": "stretch"}, "pose": {"skeleton": "coco17"}}.get(task, {})


def written(place: Path, task: str) -> float:
    """The score that `test` has written somewhere below a folder."""
    (found,) = place.rglob("metrics.json")
    return float(json.loads(found.read_text())["metrics"][SCORES[task]])


def labelled_data(task: str, root: Path, nested: bool = False) -> dict[str, Any]:
    """A dataset with labels, all of which train; the view of several is set once for all."""
    own = {} if nested and task == "segmentation" else settings_of(task)
    init = {"root": str(root), "val": None, "test": None, **own}
    return {"class_path": f"sapiens2_lit.datamodules.{MODULES[task]}", "init_args": init}


def mixture(path: Path, task: str, labelled: Path, other: dict[str, Any]) -> Path:
    """A configuration of true labels and another dataset, a batch of each in every step."""
    init = {
        "schedule": "all",
        "datasets": {"true": labelled_data(task, labelled, nested=True), "pool": other},
    }
    view = settings_of(task) if task == "segmentation" else {}
    data = {"class_path": "sapiens2_lit.datamodules.MultitaskDataModule", "init_args": init | view}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"data": data}))
    return path


def pseudo_labels(folder: Path, teacher: Path, pool: Path, task: str) -> tuple[Path, float]:
    """The pool with the teacher's labels, and the seconds that they took."""
    root = folder / "pseudo-labels"
    boxes = ("--boxes", pool / "annotations" / "train.json") if task == "pose" else ()

    def work() -> None:
        place = folder / "pseudo-labels"
        command(
            "predict",
            "--model",
            teacher,
            "--images",
            pool / "images",
            "--as_dataset",
            place,
            "--no_flip",
            *boxes,
        )
        root.mkdir(parents=True, exist_ok=True)
        (root / "place").write_text(str(place))

    seconds = once(root, work)
    return Path((root / "place").read_text()), seconds


def part(folder: Path, task: str, quick: bool) -> None:
    """All four students of one task, and a table."""
    sizes = QUICK if quick else Sizes()
    pool = people(folder.parent, "pool", sizes.pool, 0)
    labelled = people(folder.parent, "labelled", sizes.labelled, 1)
    tested = people(folder.parent, "tested", sizes.tested, 2)
    teacher = folder / "teacher"
    taught = fit(
        teacher, task, sizes.teacher, sizes.teacher_steps, TEACHER_SIZE, sizes,
        "--data.root", pool, "--data.val", "null", "--data.batch_size", sizes.batch,
        *(UNSURE if quick and task == "pose" else ()),
    )  # fmt: skip
    checkpoint = newest(teacher)
    labels, label_seconds = pseudo_labels(folder, checkpoint, pool, task)
    pseudo = mixture(folder / "pseudo.yaml", task, labelled, labelled_data(task, labels, nested=True))
    unlabeled = {"root": str(pool / "images"), "views": {"global_scale": [0.7, 1.0]}}
    if task == "pose":
        unlabeled["boxes"] = str(pool / "annotations" / "train.json")
    soft = mixture(
        folder / "soft.yaml", task, labelled,
        {"class_path": "sapiens2_lit.datamodules.UnlabeledDataModule", "init_args": unlabeled},
    )  # fmt: skip
    half = ("--data.batch_size", max(1, sizes.batch // 2))  # of each of two datasets
    in_loop = ("--config", soft, *half, "--model.teacher.weights", checkpoint)
    rows: dict[str, tuple[object, ...]] = {
        "64 labels alone": ("--data.root", labelled, "--data.val", "null", "--data.batch_size", sizes.batch),
        "+ pseudo-labels": ("--config", pseudo, *half),
        "+ soft labels": in_loop,
        "+ soft labels and features": (*in_loop, "--model.teacher.features", 1.0),
    }
    height, width = TEACHER_SIZE
    score = measure(teacher, task, tested, TEACHER_SIZE, sizes)
    print(f"\n| {task} | {SCORES[task]} | seconds |\n|-|-|-|")
    print(f"| teacher, at {height} x {width} | {score:.4f} | {taught:.0f} |", flush=True)
    for label, options in rows.items():
        scores, seconds = [], []
        for seed in range(1 if quick else SEEDS[task]):
            run = folder / f"{label.replace(' ', '-').replace('+', 'with')}-{seed}"
            own = ("--seed_everything", seed, *options)
            seconds.append(fit(run, task, sizes.student, sizes.steps, SIZE, sizes, *own))
            scores.append(measure(run, task, tested, SIZE, sizes))
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        extra = f" and {label_seconds:.0f} once for the labels" if "pseudo" in label else ""
        print(
            f"| {label} | {statistics.mean(scores):.4f}{spread} | {statistics.mean(seconds):.0f}{extra} |",
            flush=True,
        )


def run() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=[*SEEDS, "all"])
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmark_distillation"))
    parser.add_argument("--quick", action="store_true", help="a rehearsal, whose numbers mean nothing")
    options = parser.parse_args()
    for name in SEEDS if options.part == "all" else [options.part]:
        folder = (options.folder / ("quick" if options.quick else "full") / name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"\n## {name}", flush=True)
        part(folder, name, options.quick)


if __name__ == "__main__":
    run()
