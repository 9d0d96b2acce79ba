"""CPU time of a training sample by datamodule, at a commit before and now, and of the same work by other libraries.

    python benchmarks/loading.py --before REV [--size 1024 768] [--num 20] [--rounds 3] [--data DIR]

Both read the same pictures, of `synth`, one process each in turn, on one thread as a worker process does; what is
printed is the mean over samples of the process's CPU time, each of the round in which it was least. The other
rows read a picture and bring it to 1024 x 768: transformers' image processor of Sapiens2 without variation, and
albumentations with a random affine, colors, blur and noise, of image and normals.
"""

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

REPOSITORY = Path(__file__).parents[1]
MAPPED = ("heads", "datamodules", "configs")  # folders that belong to the package
EPOCHS = 3
TASKS = ("pose", "segmentation", "normal", "depth", "pointmap", "albedo", "matting")
OTHERS = ("transformers", "albumentations")
SIZE = (1024, 768)


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """A folder that holds the package as it was at a commit, to be put first on Python's path."""
    with TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", str(tree), revision], check=True, capture_output=True)
        try:
            for name in MAPPED:
                (tree / "sapiens2_lit" / name).symlink_to(tree / name)
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True, capture_output=True)


def measure(root: Path, tasks: list[str], tree: Path | None) -> dict[str, list[float]]:
    """CPU milliseconds of each sample by task, measured in a process of its own."""
    code = [sys.executable, __file__, "--measure", *tasks, "--data", str(root)]
    env = dict(os.environ) if tree is None else {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(code, check=True, capture_output=True, text=True, env=env)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def time_samples(make: Callable[[int, int], Any], number: int) -> list[float]:
    """CPU milliseconds of `make` of each epoch and index, after a first one that does not count."""
    make(0, 0)
    taken = []
    for epoch in range(1, EPOCHS + 1):
        for index in range(number):
            start = time.process_time()
            make(epoch, index)
            taken.append(1000 * (time.process_time() - start))
    return taken


def open_dataset(root: Path | str, task: str, **settings: Any) -> Any:
    """The training samples of a task; they are not checked first."""
    import sapiens2_lit.datamodules as modules

    kinds = {"matting": modules.MattingDataModule, "pointmap": modules.PointmapDataModule}
    kind = kinds.get(task) or getattr(modules, f"{task.capitalize()}DataModule")
    if task == "pointmap":
        settings["cameras"] = "cameras"
    data = kind(str(root), val=None, num_workers=0, seed=0, **settings)
    data.checks_on_setup = False
    data.setup("fit")
    return data.datasets["train"]


def time_datamodule(root: Path, task: str) -> list[float]:
    dataset = open_dataset(root, task)
    return time_samples(lambda epoch, index: dataset[(epoch, index)], len(dataset))


def time_transformers(root: Path) -> list[float]:
    from PIL import Image
    from transformers import Sapiens2ImageProcessor

    processor = Sapiens2ImageProcessor(size={"height": SIZE[0], "width": SIZE[1]})
    files = sorted((root / "images").iterdir())

    def make(epoch: int, index: int) -> Any:
        with Image.open(files[index]) as image:
            return processor(image.convert("RGB"), return_tensors="pt")

    return time_samples(make, len(files))


def time_albumentations(root: Path) -> list[float]:
    import albumentations as A
    import cv2

    steps = A.Compose(
        [
            A.Affine(scale=(0.5, 2.0), p=0.3),
            A.HorizontalFlip(p=0.3),
            A.Resize(*SIZE),
            A.ColorJitter(p=0.8),
            A.Blur(p=0.3),
            A.GaussNoise(p=0.3),
        ]
    )
    files = sorted((root / "images").iterdir())

    def make(epoch: int, index: int) -> Any:
        image = cv2.cvtColor(cv2.imread(str(files[index])), cv2.COLOR_BGR2RGB)
        normals = cv2.imread(str(root / "normals" / f"{files[index].stem}.png"), cv2.IMREAD_UNCHANGED)
        made = steps(image=image, mask=normals.astype("float32") * (2 / 65535) - 1)
        return made["image"].transpose(2, 0, 1).copy(), made["mask"].transpose(2, 0, 1).copy()

    return time_samples(make, len(files))


def run_measurements(root: Path, tasks: list[str]) -> dict[str, list[float]]:
    import cv2
    import torch

    from sapiens2_lit.data import loading

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    getattr(loading, "keep_freed_memory", lambda: None)()  # as worker processes begin
    others = {"transformers": time_transformers, "albumentations": time_albumentations}
    return {task: others[task](root) if task in others else time_datamodule(root, task) for task in tasks}


def least_mean(rounds: Iterable[list[float]]) -> float:
    """The mean over samples of what each took in the round in which it took least."""
    return mean(map(min, zip(*rounds, strict=True)))


def compare(root: Path, revision: str, rounds: int, tasks: list[str]) -> None:
    ours = [task for task in tasks if task not in OTHERS]
    before: list[dict[str, list[float]]] = []
    after: list[dict[str, list[float]]] = []
    with checkout(revision) as tree:
        for _ in range(rounds):
            before.append(measure(root, ours, tree))
            after.append(measure(root, tasks, None))
    print("| task | before, CPU ms | now, CPU ms | ratio |\n|---|---|---|---|")
    for task in tasks:
        now = least_mean(found[task] for found in after)
        if task in ours:
            then = least_mean(found[task] for found in before)
            print(f"| {task} | {then:.1f} | {now:.1f} | {then / now:.1f} |")
        else:
            print(f"| {task} | - | {now:.1f} | - |")


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="REV")
    parser.add_argument("--size", nargs=2, type=int, default=SIZE)
    parser.add_argument("--num", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=[*TASKS, *OTHERS])
    parser.add_argument("--measure", nargs="+")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(run_measurements(options.data, options.measure)))
        return
    if options.before is None:
        parser.error("--before: expected a commit to compare with")
    with TemporaryDirectory() as place:
        root = options.data or Path(place) / "data"
        if not root.exists():
            from sapiens2_lit.cli.main import main as sapiens2_lit

            height, width = map(str, options.size)
            sapiens2_lit(
                ["synth", str(root), "--num", str(options.num), "--size", height, width, "--workers", "2"]
            )
        compare(root, options.before, options.rounds, options.tasks)


if __name__ == "__main__":
    main()
