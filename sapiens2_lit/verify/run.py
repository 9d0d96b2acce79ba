"""Run all checks in order, with the results that they need from each other."""

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sapiens2_lit import interrupts
from sapiens2_lit.verify.comparison import BackboneComparison, Comparison, TaskComparison
from sapiens2_lit.verify.distributed import distributed_checks
from sapiens2_lit.verify.environment import environment_checks
from sapiens2_lit.verify.messages import Kept, kept
from sapiens2_lit.verify.resume import resume_checks
from sapiens2_lit.verify.rows import Check, Found, Row, run_check
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import PRETRAIN, Source, find_sources
from sapiens2_lit.verify.speed import memory_checks, speed_checks
from sapiens2_lit.verify.training import Size, find_sizes, training_checks
from sapiens2_lit.verify.weights import Opened, Weights


class Progress(Protocol):
    """Receives the progress of the checks."""

    def expect(self, checks: int) -> None:
        """Note that this many more checks come."""

    def begin(self, name: str) -> None:
        """Note that a check begins."""

    def end(self) -> None:
        """Note that it has ended."""


def run_checks(setting: Setting, progress: Progress, rows: list[Row]) -> None:
    """Run all checks and append their rows, each as soon as it is known.

    Args:
        setting: Of the command.
        progress: Receives the progress.
        rows: Extended in place.

    Raises:
        Interrupted: A signal came; `rows` has the rows before it.
    """

    def take(checks: Sequence[Check]) -> None:
        progress.expect(len(checks))
        for check in checks:
            interrupts.check()
            progress.begin(check.name)
            rows.append(run_check(check))
            gc.collect()  # Trainer and model reference each other, so their memory would stay otherwise
            progress.end()

    with kept() as log:
        take(environment_checks(setting))
        weights = Weights(setting)
        for source in find_sources(setting):
            take([Check(f"{source.name}: weights", opening(weights, source))])
            if source.name in weights.opened:
                comparison = compare(weights.opened[source.name], setting, log)
                take(comparison.checks())
                comparison.free()
        for size in find_sizes(weights.opened, setting):
            take(list(checks_of(size)))


def opening(weights: Weights, source: Source) -> Callable[[], Found]:
    """Return the check that opens weights."""
    return lambda: weights.open(source)


def compare(opened: Opened, setting: Setting, log: Kept) -> Comparison:
    """Return the comparison for weights.

    Args:
        opened: The weights.
        setting: Of the command.
        log: Receives the report of loading.
    """
    return (BackboneComparison if opened.task == PRETRAIN else TaskComparison)(opened, setting, log)


def checks_of(size: Size) -> Iterator[Check]:
    """Yield the checks of a size of backbone, with any heads."""
    yield from training_checks(size)
    yield from memory_checks(size)
    yield from speed_checks(size)
    yield from distributed_checks(size)
    yield from resume_checks(size)
