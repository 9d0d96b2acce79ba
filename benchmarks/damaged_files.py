"""Flipped bytes in files of weights: how many are found, whether any changes what is read, and what looking costs.

    python benchmarks/damaged_files.py [--flips 300] [--size 512]

One byte at a random place is inverted and the file is read. `found` ended with an error that names the file; `without
effect` fell on bytes that mean nothing, such as padding, and every tensor was as written; `wrong` may never happen.
"""

import random
import shutil
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from sapiens2_lit.archives import verify
from sapiens2_lit.archives.verify import verify_file
from sapiens2_lit.archives.write_archive import write_archive
from sapiens2_lit.checkpoints import read_weights, write_weights
from sapiens2_lit.checkpoints.format import META
from sapiens2_lit.checkpoints.write_streaming import write_stream
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.parallel import parts
from sapiens2_lit.parallel.checkpoint import save_sharded

Tensors = dict[str, Tensor]


def checkpoint(tensors: Tensors, place: Path) -> Path:
    write_archive({"state_dict": tensors, META: {"config": {}}}, place.with_suffix(".ckpt"))
    return place.with_suffix(".ckpt")


def folder(tensors: Tensors, place: Path) -> Path:
    place.mkdir()
    save_sharded({"state_dict": dict(tensors), META: {"config": {}}}, place, rank=0)
    return place


def streamed(tensors: Tensors, place: Path) -> Path:
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    return write_stream(place.with_suffix(".safetensors"), shapes, tensors.__getitem__)


KINDS: dict[str, Callable[[Tensors, Path], Path]] = {
    "checkpoint": checkpoint,
    "sharded checkpoint": folder,
    "safetensors": lambda tensors, place: write_weights(tensors, place.with_suffix(".safetensors")),
    "safetensors of consolidate": streamed,
}


def flips(file: Path, tensors: Tensors, number: int, dice: random.Random) -> dict[str, int]:
    """Invert single bytes of a file, or of the files of a folder, by their sizes, and read it each time."""
    count = {"found": 0, "without effect": 0, "wrong": 0}
    files = sorted(file.iterdir()) if file.is_dir() else [file]
    sizes = [one.stat().st_size for one in files]
    for at in range(number):
        one = files[at % len(files)] if at % 4 == 0 else dice.choices(files, sizes)[0]
        before = one.read_bytes()
        after = bytearray(before)
        after[dice.randrange(len(after))] ^= 1 << dice.randrange(8)
        one.write_bytes(after)
        verify._verified.clear()
        parts._verified.clear()
        try:
            read = read_weights(file).tensors
            same = read.keys() == tensors.keys() and all(torch.equal(read[n], tensors[n]) for n in read)
            count["without effect" if same else "wrong"] += 1
        except WeightsError as error:
            assert str(file) in str(error), error
            count["found"] += 1
        one.write_bytes(before)
    return count


def main() -> int:
    """Print the tables; returns 1 where a flip changed what was read."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=300, help="of each kind of file")
    parser.add_argument("--size", type=int, default=512, metavar="MB", help="of the files that are timed")
    given = parser.parse_args()
    dice, wrong = random.Random(0), 0
    torch.manual_seed(0)
    small = {f"backbone.{index}": torch.randn(37, index + 1) for index in range(40)}
    large = {f"backbone.{index}": torch.randn(given.size * 2**20 // 64, 4) for index in range(4)}
    print("| file | flips | found | without effect | wrong |\n|---|---|---|---|---|")
    with TemporaryDirectory() as place:
        for kind, write in KINDS.items():
            file = write(small, Path(place, "small"))
            count = flips(file, small, given.flips, dice)
            print(f"| {kind} | {given.flips} | {' | '.join(map(str, count.values()))} |", flush=True)
            wrong += count["wrong"]
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        print("\n| file | seconds a GB, CPU |\n|---|---|")
        for kind, write in KINDS.items():
            file = write(large, Path(place, "large"))
            verify._verified.clear()
            begin = time.process_time()
            if file.is_dir():
                parts.verify_parts(file)
            else:
                verify_file(file)
            spent = time.process_time() - begin
            gigabytes = sum(tensor.nbytes for tensor in large.values()) / 1e9
            print(f"| {kind} | {spent / gigabytes:.2f} |", flush=True)
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
