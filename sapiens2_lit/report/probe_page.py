"""Show probed backbones side by side, in one HTML file that needs no other file and no network."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from sapiens2_lit.report.compare_page import color
from sapiens2_lit.report.page import facts_table, picture_tag
from sapiens2_lit.report.probe_plot import draw_costs
from sapiens2_lit.report.probe_words import SMALL, Found, conclusions, first_metric, is_known
from sapiens2_lit.report.style import STYLE

Pictures = Sequence[npt.NDArray[np.uint8]]
OWN_STYLE = """
.row { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .4em; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1em; }
.plots path { fill: none; stroke-width: 1.5; }
.plots .line { stroke: currentColor; stroke-dasharray: 3 3; opacity: .5; }
.wide { overflow-x: auto; } .interval { opacity: .65; font-size: .85em; white-space: nowrap; }
.control td { opacity: .75; font-size: .9em; } .control td:first-child { padding-left: 1.6em; }
.strip { display: flex; gap: 4px; overflow-x: auto; } .strip img { height: 190px; max-width: none; }
.warning { border-left: 4px solid #d63c3c; padding-left: .8em; } td { vertical-align: top; }
"""
HOW = """
Backbones are frozen. Every probe gets the same pictures in the same order, the same number of steps and the same
learning rates; the rate that is best on the validation split is tested. Channels are standardized by the training
pictures, so that the scale of features does not matter. <b>linear</b> probes are a 1 × 1 convolution; metrics that
begin with <b>small</b> belong to one small decoder. <b>random</b> is a network with random weights, <b>pixels</b> are
the raw pixels of each patch, <b>position</b> is only the place of a patch. <b>permuted</b> rows are controls, trained
and tested on labels of other pictures. docs/probe.md tells which parts of this protocol are published and which new.
"""


def build_probe_page(found: Found, pictures: Pictures, pca: Mapping[str, Pictures]) -> str:
    """Return the page as HTML.

    Args:
        found: Content of results.json.
        pictures: Test pictures, RGB.
        pca: By row, the same pictures as principal components.
    """
    count = sum(label not in ("random", "pixels", "position") for label in found["backbones"])
    title = f"{count} backbone{'' if count == 1 else 's'} probed"
    parts = [f"<h1>{title}</h1>", "<h2>What can be said</h2>", sentences(found)]
    parts += ["<h2>Score against cost</h2>", legend(found), plots(found), "<h2>Scores</h2>"]
    parts += [f"<p>{HOW.strip()}</p>"]
    parts += [f"<h3>{escape(task)}</h3>{score_table(found, task)}" for task in found["directions"]]
    parts += ["<h2>What it costs</h2>", cost_table(found), "<h2>Differences</h2>", difference_table(found)]
    parts += ["<h2>What tokens of people have in common</h2>", pca_part(pictures, pca)]
    parts += ["<h2>Facts</h2>", facts_part(found)]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{OWN_STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def sentences(found: Found) -> str:
    """Return the conclusions, with warnings marked."""
    said = (
        f'<p class="warning">{escape(one)}</p>' if one.startswith("Warning") else f"<p>{escape(one)}</p>"
        for one in conclusions(found)
    )
    return "".join(said)


def named(found: Found, label: str) -> str:
    """Return a row's label behind its color."""
    place = list(found["backbones"]).index(label)
    return f'<span class="row" style="background:{color(place)}"></span>{escape(label)}'


def legend(found: Found) -> str:
    """Return all labels behind their colors."""
    return "<p>" + " &emsp; ".join(named(found, label) for label in found["backbones"]) + "</p>"


def plots(found: Found) -> str:
    """Return one plot of scores against cost for each task."""
    drawn = "".join(draw_costs(found, task) for task in found["directions"])
    return f'<div class="plots">{drawn}</div>'


def score_table(found: Found, task: str) -> str:
    """Return the scores of one task, best first: means, deviations over seeds and intervals, with controls below."""
    metrics = found["directions"][task]
    metric, more = first_metric(found, task)
    rows = [(label, one) for label, one in found["backbones"].items() if task in one]
    rows.sort(key=lambda row: row[1][task][metric]["mean"] or 0, reverse=more)
    body = []
    for label, one in rows:
        body.append(table_row(named(found, label), one[task], metrics, ""))
        if task in one.get("permuted", {}):
            body.append(table_row("permuted", one["permuted"][task], metrics, "control"))
    arrows = {True: "↑", False: "↓"}
    head = "".join(
        f'<th class="number">{escape(name.replace(SMALL, "small "))} {arrows[bool(up)]}</th>'
        for name, up in metrics.items()
    )
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def table_row(name: str, scores: Mapping[str, Any], metrics: Mapping[str, bool], kind: str) -> str:
    """Return one row of scores.

    Args:
        name: First cell, as HTML.
        scores: By metric.
        metrics: Columns of the table.
        kind: CSS class of the row.
    """
    cells = "".join(f'<td class="number">{cell(scores.get(metric))}</td>' for metric in metrics)
    return f'<tr class="{kind}"><td>{name}</td>{cells}</tr>'


def cell(score: Mapping[str, Any] | None) -> str:
    """Return mean and deviation over seeds, and below them the interval."""
    if score is None or not is_known(score["mean"]):
        return "–"
    low, high = score["interval"]
    deviation = f" ± {score['std']:.2g}" if score["std"] else ""
    ends = "–" if low is None else f"{low:.4g} to {high:.4g}"
    return f'{score["mean"]:.4g}{deviation}<br><span class="interval">{ends}</span>'


def cost_table(found: Found) -> str:
    """Return parameters, operations, speed and effective rank of each row."""
    names = (
        "parameters",
        "TFLOP an image",
        "images a second",
        "input",
        "patch",
        "channels",
        "effective rank",
        "licence",
    )
    head = "".join(f"<th>{name}</th>" for name in ("", *names))
    body = []
    for label, facts in found["facts"]["backbones"].items():
        size = facts.get("input_size")
        speed = facts.get("images_per_second")
        cells = (
            f"{facts['parameters']:,}" if facts["parameters"] else "–",
            f"{facts['tflop']:.4g}" if facts["tflop"] else "–",
            f"{speed:.3g}" if speed else "–",
            f"{size[0]} × {size[1]}" if size else "–",
            str(facts["patch_size"]),
            str(facts["channels"]),
            f"{facts['effective_rank']:.1f}",
            escape(str(facts.get("licence") or "–")),
        )
        body.append(f"<tr><td>{named(found, label)}</td>{''.join(f'<td>{one}</td>' for one in cells)}</tr>")
    device = escape(found["facts"]["device"])
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
        f"<p>Images a second were measured on {device} while features were computed; one multiplication and "
        "addition are two operations. The effective rank tells how many directions standardized tokens fill.</p>"
    )


