"""Show runs side by side, in one HTML file that needs no other file and no network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import cv2

from sapiens2_lit.report.curves import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Curve, thin
from sapiens2_lit.report.page import number, picture_tag, table
from sapiens2_lit.report.runs import Run, differing
from sapiens2_lit.report.style import STYLE

COLORS = ("#2563c9", "#d66a1f", "#2e8b57", "#9650aa", "#c43c3c", "#6b7280", "#0e9aa7", "#b8860b")
_CURVES = 40  # drawn at most
OWN_STYLE = """
.run { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .4em; }
.pictures { display: grid; gap: 1em; }
.pictures img { width: 100%; } td { vertical-align: top; }
"""


def build_compare_page(runs: Sequence[Run]) -> str:
    """Return the page as HTML: scores, settings that differ, metrics, curves, and pictures of the last validations."""
    title = f"{len(runs)} runs"
    parts = [f"<h1>{title}</h1>", overview(runs), "<h2>Settings that differ</h2>", settings_table(runs)]
    parts += ["<h2>Metrics at the best step</h2>", metrics_table([run.at_best() for run in runs], runs)]
    if any(run.tested for run in runs):
        parts += ["<h2>Metrics of the last test</h2>", metrics_table([run.tested for run in runs], runs)]
    parts += ["<h2>Curves</h2>", legend(runs), curves_part(runs), *pictures_parts(runs)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{OWN_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def color(place: int) -> str:
    """Return the color of a run, by its place."""
    return COLORS[place % len(COLORS)]


def named(place: int, run: Run) -> str:
    """Return a run's name behind its color."""
    return f'<span class="run" style="background:{color(place)}"></span>{escape(run.name)}'


def overview(runs: Sequence[Run]) -> str:
    """Return a table of steps and best scores."""
    rows = []
    for place, run in enumerate(runs):
        best = run.best
        score = ("–", "–") if best is None else (number(best[1]), f"{best[0]:,}")
        cells = (f"{run.steps:,}", escape(run.monitor[0]), *score)
        body = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f"<tr><td>{named(place, run)}</td>{body}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("run", "steps", "measure", "best", "at step"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def settings_table(runs: Sequence[Run]) -> str:
    """Return a table of settings that differ."""
    found = differing(runs)
    if not found:
        return "<p>None.</p>"
    rows = [(name, *(escape(said(value)) for value in values)) for name, values in found.items()]
    return table(("", *(run.name for run in runs)), rows)


def said(value: Any) -> str:
    """Return a value as text."""
    return "–" if value is None else str(value)


def metrics_table(found: Sequence[Mapping[str, float]], runs: Sequence[Run]) -> str:
    """Return a table of metrics without those of single classes and keypoints."""
    names = list(dict.fromkeys(name for metrics in found for name in metrics))
    shown = [name for name in names if name.removeprefix("val/").count("/") <= 1]
    rows = [(name, *(number(metrics.get(name)) for metrics in found)) for name in shown]
    return table(("", *(run.name for run in runs)), rows) if rows else "<p>None.</p>"


def legend(runs: Sequence[Run]) -> str:
    """Return the names of all runs behind their colors."""
    return "<p>" + " &emsp; ".join(named(place, run) for place, run in enumerate(runs)) + "</p>"


def curves_part(runs: Sequence[Run]) -> str:
    """Return the curves of all runs, one chart for each metric."""
    names = list(dict.fromkeys(name for run in runs for name in run.curves))
    first = [name for name in ("train/loss", "val/loss", "val/score") if name in names]
    rest = [name for name in names if name.startswith("val/") and name.count("/") == 2]
    speed = [name for name in names if name.startswith("throughput/")]
    shown = [*first, *rest, *speed][:_CURVES]
    drawn = [draw_together(name, [run.curves.get(name, []) for run in runs]) for name in shown]
    return f'<div class="curves">{"".join(drawn)}</div>'


def draw_together(name: str, curves: Sequence[Curve]) -> str:
    """Draw one metric of several runs in one chart, as SVG."""
    points = [point for curve in curves for point in curve]
    low, high = min(value for _, value in points), max(value for _, value in points)
    first, last = min(step for step, _ in points), max(step for step, _ in points)
    across, up, base = max(1, last - first), (high - low) or 1.0, HEIGHT - BOTTOM

    def at(step: int, value: float) -> str:
        x = LEFT + (step - first) / across * (WIDTH - LEFT - 6)
        return f"{x:.1f},{TOP + (high - value) / up * (base - TOP):.1f}"

    lines = "".join(
        f'<polyline style="stroke:{color(place)}" points="{" ".join(at(*point) for point in thin(curve))}"/>'
        for place, curve in enumerate(curves)
        if curve
    )
    return (
        f'<figure><figcaption>{escape(name)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)}"><path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH - 6}"/>{lines}'
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{LEFT - 4}" y="{base}" text-anchor="end">{low:.4g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 5}">step {first:,}</text>'
        f'<text x="{WIDTH - 6}" y="{HEIGHT - 5}" text-anchor="end">{last:,}</text></svg></figure>'
    )


def pictures_parts(runs: Sequence[Run]) -> list[str]:
    """Return the first validation samples of each head, as each run predicts them at its end."""
    found = [run.pictures() for run in runs]
    heads = list(dict.fromkeys(head for pictures in found for head in pictures))
    parts = []
    for head in heads:
        parts.append(f"<h2>{escape(head)}: the first validation samples</h2>")
        if other_data(runs):
            parts.append("<p>Settings of the data differ: these may be other samples.</p>")
        figures = []
        for place, (run, pictures) in enumerate(zip(runs, found, strict=True)):
            picture = cv2.imread(str(pictures[head])) if head in pictures else None
            if picture is not None:
                step = pictures[head].parent.name.partition("=")[2]
                caption = f"<figcaption>{named(place, run)}, step {step}</figcaption>"
                figures.append(f"<figure>{caption}{picture_tag(picture[..., ::-1])}</figure>")
        parts.append(f'<div class="pictures">{"".join(figures)}</div>')
    return parts


def other_data(runs: Sequence[Run]) -> bool:
    """Return whether settings differ that may change the validation samples or their order."""
    words = ("root", "val", "fold", "seed", "class_path", "detections", "box", "samples")
    names = [name for name in differing(runs) if name.startswith("data.")]
    return any(name.rpartition(".")[2].startswith(words) for name in names)
