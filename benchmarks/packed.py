"""CPU time of a training sample from packed shards, against the folder that was packed; and the sizes of both.

    python benchmarks/packed.py [--num 24] [--size 1024 768] [--tasks pose segmentation normal] [--server] [--data DIR]

The folder is of `synth`, with its labels written as common tools write them (`--labels common`: png with filters by
OpenCV, npz of `numpy.savez`) or as `synth` does. One process on one thread, as a worker process, reads sample after
sample in all ways in turn, so that other work on the machine slows all of them alike; what is printed is the mean over
samples of the process's CPU time, each of the round in which it was least. `server` reads shards over HTTP from another
process on this machine: the first time each block is fetched and stored in the cache; then it is read from there.
"""

import multiprocessing
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
from loading import open_dataset

from sapiens2_lit.cli.main import main as sapiens2_lit
from sapiens2_lit.data.loading import keep_freed_memory
from sapiens2_lit.data.shards.pack import Packed, pack
from sapiens2_lit.data.shards.settings import ShardReading, parse_bytes

TASKS = ("pose", "segmentation", "normal")
ENCODE = ("keep", "fast")
EPOCHS = 2  # which vary samples differently
MB = 1e6


class Ranges(SimpleHTTPRequestHandler):
    """A folder's files over HTTP, whole or a range of their bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        asked, size = self.headers.get("Range"), path.stat().st_size
        first, last = 0, size - 1
        if asked is not None:
            first, last = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        last = min(last, size - 1)
        with path.open("rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        self.send_response(200 if asked is None else 206)
        if asked is not None:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def serve(folder: Path, port: Connection) -> None:
    """Serve a folder until the process is ended; its port is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(folder)))
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served by a process of its own."""
    own, other = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, other), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{own.recv()}"
    finally:
        process.terminate()
        process.join()


def write_as_common_tools(root: Path) -> None:
    """Write all labels again: png by OpenCV with its defaults, npz without compression."""
    for path in root.rglob("*"):
        if path.parent.name == "images" or path.parent == root:
            continue
        if path.suffix == ".png":
            cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
        elif path.suffix == ".npz":
            with np.load(path) as found:
                values = dict(found)
            np.savez(path, **values)


def time_sample(dataset: Any, epoch: int, index: int) -> float:
    """CPU milliseconds."""
    start = time.process_time()
    dataset[(epoch, index)]
    return 1000 * (time.process_time() - start)


def compare_ways(
    roots: dict[str, Path | str], task: str, rounds: int, cache: Path
) -> tuple[dict[str, float], float | None]:
    """CPU milliseconds of a sample for each way, and of the first time from the server, if that is a way."""
    shutil.rmtree(cache, ignore_errors=True)  # what the task before has fetched
    reading = ShardReading(cache=str(cache))
    ways = {way: open_dataset(root, task, shards=reading) for way, root in roots.items()}
    keys = [(epoch, index) for epoch in range(EPOCHS) for index in range(len(ways["folder"]))]
    ways["folder"][keys[0]]  # what is done once
    taken: dict[str, list[list[float]]] = {way: [] for way in ways}
    for turn in range(rounds + ("server" in ways)):
        for found in taken.values():
            found.append([])
        for key in keys:
            names = list(ways)
            first = (turn + sum(key)) % len(names)
            for way in names[first:] + names[:first]:
                taken[way][-1].append(time_sample(ways[way], *key))
    fetched = mean(taken["server"].pop(0)[: len(keys) // EPOCHS]) if "server" in taken else None
    return {way: mean(map(min, zip(*found[-rounds:], strict=True))) for way, found in taken.items()}, fetched


def print_sizes(done: dict[str, Packed], out: dict[str, Path]) -> None:
    print("| files | number | folder, MB | " + " | ".join(f"{name}, MB" for name in done) + " |")
    print("|---|---|---|" + "---|" * len(done))
    for kind, sizes in done["keep"].sizes.items():
        after = " | ".join(f"{packed.sizes[kind].after / MB:.2f}" for packed in done.values())
        print(f"| {kind} | {sizes.files} | {sizes.before / MB:.2f} | {after} |")
    before = sum(sizes.before for sizes in done["keep"].sizes.values())
    shards = [[path.stat().st_size for path in out[name].glob("*.tar")] for name in done]
    after = " | ".join(f"{sum(found) / MB:.2f} in {len(found)}" for found in shards)
    print(
        f"| all, shards | {sum(s.files for s in done['keep'].sizes.values())} | {before / MB:.2f} | {after} |\n"
    )


def measure(
    root: Path, place: Path, tasks: Sequence[str], rounds: int, shard_size: int, server: bool
) -> None:
    out = {encode: place / encode for encode in ENCODE}
    done = {encode: pack(root, out[encode], shard_size, encode, 1, lambda _: None) for encode in ENCODE}
    print_sizes(done, out)
    names = ["folder", *ENCODE, *(["server"] if server else [])]
    print(
        f"| task | {' | '.join(f'{name}, CPU ms' for name in names)} | {'first time | ' if server else ''}",
        end="",
    )
    print(" | ".join(f"folder / {name}" for name in names[1:]) + " |")
    print("|---|" + "---|" * (2 * len(names) - 1 + server))
    with served(out["fast"]) as address:
        roots: dict[str, Path | str] = {"folder": root, **out}
        if server:
            roots["server"] = address
        for task in tasks:
            least, first = compare_ways(roots, task, rounds, place / "cache")
            cells = [f"{least[name]:.1f}" for name in names] + ([] if first is None else [f"{first:.1f}"])
            cells += [f"{least['folder'] / least[name]:.2f}" for name in names[1:]]
            print(f"| {task} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=24)
    parser.add_argument("--size", nargs=2, type=int, default=(1024, 768), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--labels", choices=("common", "synth"), default="common")
    parser.add_argument("--shard_size", default="16MB")
    parser.add_argument("--server", action="store_true", help="also over HTTP")
    parser.add_argument("--data", type=Path, help="a folder of `synth`, which stays as it is")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    keep_freed_memory()  # as worker processes begin
    with TemporaryDirectory() as place:
        root = Path(place) / "folder"
        if options.data is None:
            size = list(map(str, options.size))
            sapiens2_lit(["synth", str(root), "--num", str(options.num), "--size", *size, "--workers", "2"])
        else:
            shutil.copytree(options.data, root)
        if options.labels == "common":
            write_as_common_tools(root)
        shard_size = parse_bytes(options.shard_size, "--shard_size")
        measure(root, Path(place), options.tasks, options.rounds, shard_size, options.server)


if __name__ == "__main__":
    main()
