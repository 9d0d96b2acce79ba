"""A table of the memory of training: every size, mode, precision and number of GPUs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import PoseHead
from sapiens2_lit.memory.estimate import GIB, MemoryEstimate, estimate, on_more
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import Networks, empty_networks
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.module import SapiensModule

SIZES = ("0.1b", "0.4b", "0.8b", "1b", "1b-4k", "5b")
GPUS = (1, 2, 4, 8)
MODES = {
    "frozen": Adapt("frozen"),
    "lora": Adapt("lora"),
    "last 4": Adapt("last_blocks", last=4),
    "full": Adapt("full"),
}
IMAGE, IMAGE_4K = (1024, 768), (4096, 3072)


def memory_table(sizes: Sequence[str] = SIZES, gpus: Sequence[int] = GPUS) -> Iterator[str]:
    """Yield lines of Markdown: GiB on each GPU with one image each, for 308 keypoints with activation checkpointing.

    One GPU holds everything; several share it by FSDP2.
    """
    yield "| size | mode | precision | " + " | ".join(f"{n} GPU{'s' * (n > 1)}" for n in gpus) + " |"
    yield "|---|---|---|" + "---|" * len(gpus)
    for size in sizes:
        for mode, adapt in MODES.items():
            networks = pose_networks(size, adapt)
            for precision in ("32-true", "bf16-mixed"):
                launch = TrainingSetup(1, IMAGE_4K if size.endswith("-4k") else IMAGE, precision)
                cells = [f"{found.total / GIB:.1f}" for found in on_gpus(networks, launch, gpus)]
                yield f"| {size} | {mode} | {precision} | " + " | ".join(cells) + " |"


def pose_networks(size: str, adapt: Adapt) -> Networks:
    """Return the released pose model of a size."""
    large = size.endswith("-4k")
    backbone = partial(
        Sapiens2,
        size.removesuffix("-4k"),
        IMAGE_4K if large else IMAGE,
        window_tokenizer=large,
        activation_checkpointing=True,
    )
    return empty_networks(SapiensModule(backbone, {"pose": PoseHead}, adapt=adapt))


def on_gpus(networks: Networks, launch: TrainingSetup, gpus: Sequence[int]) -> Iterator[MemoryEstimate]:
    """Yield an estimate for every number of GPUs.

    Sharded steps differ only in what is held, so only one of them is simulated.

    Args:
        networks: The networks.
        launch: How they are trained; strategy and devices are replaced.
        gpus: Numbers of GPUs.
    """
    played: MemoryEstimate | None = None
    for devices in gpus:
        if devices == 1:
            yield estimate(networks, launch)
            continue
        if played is None:
            played = estimate(networks, replace(launch, strategy="fsdp2", devices=devices))
        yield on_more(networks, played, devices)
