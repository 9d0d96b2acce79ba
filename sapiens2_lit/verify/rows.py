"""Describe the result of a check: a row with a figure, its tolerance, and what to do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sapiens2_lit.errors import Interrupted, SapiensError

Status = Literal["passed", "failed", "skipped"]
REPORT = "Please report it with verify.json."


@dataclass(frozen=True)
class Row:
    """The result of one check.

    Attributes:
        name: What was checked.
        status: `skipped` if it could not run here.
        figure: What was measured.
        tolerance: Allowed values of the figure.
        reason: Why it failed or was skipped, and what to do.
    """

    name: str
    status: Status
    figure: str = ""
    tolerance: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """The measurement of a check.

    Attributes:
        figure: For people.
        tolerance: For people; empty if the figure is only for information.
        wrong: What is wrong and what to do; empty if all is right.
    """

    figure: str
    tolerance: str = ""
    wrong: str = ""


class CannotRun(Exception):
    """A check cannot run here; the message tells why, and what to do."""


@dataclass(frozen=True)
class Check:
    """A check: the name of its row, and the function that measures.

    Attributes:
        name: Of the row.
        run: Measures; raises CannotRun if that is not possible here.
    """

    name: str
    run: Callable[[], Found]


def at_most(value: float, limit: float, what: str, unit: str = "") -> Found:
    """Return a number with an upper limit, which NaN exceeds.

    Args:
        value: Measured.
        limit: Largest allowed value.
        what: Sentence on what is wrong if it is exceeded.
        unit: Of both.
    """
    wrong = "" if value <= limit else f"{what} {REPORT}"
    shown = f"{value:.2g}" if math.isfinite(value) else str(value)
    return Found(f"{shown}{unit}", f"at most {limit:.2g}{unit}", wrong)


def run_check(check: Check) -> Row:
    """Return the row of a check, whatever it raises, except for a signal."""
    try:
        found = check.run()
    except Interrupted:
        raise
    except CannotRun as error:
        return Row(check.name, "skipped", reason=str(error))
    except SapiensError as error:
        return Row(check.name, "failed", reason=one_line(error))
    except Exception as error:  # of any library: the other checks continue, and the report has it
        return Row(check.name, "failed", reason=explain(error))
    return Row(check.name, "failed" if found.wrong else "passed", found.figure, found.tolerance, found.wrong)


def explain(error: Exception) -> str:
    """Return what happened, in a line, and what to do."""
    if is_out_of_memory(error):
        return (
            "Out of memory: another program takes memory on this device, or it is too small. Free memory, or leave the "
            "size out by --sizes."
        )
    return f"{type(error).__name__}: {one_line(error)} {REPORT}"


def is_out_of_memory(error: Exception) -> bool:
    """Return whether a device or the host had no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def one_line(error: BaseException) -> str:
    """Return the message on one line."""
    return " ".join(str(error).split())
