"""The same work by one process, by two shards of a job array at once, and by Ray: byte for byte the same files?

    python benchmarks/engines.py [--num 200] [--folder DIR]
    python benchmarks/engines.py --list 200000       what a list of so many files takes

Synthetic people of 128 x 96 pixels are generated, a tiny network of keypoints predicts on them, and they are scored for
curation; each way begins with nothing. Every process has one thread.
"""

import json
import os
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

SIZE = ("128", "96")
WORKERS = 2
ENVIRONMENT = dict(os.environ) | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
Steps = dict[str, list[str]]


def steps_of(folder: Path, model: Path, num: int) -> Steps:
    """The commands, but for what runs them: each goes on from the files of the one before."""
    images, found = str(folder / "people" / "images"), str(folder / "predictions")
    formats = [
        "--formats",
        "json",
        "overlay",
        "coco",
        "--detector",
        "none",
        "--device",
        "cpu",
        "--batch_size",
        "4",
    ]
    return {
        "synth": ["synth", str(folder / "people"), "--num", str(num), "--size", *SIZE],
        "predict": ["predict", "--model", str(model), "--images", images, "--output", found, *formats],
        "curate score": ["curate", "score", images, "--output", str(folder / "scores"), "--shard_size", "25"],
    }


def together(commands: list[list[str]]) -> None:
    """Run commands at once, each in a process."""
    line = [sys.executable, "-m", "sapiens2_lit"]
    running = [
        subprocess.Popen(
            [*line, *command], env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for command in commands
    ]
    for process in running:
        _, error = process.communicate()
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, process.args))}\n{error.decode()}")  # type: ignore[arg-type]


def one_process(name: str, command: list[str]) -> None:
    together([[*command, *(["--workers", "1"] if name != "predict" else [])]])


def two_shards(name: str, command: list[str]) -> None:
    own = ["--workers", "1"] if name != "predict" else []
    together([[*command, *own, "--shard", f"{index}/{WORKERS}"] for index in range(1, WORKERS + 1)])


def ray(name: str, command: list[str]) -> None:
    together([[*command, "--engine", "ray", "--concurrency", str(WORKERS)]])


WAYS: dict[str, Callable[[str, list[str]], None]] = {
    "one process": one_process,
    "two shards at once": two_shards,
    "Ray, two workers": ray,
}


def write_model(path: Path) -> None:
    """A task model with fresh weights, as a file that `predict` reads."""
    import torch

    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.checkpoints import released_state, write_weights
    from sapiens2_lit.heads import PoseHead
    from sapiens2_lit.inference.from_released import METADATA
    from sapiens2_lit.inference.model import InferenceModel

    torch.manual_seed(0)
    network = InferenceModel(Sapiens2("test", (64, 48)), {"pose": PoseHead(32, "coco17")})
    parts = (
        ("backbones.Sapiens2", {"size": "test", "image_size": [64, 48]}),
        ("heads.PoseHead", {"skeleton": "coco17"}),
    )
    backbone, head = ({"class_path": f"sapiens2_lit.{name}", "init_args": args} for name, args in parts)
    config = json.dumps({"model": {"backbone": backbone, "heads": {"pose": head}}})
    write_weights(released_state(network.state_dict(), "pose"), path, metadata={METADATA: config})


def tree(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones, too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=200, help="people (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where files are written and kept (a temporary folder)")
    parser.add_argument("--list", type=int, metavar="N", help="measure a list of so many empty files instead")
    parser.add_argument("--steps", nargs="+", help="some of synth, predict, 'curate score', synth first")
    options = parser.parse_args()
    if options.list is not None:
        return measure_list(options.list)
    with TemporaryDirectory() if options.folder is None else nullcontext(options.folder) as place:
        return compare(Path(place), options.num, options.steps)


def measure_list(num: int) -> int:
    """Print time and memory of the list of pictures that every shard, and every worker of Ray, makes of the pool."""
    from sapiens2_lit.curation.score import list_pictures
    from sapiens2_lit.inference.shard import Shard
    from sapiens2_lit.inference.sharded_run import ShardedRun
    from sapiens2_lit.inference.sources import open_source

    def read_parts(place: Path) -> list[object]:
        source = open_source(place)
        return [source, ShardedRun(place, Shard(1, 2), source, {})]

    with TemporaryDirectory() as place:
        for index in range(num):
            file = Path(place, f"{index // 1000:05}", f"picture_{index:08}.jpg")
            if index % 1000 == 0:
                file.parent.mkdir()
            file.touch()
        print("| list of | CPU s | MB | bytes a picture |\n|---|---|---|---|")
        for name, read in (("curate score", list_pictures), ("predict", read_parts)):
            start, before = time.process_time(), resident()
            kept = read(Path(place))
            spent, taken = time.process_time() - start, resident() - before
            print(f"| {name} | {spent:.1f} | {taken / 2**20:.0f} | {taken / num:.0f} |")
            del kept
    return 0


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def compare(root: Path, num: int, steps: list[str] | None) -> int:
    """Print a row for each step and way; returns the exit status."""
    write_model(root / "pose.safetensors")
    print(f"{num} people of {' x '.join(SIZE)} pixels, {os.cpu_count()} cores")
    print("| step | way | s | files | those of one process |\n|---|---|---|---|---|")
    wrong = 0
    for name in steps or steps_of(root, root, num):
        expected: dict[str, bytes] = {}
        for way, run in WAYS.items():
            folder = root / "work"  # the same for each way: scores have it in them
            command = steps_of(folder, root / "pose.safetensors", num)[name]
            result = folder / {"synth": "people", "predict": "predictions", "curate score": "scores"}[name]
            if result.exists():
                result.rename(root / f"{name}, {way}, before")
            start = time.perf_counter()
            run(name, command)
            spent = time.perf_counter() - start
            found = tree(result)
            expected = expected or found
            wrong += found != expected
            same = "equal" if found == expected else "DIFFERENT"
            print(f"| {name} | {way} | {spent:.1f} | {len(found)} | {same} |", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
