"""Build the page: one HTML file that needs no other file and no network."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import cv2
import numpy as np

from sapiens2_lit.report.curve_panels import draw_groups
from sapiens2_lit.report.curves import Curve
from sapiens2_lit.report.headlines import digits
from sapiens2_lit.report.mistake_tables import mistake_parts
from sapiens2_lit.report.mistakes import Mistakes
from sapiens2_lit.report.style import REPORT_STYLE, STYLE, ZOOM

_QUALITY = 85
_ROWS = 16  # at most of a table, before the next one beside it
_FOLDED = 64  # more rows than these are folded


@dataclass(frozen=True)
class Sample:
    """One sample as a page shows it.

    Attributes:
        name: Its file.
        loss: Of this sample alone.
        views: jpeg files by content: labels, prediction.
        remark: What the prediction's picture does not show, in a few words.
    """

    name: str
    loss: float
    views: Mapping[str, bytes]
    remark: str = ""


@dataclass
class HeadReport:
    """The results of one head: metrics by name (`IoU/Hair` is that of the class Hair), and samples.

    Without `median` samples, `worst` holds all tested ones.

    Attributes:
        metrics: By name.
        worst: Samples, worst first.
        median: Samples around the median loss.
        headline: Names of the metrics to show first.
        mistakes: Counts of confusions; None if there are none.
    """

    metrics: dict[str, float]
    worst: list[Sample] = field(default_factory=list)
    median: list[Sample] = field(default_factory=list)
    headline: Sequence[str] = ()
    mistakes: Mistakes | None = None


def build_page(
    title: str,
    facts: dict[str, str],
    heads: dict[str, HeadReport],
    curves: dict[str, Curve],
    config: str,
    score: float | None = None,
) -> str:
    """Return the page as HTML: facts, headline metrics, each head's pictures, mistakes and metrics, curves, settings.

    Args:
        title: At the top.
        facts: By name, such as the checkpoint.
        heads: By name.
        curves: Of the training, by name.
        config: The run's YAML.
        score: Of all heads, 0 to 1; None if unknown.
    """
    parts = [f"<h1>{escape(title)}</h1>", facts_list(facts), tiles(heads, score)]
    for name, head in heads.items():
        parts += [f"<h2>{escape(name)}</h2>", *head_parts(head)]
    if curves:
        parts.append(f"<h2>Training</h2>{draw_groups(curves, list(heads))}")
    parts.append(
        f"<h2>Settings</h2><details><summary>all settings of the run</summary><pre>{escape(config)}</pre></details>"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}{REPORT_STYLE}</style></head><body>{''.join(parts)}<script>{ZOOM}</script></body></html>"
    )


def facts_list(facts: Mapping[str, str]) -> str:
    """Return facts in as many columns as fit."""
    rows = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def tiles(heads: Mapping[str, HeadReport], score: float | None) -> str:
    """Return the score and the headline metrics of every head, in large type."""
    parts = []
    if score is not None and not math.isnan(score):
        parts.append(f'<div class="tile score"><b>{digits(score)}</b><span>score</span></div>')
    for name, head in heads.items():
        parts += [
            f'<div class="tile"><b>{digits(head.metrics[metric])}</b>'
            f"<span>{escape(name)} · {escape(metric).replace('_', '_<wbr>')}</span></div>"
            for metric in head.headline
            if not math.isnan(head.metrics.get(metric, math.nan))
        ]
    of = "its own score" if len(heads) == 1 else f"the mean of the scores of {len(heads)} heads"
    note = f'<p class="note">The score, from 0 to 1, is {of}; it chooses the best checkpoint of a run.</p>'
    return f'<div class="tiles">{"".join(parts)}</div>' + (note if score is not None else "")


def facts_table(facts: dict[str, str]) -> str:
    """Return facts as a table."""
    rows = (f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in facts.items())
    return f"<table>{''.join(rows)}</table>"


def head_parts(head: HeadReport) -> list[str]:
    """Return pictures, mistakes, and all metrics of one head."""
    parts = []
    worst = "Worst samples" if head.median else "Samples, worst first"
    for samples, what in ((head.worst, worst), (head.median, "Median samples")):
        if samples:
            parts.append(f"<h3>{what}</h3>")
            parts.append(f'<div class="samples">{"".join(figure(sample) for sample in samples)}</div>')
    members = by_member(head.metrics)
    parts += mistake_parts(head.mistakes, members)
    whole = {name: value for name, value in head.metrics.items() if "/" not in name}
    first = sorted(whole, key=lambda name: (name not in head.headline, name))
    parts.append("<h3>All metrics</h3>")
    parts.append(tables(("metric", "value"), [(name, number(whole[name])) for name in first]))
    if members:
        columns = sorted({column for values in members.values() for column in values})
        rows = [
            (name, *(number(values.get(column)) for column in columns)) for name, values in members.items()
        ]
        parts.append(tables(("", *columns), rows))
    return parts


def by_member(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """Return metrics of classes and keypoints, `IoU/Hair`, as one row each: {"Hair": {"IoU": ...}}."""
    rows: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        column, slash, member = name.partition("/")
        if slash:
            rows.setdefault(member, {})[column] = value
    return rows


def tables(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return rows as tables side by side, each with its header; very many are folded."""
    height = math.ceil(len(rows) / math.ceil(len(rows) / _ROWS))
    parts = [table(header, rows[start : start + height]) for start in range(0, len(rows), height)]
    beside = f'<div class="tables">{"".join(parts)}</div>'
    if len(rows) <= _FOLDED:
        return beside
    return f"<details><summary>each of {len(rows)}</summary>{beside}</details>"


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; all cells but the first of a row hold HTML."""
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
    """Return a number with four digits; a dash if there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"


def figure(sample: Sample) -> str:
    """Return a sample's views side by side, each of which opens at full size."""
    remark = f" · {escape(sample.remark)}" if sample.remark else ""
    caption = f"{escape(sample.name)}<br>loss {number(sample.loss)}{remark}"
    views = "".join(
        f'<button type="button">{image_tag(data, f"{name} of {sample.name}")}<span>{escape(name)}</span></button>'
        for name, data in sample.views.items()
    )
    return (
        f'<figure class="sample"><div class="views">{views}</div><figcaption>{caption}</figcaption></figure>'
    )


def picture_tag(picture: np.ndarray) -> str:
    """Return a picture, RGB uint8 (H, W, 3), as an inline image."""
    return image_tag(jpeg(picture))


def jpeg(picture: np.ndarray) -> bytes:
    """Encode a picture, RGB uint8 (H, W, 3), as a jpeg file."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done, f"a picture of {picture.shape} cannot be encoded"
    return data.tobytes()


def image_tag(data: bytes, words: str = "") -> str:
    """Return a jpeg file as an inline image, with text for those who do not see it."""
    source = base64.b64encode(data).decode()
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{source}">'
