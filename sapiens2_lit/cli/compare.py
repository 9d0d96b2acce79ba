"""`sapiens2-lit compare`: runs side by side, on the terminal and as a page."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.parsers import COMPARE_PAGE, compare_parser
from sapiens2_lit.report.compare_page import build_compare_page, said
from sapiens2_lit.report.headlines import digits
from sapiens2_lit.report.runs import Run, differing, find_runs

_WIDEST = 28  # characters of a value
_METRICS = 10


def compare_runs(args: list[str]) -> int:
    """Compare runs; return the exit status.

    Raises:
        SettingError: naming the folder or file that is not a run.
    """
    options = compare_parser().parse_args(args)
    page = Path(options.output).expanduser()
    page = page if page.suffix == ".html" else page / COMPARE_PAGE
    runs = find_runs([place.expanduser() for place in options.runs])
    check_writable(page.parent, "--output")
    runs.sort(key=goodness, reverse=True)
    write_whole(page, build_compare_page(runs).encode())
    sys.stdout.write(f"{to_text(runs)}\nthe page: {page}\n")
    return 0


def goodness(run: Run) -> tuple[str, float]:
    """Return a sort key: the best run last, runs without a score first, runs with the same monitor together."""
    if run.best is None:
        return ("", float("-inf"))
    return (run.monitor[0], run.best[1] if run.monitor[1] else -run.best[1])


def to_text(runs: Sequence[Run]) -> str:
    """Return three tables: scores, best first; metrics at the best step; and settings that differ between runs."""
    numbers = [str(place + 1) for place in range(len(runs))]
    scores = [["", "run", "best", "at step", "of", "test/score"]]
    for place, run in zip(numbers, runs, strict=True):
        best = run.best
        found = ["–", "–"] if best is None else [digits(best[1]), f"{best[0]:,}"]
        tested = digits(run.tested["score"]) if "score" in run.tested else "–"
        scores.append([place, run.name, *found, f"{run.steps:,}", tested])
    lines = rows_of(scores)
    at_best = [run.at_best() for run in runs]
    if names := telling_metrics(at_best):
        metrics = [
            [name, *(digits(found[name]) if name in found else "–" for found in at_best)]
            for name in names[:_METRICS]
        ]
        lines += ["", *rows_of([["metrics at the best step", *numbers], *metrics])]
    found_settings = differing(runs)
    if found_settings:
        settings = [
            [name, *(shortened(said(value)) for value in values)] for name, values in found_settings.items()
        ]
        lines += ["", *rows_of([["settings that differ", *numbers], *settings])]
    elif len(runs) > 1:
        lines += ["", "All settings are the same."]
    return "\n".join(lines)


def telling_metrics(found: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the heads' metrics, most common first, without those that equal an earlier one in all runs."""
    kept: dict[tuple[float | None, ...], str] = {}
    for name in dict.fromkeys(name for metrics in found for name in metrics):
        if name.count("/") == 2:
            kept.setdefault(tuple(metrics.get(name) for metrics in found), name)
    return sorted(kept.values(), key=lambda name: -sum(name in metrics for metrics in found))


def shortened(text: str) -> str:
    """Return the end of a text that is too wide for a column, after `...`."""
    return text if len(text) <= _WIDEST else f"...{text[3 - _WIDEST :]}"


def rows_of(table: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines with aligned columns."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
