"""What a check has found: a row with a figure, what it may be, and what to do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sapiens2_lit.errors import Interrupted, SapiensError

Status = Literal["passed", "failed", "skipped"]
REPORT = "Please report it with verify.json."


@dataclass(frozen=True)
class Row:
    """What came of one check.

    Attributes:
        name: what was checked.
        status: `skipped` where it could not run here.
        figure: what was measured.
        tolerance: what the figure may be.
        reason: why it failed or was skipped, and what to do.
    """

    name: str
    status: Status
    figure: str = ""
    tolerance: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Found:
    """What a check has measured.

    Attributes:
        figure: for people.
        tolerance: for people, empty where the figure is there to be read alone.
        wrong: what is wrong and what to do; empty where all is right.
    """

    figure: str
    tolerance: str = ""
    wrong: str = ""


class CannotRun(Exception):
    """A check cannot run here; the message says why, and what to do."""


@dataclass(frozen=True)
class Check:
    """One row to be: its name, and what finds it.

    Attributes:
        name: of the row.
        run: measures; raises CannotRun where that is not possible here.
    """

    name: str
    run: Callable[[], Found]


def at_most(value: float, limit: float, what: str, unit: str = "") -> Found:
    """Return a number that must not be above a limit; NaN is.

    Args:
        value: measured.
        limit: the largest that it may be.
        what: the sentence that says what is wrong where it is above.
        unit: of both.
    """
    wrong = "" if value <= limit else f"{what} {REPORT}"
    shown = f"{value:.2g}" if math.isfinite(value) else str(value)
    return Found(f"{shown}{unit}", f"at most {limit:.2g}{unit}", wrong)


def run_check(check: Check) -> Row:
    """Return the row of a check, whatever happens in it but for a signal."""
    try:
        found = check.run()
    except Interrupted:
        raise
    except CannotRun as error:
        return Row(check.name, "skipped", reason=str(error))
    except SapiensError as error:
        return Row(check.name, "failed", reason=one_line(error))
    except Exception as error:  # of any library: the other checks go on, and the report says it
        return Row(check.name, "failed", reason=explain(error))
    return Row(check.name, "failed" if found.wrong else "passed", found.figure, found.tolerance, found.wrong)


def explain(error: Exception) -> str:
    """Return what happened, in a line, and what to do."""
    if is_out_of_memory(error):
        return (
            "Out of memory: something else takes memory on this device, or it is too small. Free it, or leave the size "
            "out by --sizes."
        )
    return f"{type(error).__name__}: {one_line(error)} {REPORT}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device or the host had no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def one_line(error: BaseException) -> str:
    """Return the message on one line."""
    return " ".join(str(error).split())
