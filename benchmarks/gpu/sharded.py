"""FSDP2 with one rank against no sharding: the machinery's own cost in time and memory, and equal losses.

    python benchmarks/gpu/sharded.py                     # 5b, checkpointing, bf16-mixed; wants a card of 141 GB
    python benchmarks/gpu/sharded.py --adapt lora        # on a card of 80 GB
    python benchmarks/gpu/sharded.py --offload           # with states and weights in the host's memory

A rank of eight holds an eighth of weights, gradients and optimizer states, and as large buffers: `buffers` are what a
plan says of them.
"""

from functools import partial
from typing import Any

import torch.distributed as dist
from measuring import GB, HEADS, Training, head_row, launch_of, make_module, parser, prepare, row, train

from sapiens2_lit.memory.estimate import gathered_bytes
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Adapt


def main(args: list[str] | None = None) -> None:
    options = parser(__doc__, size=("5b",))
    options.add_argument("--head", choices=HEADS, default="pose")
    options.add_argument("--adapt", choices=("full", "lora", "frozen"), default="full")
    options.add_argument("--precision", default="bf16-mixed")
    options.add_argument("--offload", action="store_true", help="FSDP2 with cpu_offload")
    found = options.parse_args(args)
    prepare(found)
    head_row(
        "size",
        "strategy",
        "images/s",
        "ratio",
        "peak, GB",
        "ratio",
        "planned / measured",
        "buffers, GB",
        "last loss",
    )
    ways: list[dict[str, Any]] = [{}, {"strategy": "fsdp2", "offload": found.offload}]
    for size in found.size:
        first: Training | None = None
        for way in ways:
            launch = launch_of(found, found.precision, **way)
            image_size = (found.image_size[0], found.image_size[1])
            make = partial(make_module, found.head, size, image_size, True, adapt=Adapt(found.adapt))
            try:
                seen = train(make, launch, found.steps)
            finally:
                if dist.is_initialized():
                    dist.destroy_process_group()
            if seen is None:
                row(size, launch.strategy, "out of memory", *[""] * 6)
                continue
            first = first or seen
            row(
                size, launch.strategy, found.batch / seen.seconds, first.seconds / seen.seconds,
                seen.peak / GB, seen.peak / first.peak, seen.planned / seen.peak,
                gathered_bytes(empty_networks(make()), launch) / GB, f"{seen.trial.losses[-1]:.6g}",
            )  # fmt: skip


if __name__ == "__main__":
    main()