def difference_table(found: Found) -> str:
    """Return paired differences between every two backbones on the first metric of every task."""
    rows = []
    for one in found["comparisons"]:
        if {one["better"], one["worse"]} & {"pixels", "position"}:
            continue
        low, high = one["interval"]
        verdict = "better" if one["separate"] else "not ranked: intervals overlap"
        ends = "–" if low is None else f"{low:+.4g} to {high:+.4g}"
        difference = f"{one['difference']:+.4g}"
        cells = (one["task"], one["metric"], one["better"], one["worse"], difference, ends, verdict)
        rows.append("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in cells) + "</tr>")
    names = ("task", "metric", "first", "second", "difference", "95 % of it", "the first is")
    head = "".join(f"<th>{name}</th>" for name in names)
    return (
        "<p>Both rows are scored on the same resampled test images, so that differences are more certain than either "
        "score. A row is called better only if the intervals of the two scores do not overlap.</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def pca_part(pictures: Pictures, pca: Mapping[str, Pictures]) -> str:
    """Return test pictures, and below them the first three principal components of each backbone."""
    said = (
        "<p>The three directions in which training tokens of people vary most, as red, green and blue. All pictures of "
        "a row share one basis; the sign of each direction is chosen so that it rises towards the top.</p>"
    )
    strips = [strip("pictures", pictures), *(strip(label, one) for label, one in pca.items())]
    return said + "".join(strips)


def strip(name: str, pictures: Pictures) -> str:
    """Return pictures side by side below their name."""
    tags = "".join(picture_tag(one) for one in pictures)
    return f'<h3>{escape(name)}</h3><div class="strip">{tags}</div>'


def facts_part(found: Found) -> str:
    """Return versions, budget, data and fingerprints."""
    facts = found["facts"]
    data = facts["data"]
    shown = {
        **facts["versions"],
        "device": facts["device"],
        "seeds": ", ".join(map(str, facts["seeds"])),
        "steps": str(facts["steps"]),
        "batch size": str(facts["batch_size"]),
        "learning rates": ", ".join(f"{rate:g}" for rate in facts["learning_rates"]),
        "resamplings": str(facts["bootstrap"]),
        "data": data["root"],
        "image size": " × ".join(map(str, data["image_size"])),
        **{f"images, {task}": said_sizes(sizes) for task, sizes in data["images"].items()},
        **{f"fingerprint, {name} pictures": mark for name, mark in data["fingerprint"].items()},
    }
    for label, one in facts["backbones"].items():
        if one.get("fingerprint"):
            shown[f"{label}"] = f"{one['source']}, {one['class']}, fingerprint {one['fingerprint']}"
    return facts_table(shown)


def said_sizes(sizes: Mapping[str, int]) -> str:
    """Return the number of images of each split as text."""
    return ", ".join(f"{split} {count}" for split, count in sizes.items())
