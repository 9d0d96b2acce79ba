"""`sapiens2-lit probe`: compare frozen backbones, on the terminal and as a page."""

import sys
from typing import Any

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.cli.compare import rows_of
from sapiens2_lit.cli.probe_options import read_options
from sapiens2_lit.probing.results import ProbeResults
from sapiens2_lit.probing.run import probe
from sapiens2_lit.report.headlines import digits
from sapiens2_lit.report.probe_page import build_probe_page
from sapiens2_lit.report.probe_words import conclusions

RESULTS, PAGE = "results.json", "report.html"


def probe_command(args: list[str]) -> int:
    """Probe the backbones that `args` name; return the exit status.

    Raises:
        Interrupted: A signal came; no results are written.
        SettingError, DataError, WeightsError: Naming what does not fit.
    """
    options = read_options(args)
    check_writable(options.output, "--output")
    with interrupts.asked():
        results = probe(options.backbones, options.settings, options.output)
    write_whole(options.output / RESULTS, results.to_json().encode())
    page = build_probe_page(results.as_dict(), results.pictures, results.pca)
    write_whole(options.output / PAGE, page.encode())
    sys.stdout.write(to_text(results))
    sys.stdout.write(f"the numbers: {options.output / RESULTS}\nthe page: {options.output / PAGE}\n")
    return 0


def to_text(results: ProbeResults) -> str:
    """Return the table of the first metric of each task, and the conclusions that it supports."""
    found = results.as_dict()
    first = {task: next(iter(metrics)) for task, metrics in results.directions.items()}
    header = ["", *(f"{task} {metric}" for task, metric in first.items()), "parameters", "TFLOP", "images/s"]
    table = [header]
    for label in results.scores:
        table.append(table_row(label, found["backbones"][label], first, results.facts["backbones"][label]))
        if label in results.permuted:
            control = {**found["backbones"][label]["permuted"]}
            table.append(table_row("  its control, permuted", control, first, {}))
    lines = [*rows_of(table), "", *conclusions(found)]
    return "\n".join(lines) + "\n"


def table_row(label: str, scores: dict[str, Any], first: dict[str, str], facts: dict[str, Any]) -> list[str]:
    """Return one row: each score with its interval, and the costs.

    Args:
        label: Of the backbone.
        scores: By task and metric.
        first: The metric of each task.
        facts: Parameters and speed; may be empty.
    """
    cells = []
    for task, metric in first.items():
        score = scores.get(task, {}).get(metric)
        low, high = score["interval"] if score else (0, 0)
        cells.append(f"{digits(score['mean'])} [{digits(low)}, {digits(high)}]" if score else "–")
    parameters = facts.get("parameters")
    costs = [
        "–" if not parameters else f"{parameters / 1e6:.1f} M",
        "–" if not parameters else f"{facts['tflop']:.4g}",
        digits(facts["images_per_second"]) if facts.get("images_per_second") else "–",
    ]
    return [label, *cells, *costs]
