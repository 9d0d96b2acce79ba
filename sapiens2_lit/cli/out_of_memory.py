"""What to say when memory runs out: what of this run's settings takes it, and what to change."""

import errno
import re
from typing import Any

import torch

from sapiens2_lit.errors import DataError, SapiensError, SettingError
from sapiens2_lit.memory.advice import MemoryQuery, advice_by_settings, explain_shortage
from sapiens2_lit.memory.launch import launch_of

REFUSALS = (
    "DefaultCPUAllocator",
    "Cannot allocate memory",
    "can't allocate memory",
    "unable to mmap",
    "std::bad_alloc",
    "can't start new thread",
)
DEAD_WORKER = re.compile(r"DataLoader worker \(pid.*?(exited unexpectedly[^.]*|is killed by signal: [^.]*)")


class OutOfMemory(SapiensError):
    """A device or the host ran out of memory; the message says what to change."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of a GPU or of the host, or the system refused to give it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return refused or (
        isinstance(error, RuntimeError | OSError) and any(map(str(error).__contains__, REFUSALS))
    )


def explain(error: BaseException) -> SapiensError | None:
    """Return what happened, in a line, where a library says it in many; None where it is nothing of the kind."""
    text = " ".join(str(error).split())
    if isinstance(error, RuntimeError) and (found := DEAD_WORKER.search(text)):
        return DataError(
            f"a worker of the data loader died ({found[0]}). Where memory ran out: fewer --data.num_workers, or a "
            "smaller --data.batch_size; with --data.num_workers 0 the run itself shows what happens"
        )
    if isinstance(error, ValueError) and text.startswith("`val_check_interval`"):
        return SettingError(f"trainer.{text.replace('`', '')}")
    return None


def advice(settings: Any, error: BaseException, trained: Any = None, ranks: int | None = None) -> OutOfMemory:
    """The error with what to change, the cheapest first: of a training as its plan tells, else by the settings alone.

    Args:
        settings: of the command, as parsed.
        trained: the `SapiensModule` that was in training, if any.
        ranks: processes that trained it.
    """
    first = str(error).strip().partition("\n")[0]
    try:
        told = advice_by_settings(settings) if trained is None else by_plan(settings, trained, ranks)
    except (
        Exception
    ) as cause:  # such as of a user's own head on tensors without contents: memory matters more
        told = f"{advice_by_settings(settings)}\n(The plan of this run failed: {cause})"
    return OutOfMemory(f"out of memory: {first}\n{told}")


def by_plan(settings: Any, trained: Any, ranks: int | None) -> str:
    """Return what takes the memory, and changes with what the training takes then; some seconds of a processor."""
    gpu = torch.cuda.is_available() and settings.get("trainer.accelerator") != "cpu"
    memory = (
        torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 2**30 if gpu else None
    )
    return explain_shortage(MemoryQuery(trained, launch_of(settings, ranks, gpu)), memory)
