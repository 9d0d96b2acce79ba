"""What is verified, and on what."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Setting:
    """What a user has asked for.

    Attributes:
        device: where the networks run.
        scratch: an empty folder for what is written on the way.
        weights: files and folders of the user's; where there are none the released ones are taken.
        sizes: of released weights and of trainings; empty for all that fit.
        tasks: names as in released files; empty for all.
        quick: fewer and shorter checks, and no large downloads.
        download: fetch released weights that are not in the local cache.
    """

    device: torch.device
    scratch: Path
    weights: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    quick: bool = False
    download: bool = True

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"

    def wants_size(self, size: str) -> bool:
        return not self.sizes or size in self.sizes

    def wants_task(self, task: str) -> bool:
        return not self.tasks or task in self.tasks

    def card_memory(self) -> float | None:
        """GiB of the card; None without CUDA."""
        if not self.gpu:
            return None
        return float(torch.cuda.get_device_properties(self.device).total_memory) / 2**30


def free_memory() -> int | None:
    """Bytes of this machine's memory that are available; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return int(found[0].split()[1]) * 1024 if found else None
