"""Draw scores of backbones against their cost, as SVG that follows the page's light or dark scheme."""

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from sapiens2_lit.report.compare_page import color
from sapiens2_lit.report.headlines import digits
from sapiens2_lit.report.probe_words import BASELINES, first_metric, is_known

_WIDTH, _HEIGHT = 380, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 36
_BASE = _HEIGHT - _BOTTOM
_LINES = ("pixels", "position")


def draw_costs(found: Mapping[str, Any], task: str) -> str:
    """Draw one task: each backbone's score with its interval over TFLOP per image.

    Baselines without a cost as lines.
    """
    metric, more = first_metric(found, task)
    rows = {label: one[task][metric] for label, one in found["backbones"].items() if task in one}
    known = {label: one for label, one in rows.items() if all(map(is_known, (one["mean"], *one["interval"])))}
    facts = found["facts"]["backbones"]
    points = {label: facts[label]["tflop"] for label in known if facts[label].get("tflop")}
    ends = [end for one in known.values() for end in one["interval"]]
    if not points or not ends:
        return ""
    low, high = min(ends), max(ends)
    spread = (high - low) or 1.0
    low, high = low - 0.05 * spread, high + 0.05 * spread
    logs = [math.log10(cost) for cost in points.values()]
    left, right = min(logs) - 0.15, max(logs) + 0.15

    def across(cost: float) -> float:
        return _LEFT + (math.log10(cost) - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_BASE - _TOP)

    places = {label: place for place, label in enumerate(found["backbones"])}
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{_BASE}H{_WIDTH - _RIGHT}"/>']
    parts += [tick(left, right, cost, across(cost)) for cost in ticks(points.values())]
    for value in (low, high):
        parts.append(f'<text x="{_LEFT - 4}" y="{up(value) + 3:.1f}" text-anchor="end">{value:.3g}</text>')
    for label in _LINES:
        if label in known:
            y = up(known[label]["mean"])
            parts.append(f'<path class="line" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(
                f'<text x="{_WIDTH - _RIGHT}" y="{y - 3:.1f}" text-anchor="end">{escape(label)}</text>'
            )
    shifts: dict[float, int] = {}
    for label, cost in points.items():
        shift = shifts.get(cost, 0)  # networks of equal cost stand side by side
        shifts[cost] = shift + 1
        parts.append(point(known[label], across(cost) + 9 * shift, up, color(places[label]), label))
    better = "more is better" if more else "less is better"
    return (
        f"<figure><figcaption>{escape(task)}, {escape(metric)} ({better})</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(task)} against cost">{"".join(parts)}'
        f'<text x="{(_LEFT + _WIDTH) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">TFLOP an image</text>'
        "</svg></figure>"
    )


def point(score: Mapping[str, Any], x: float, up: Any, ink: str, label: str) -> str:
    """Return a score with its interval.

    Args:
        score: With `mean` and `interval`.
        x: Place on the page.
        up: Returns the height of a value.
        ink: Color.
        label: Of the row.
    """
    low, high = score["interval"]
    text = f"{label}: {digits(score['mean'])} [{digits(low)}, {digits(high)}]"
    shape = "none" if label in BASELINES else ink  # hollow for baselines without pretraining
    return (
        f'<g><title>{escape(text)}</title><path style="stroke:{ink}" d="M{x:.1f} {up(low):.1f}V{up(high):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{up(score["mean"]):.1f}" r="4" style="stroke:{ink};fill:{shape}"/></g>'
    )


def ticks(costs: Any) -> list[float]:
    """Return the least and the greatest cost."""
    return sorted({min(costs), max(costs)})


def tick(left: float, right: float, cost: float, x: float) -> str:
    """Return a mark on the axis of costs.

    Args:
        left: Logarithm at the left end.
        right: Logarithm at the right end.
        cost: Its value.
        x: Place on the page.
    """
    return (
        f'<path class="axis" d="M{x:.1f} {_BASE}v4"/>'
        f'<text x="{x:.1f}" y="{_BASE + 15}" text-anchor="middle">{cost:.3g}</text>'
    )
