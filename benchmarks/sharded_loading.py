"""Peak host memory and time of each rank that loads weights: its slices alone, against reading the whole file.

    python benchmarks/sharded_loading.py --whole            # 0.4b, 8 ranks, generated weights
    python benchmarks/sharded_loading.py --size 5b          # writes 20 GB to --folder, and removes them

Ranks run one after the other, each in a process of its own that stands for one of `--world`: loading sends nothing.
Memory is what the kernel counts as the process's peak, above what it held before it built the model. `--whole`
measures the other way, too: to read the file's bytes, make tensors of them, and keep a part.
"""

import argparse
import multiprocessing
import tempfile
import time
from functools import cache
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import load_state
from sapiens2_lit.checkpoints.write_streaming import write_stream
from sapiens2_lit.models.build import shard_backbone
from sapiens2_lit.parallel.dtensor import local_values
from sapiens2_lit.parallel.seeded_init import init_sharded
from sapiens2_lit.parallel.sharding import Sharding

MB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="0.4b")
    parser.add_argument("--world", type=int, default=8)
    parser.add_argument("--ranks", type=int, help="measure this many of them; all by default")
    parser.add_argument(
        "--folder", type=Path, help="for the generated file; the system's temporary one by default"
    )
    parser.add_argument("--whole", action="store_true", help="measure reading the whole file, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        file = generate(options.size, Path(folder) / "model.safetensors")
        largest = largest_tensor(options.size)
        print(f"{options.size}, {file.stat().st_size / MB:.0f} MiB, largest tensor {largest / MB:.0f} MiB")
        print(
            f"{'rank':>4} {'way':>10} {'shard':>8} {'peak':>8} {'time':>8} {'peak / (shard + largest)':>26}"
        )
        for rank in range(options.ranks or options.world):
            for way in ("slices", "whole")[: 1 + options.whole]:
                shard, peak, seconds = in_process(options.size, file, options.world, rank, way == "whole")
                print(
                    f"{rank:4} {way:>10} {shard / MB:7.0f}M {peak / MB:7.0f}M {seconds:7.1f}s "
                    f"{peak / (shard + largest):26.2f}",
                    flush=True,
                )


def generate(size: str, file: Path) -> Path:
    """A file of random weights, tensor by tensor; those of one shape have the same values, which takes less time."""
    with torch.device("meta"):
        state = Sapiens2(size).state_dict()
    shapes = {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()}
    values = cache(lambda shape: torch.randn(shape) * 0.02)
    return write_stream(file, shapes, lambda name: values(shapes[name][0]))


def largest_tensor(size: str) -> int:
    with torch.device("meta"):
        return max(tensor.numel() * tensor.element_size() for tensor in Sapiens2(size).state_dict().values())


def in_process(size: str, file: Path, world: int, rank: int, whole: bool) -> tuple[int, int, float]:
    """Bytes of the shard, peak bytes above the start, seconds."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measure, args=(queue, size, file, world, rank, whole))
    process.start()
    found: tuple[int, int, float] = queue.get()
    process.join()
    return found


def measure(
    queue: "multiprocessing.Queue", size: str, file: Path, world: int, rank: int, whole: bool
) -> None:  # type: ignore[type-arg]  # the queue is of multiprocessing, whose type takes none at run time
    torch.set_num_threads(1)
    dist.init_process_group("fake", rank=rank, world_size=world, store=FakeStore())
    sharding = Sharding(init_device_mesh("cpu", (world,)))
    build(
        Sharding(init_device_mesh("cpu", (world,))), "test"
    )  # so that what is imported on the way is counted before
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    start, before = time.perf_counter(), status("VmRSS")
    backbone = build(sharding, size)
    if whole:
        load_state(backbone, load(file.read_bytes()), source=str(file))
    else:
        backbone.weights = str(file)
        backbone.load_weights()
    seconds = time.perf_counter() - start
    shard = sum(local_values(tensor).nbytes for tensor in backbone.state_dict().values())
    queue.put((shard, status("VmHWM") - before, seconds))
    dist.destroy_process_group()


def build(sharding: Sharding, size: str) -> Sapiens2:
    with torch.device("meta"):
        backbone = Sapiens2(size)
    shard_backbone(sharding, backbone)
    sharding.materialize(backbone)
    init_sharded(backbone.init_weights, draw=False)
    return backbone


def status(name: str) -> int:
    """Bytes, of a line in /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
