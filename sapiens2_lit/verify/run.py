"""All checks in order: what they need of each other is known here alone."""

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
    """Hears how far the checks are."""

    def expect(self, checks: int) -> None:
        """So many more checks come."""

    def begin(self, name: str) -> None:
        """A check begins."""

    def end(self) -> None:
        """It has ended."""


def run_checks(setting: Setting, progress: Progress, rows: list[Row]) -> None:
    """Run all checks and append their rows, each as soon as it is known.

    Raises:
        Interrupted: a signal came; the rows before it are there.
    """

    def take(checks: Sequence[Check]) -> None:
        progress.expect(len(checks))
        for check in checks:
            interrupts.check()
            progress.begin(check.name)
            rows.append(run_check(check))
            gc.collect()  # a Trainer and its model know each other: else every training's memory stays
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
    return lambda: weights.open(source)


def compare(opened: Opened, setting: Setting, log: Kept) -> Comparison:
    """Return the comparison that belongs to weights."""
    return (BackboneComparison if opened.task == PRETRAIN else TaskComparison)(opened, setting, log)


def checks_of(size: Size) -> Iterator[Check]:
    """Yield what is tried with a size of backbone, whatever its heads."""
    yield from training_checks(size)
    yield from memory_checks(size)
    yield from speed_checks(size)
    yield from distributed_checks(size)
    yield from resume_checks(size)
