"""The page itself: one HTML file that needs no other file and no network."""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np

from sapiens2_lit.report.curves import Curve, draw_curve

_QUALITY = 85
_ROWS = 16  # at most of a table, before the next one beside it
_FOLDED = 64  # more rows than these are folded

STYLE = """
:root { color-scheme: light dark; --line: #8884; --ink: #2563c9; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { margin-top: 2em; border-bottom: 1px solid var(--line); } h3 { margin-bottom: .3em; }
table { border-collapse: collapse; margin: .5em 0; } td, th { padding: .15em .8em .15em 0; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr { border-bottom: 1px solid var(--line); }
.tables { display: flex; flex-wrap: wrap; gap: 1em 3em; align-items: start; } summary { cursor: pointer; }
.curves { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1em; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr)); gap: 1em; }
.samples img { width: 100%; }
figure { margin: 0; } figcaption { font-size: .85em; overflow-wrap: anywhere; } img, svg { max-width: 100%; }
svg text { font-size: 10px; fill: currentColor; } svg polyline { fill: none; stroke: var(--ink); stroke-width: 1.5; }
svg .axis { fill: none; stroke: currentColor; opacity: .4; } pre { overflow-x: auto; font-size: .85em; }
"""


@dataclass(frozen=True)
class Sample:
    """One sample as a page shows it.

    Attributes:
        name: its file.
        loss: of this sample alone.
        picture: RGB uint8 (H, W, 3): labels beside the prediction.
    """

    name: str
    loss: float
    picture: np.ndarray


@dataclass
class HeadReport:
    """What is known of one head: metrics by name (`IoU/Hair` is of the class Hair), and samples.

    Without `median` samples, `worst` are all that were tested.
    """

    metrics: dict[str, float]
    worst: list[Sample] = field(default_factory=list)
    median: list[Sample] = field(default_factory=list)


def build_page(
    title: str, facts: dict[str, str], heads: dict[str, HeadReport], curves: dict[str, Curve], config: str
) -> str:
    """The page as HTML.

    Args:
        title: on top.
        facts: such as the checkpoint, by name.
        heads: by name.
        curves: of the training, by name.
        config: the run's YAML.
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        facts_table(facts),
    ]
    for name, head in heads.items():
        parts += [f"<h2>{escape(name)}</h2>", *head_parts(head)]
    if curves:
        parts.append("<h2>Training</h2>")
        parts.append(f'<div class="curves">{"".join(draw_curve(*curve) for curve in curves.items())}</div>')
    parts.append(f"<h2>Configuration</h2><pre>{escape(config)}</pre>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>"
    )


def facts_table(facts: dict[str, str]) -> str:
    rows = (f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in facts.items())
    return f"<table>{''.join(rows)}</table>"


def head_parts(head: HeadReport) -> list[str]:
    whole = {name: value for name, value in head.metrics.items() if "/" not in name}
    parts = [table(("metric", "value"), ((name, number(value)) for name, value in whole.items()))]
    if grouped := by_member(head.metrics):
        columns = sorted({column for values in grouped.values() for column in values})
        rows = (
            (name, *(number(values.get(column)) for column in columns)) for name, values in grouped.items()
        )
        parts.append(tables(("", *columns), list(rows)))
    worst = "Worst samples" if head.median else "Samples, worst first"
    for samples, what in ((head.worst, worst), (head.median, "Median samples")):
        if samples:
            parts.append(f"<h3>{what}, labels beside predictions</h3>")
            parts.append(f'<div class="samples">{"".join(figure(sample) for sample in samples)}</div>')
    return parts


def by_member(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """Metrics of classes and keypoints, `IoU/Hair`, as a row for each: {"Hair": {"IoU": ...}}."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        column, slash, member = name.partition("/")
        if slash:
            rows.setdefault(member, {})[column] = value
    return rows


def tables(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Rows in tables side by side, each with its header; very many can be folded away."""
    height = math.ceil(len(rows) / math.ceil(len(rows) / _ROWS))
    parts = [table(header, rows[start : start + height]) for start in range(0, len(rows), height)]
    beside = f'<div class="tables">{"".join(parts)}</div>'
    if len(rows) <= _FOLDED:
        return beside
    return f"<details><summary>each of {len(rows)}</summary>{beside}</details>"


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; cells but the first of a row hold HTML."""
    head = "".join(
        f'<th class="{"number" if place else ""}">{escape(name)}</th>' for place, name in enumerate(header)
    )
    body = "".join(
        f"<tr><td>{escape(first)}</td>"
        + "".join(f'<td class="number">{cell}</td>' for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def figure(sample: Sample) -> str:
    caption = f"{escape(sample.name)}<br>loss {number(sample.loss)}"
    return f"<figure>{picture_tag(sample.picture)}<figcaption>{caption}</figcaption></figure>"


def picture_tag(picture: np.ndarray) -> str:
    """A picture, RGB uint8 (H, W, 3), as an image that is in the page."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, f"a picture of {picture.shape} cannot be encoded"
    source = base64.b64encode(data.tobytes()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{source}">'
