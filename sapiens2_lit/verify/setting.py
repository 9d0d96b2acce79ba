"""Settings of `verify`."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Setting:
    """The user's choices.

    Attributes:
        device: Where the networks run.
        scratch: An empty folder for temporary files.
        weights: The user's files and folders; if empty, released weights are used.
        sizes: Of released weights and of trainings; empty for all that fit.
        tasks: Names as in released files; empty for all.
        quick: Whether to run fewer and shorter checks, without large downloads.
        download: Whether to download released weights that are not in the local cache.
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
        """Whether the networks run on a CUDA card."""
        return self.device.type == "cuda"

    def wants_size(self, size: str) -> bool:
        """Return whether a size is chosen."""
        return not self.sizes or size in self.sizes

    def wants_task(self, task: str) -> bool:
        """Return whether a task is chosen."""
        return not self.tasks or task in self.tasks

    def card_memory(self) -> float | None:
        """Return the memory of the card in GiB; None without CUDA."""
        if not self.gpu:
            return None
        return float(torch.cuda.get_device_properties(self.device).total_memory) / 2**30


def free_memory() -> int | None:
    """Return the available bytes of this machine's memory; None if the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith("MemAvailable:")]
    return int(found[0].split()[1]) * 1024 if found else None
