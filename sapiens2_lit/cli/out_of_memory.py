"""Explain a lack of memory: which settings of the run take it, and what to change."""

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
    """Return whether memory ran out, of a GPU or the host, or the system refused it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return refused or (
        isinstance(error, RuntimeError | OSError) and any(map(str(error).__contains__, REFUSALS))
    )


def explain(error: BaseException) -> SapiensError | None:
    """Return a library's long error in one line; None if it is an error of another kind."""
    text = " ".join(str(error).split())
    if isinstance(error, RuntimeError) and (found := DEAD_WORKER.search(text)):
        return DataError(
            f"a worker of the data loader died ({found[0]}). If memory ran out, use fewer --data.num_workers or a "
            "smaller --data.batch_size; with --data.num_workers 0 the run itself shows what happens"
        )
    if isinstance(error, ValueError) and text.startswith("`val_check_interval`"):
        return SettingError(f"trainer.{text.replace('`', '')}")
    return None


def advice(settings: Any, error: BaseException, trained: Any = None, ranks: int | None = None) -> OutOfMemory:
    """Return the error with changes that help, cheapest first.

    For a training they come from its memory plan, otherwise from the settings alone.

    Args:
        settings: Of the command, as parsed.
        error: What was raised.
        trained: The `SapiensModule` that was in training; None if there was none.
        ranks: Processes that trained it; None if unknown.
    """
    first = str(error).strip().partition("\n")[0]
    try:
        told = advice_by_settings(settings) if trained is None else by_plan(settings, trained, ranks)
    except (
        Exception
    ) as cause:  # such as a user's own head that fails on meta tensors; the lack of memory matters more
        told = f"{advice_by_settings(settings)}\n(The plan of this run failed: {cause})"
    return OutOfMemory(f"out of memory: {first}\n{told}")


def by_plan(settings: Any, trained: Any, ranks: int | None) -> str:
    """Return which parts take the memory, and changes with the memory that each leaves to take; a few seconds of CPU.

    Args:
        settings: Of the command, as parsed.
        trained: The `SapiensModule` that was in training.
        ranks: Processes that trained it; None if unknown.
    """
    gpu = torch.cuda.is_available() and settings.get("trainer.accelerator") != "cpu"
    memory = (
        torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 2**30 if gpu else None
    )
    return explain_shortage(MemoryQuery(trained, launch_of(settings, ranks, gpu)), memory)
