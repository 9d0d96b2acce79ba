"""Draw the curves of a run's table of metrics as one picture, `curves.png`."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sapiens2_lit.report.curves import Curve, thin

Color = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Place = Callable[[float, float], tuple[float, float]]  # step and value to pixels

TRAIN, VAL = "train", "val"
COLORS: dict[str, Color] = {TRAIN: (150, 165, 190), VAL: (32, 99, 201)}
OTHERS: tuple[Color, ...] = ((32, 99, 201), (214, 106, 31), (46, 139, 87), (150, 80, 170))
_INK, _FAINT, _PAPER, _BEST = (40, 44, 52), (226, 229, 234), (255, 255, 255), (214, 60, 60)
_WIDTH, _HEIGHT = 400, 250  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 34, 28  # of the plot in it
_FINE = 2  # drawn this many times as large, then shrunk, for smooth lines
_COLUMNS = 3
_METRICS = 6  # panels of a head at most
_SPIKES = 2.0  # percent of a training curve that may lie above the panel


@dataclass
class Panel:
    """Curves in one chart.

    Attributes:
        title: At the top.
        curves: By name.
        best: The step and value to mark; None for none.
    """

    title: str
    curves: dict[str, Curve] = field(default_factory=dict)
    best: tuple[int, float] | None = None


def curves_of(rows: Sequence[Mapping[str, str]]) -> dict[str, Curve]:
    """Return the columns of a `metrics.csv` as curves by name, without values that are not finite.

    Steps are counted from 1, as in the names of checkpoints: a row's number is that of the steps before it.
    """
    found: dict[str, Curve] = {}
    for row in rows:
        for name, text in row.items():
            if name != "step" and math.isfinite(value := float(text)):
                found.setdefault(name, []).append((int(row["step"]) + 1, value))
    return found


def panels_of(
    curves: Mapping[str, Curve], higher_is_better: bool = True, monitor: str = "val/score"
) -> list[Panel]:
    """Return the panels to draw: losses, score with its best value, each head's validation metrics, rates and speed.

    Args:
        curves: By name.
        higher_is_better: Whether a higher `monitor` is better.
        monitor: Name of the metric that chooses the best checkpoint.
    """
    panels = [_both(curves, "loss", "loss")]
    if score := curves.get(monitor):
        pick = max if higher_is_better else min
        found = pick(value for _, value in score)
        best = next(point for point in reversed(score) if point[1] == found)
        panels.append(Panel(monitor.removeprefix("val/"), {VAL: score}, best))
    heads: dict[str, list[str]] = {}
    for name in curves:
        stage, _, rest = name.partition("/")
        if stage == VAL and rest.count("/") == 1:
            heads.setdefault(rest.partition("/")[0], []).append(rest)
    for names in heads.values():
        panels += [_both(curves, name, name) for name in telling(names, curves)[:_METRICS]]
    rates = {name.removeprefix("lr/"): curve for name, curve in curves.items() if name.startswith("lr/")}
    panels.append(Panel("learning rate", rates))
    for name, title in (
        ("throughput/images_per_second", "images a second"),
        ("throughput/waiting_for_data", "share of time waiting for data"),
    ):
        panels.append(Panel(title, {"": curves[name]} if name in curves else {}))
    return [panel for panel in panels if panel.curves]


def telling(names: Sequence[str], curves: Mapping[str, Curve]) -> list[str]:
    """Return the names of metrics without those whose curve equals an earlier one, such as AP50 if all are 0."""
    kept: dict[tuple[tuple[int, float], ...], str] = {}
    for name in names:
        kept.setdefault(tuple(curves[f"{VAL}/{name}"]), name)
    return list(kept.values())


def draw_panels(panels: Sequence[Panel], title: str = "") -> np.ndarray:
    """Return the panels in rows of three, RGB uint8 (H, W, 3)."""
    head = 30 if title else 0
    columns = min(_COLUMNS, max(1, len(panels)))
    size = (columns * _WIDTH, head + -(-len(panels) // columns) * _HEIGHT)
    sheet = Image.new("RGB", (size[0] * _FINE, size[1] * _FINE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        pen.text((12 * _FINE, 9 * _FINE), title, _INK, _font(15))
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        _draw(pen, panel, column * _WIDTH * _FINE, (head + row * _HEIGHT) * _FINE)
    return np.asarray(sheet.reduce(_FINE))


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers between two numbers.

    Args:
        low: The lower one.
        high: The higher one.
        count: Wanted number.
    """
    if not high > low:
        return [low]
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step - 1e-9)
    return [step * place for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _both(curves: Mapping[str, Curve], name: str, title: str) -> Panel:
    stages = {stage: curves[f"{stage}/{name}"] for stage in (TRAIN, VAL) if f"{stage}/{name}" in curves}
    return Panel(title, stages)


def span(panel: Panel) -> tuple[float, float]:
    """Return the range of the values, without single spikes of training."""
    lows, highs = [], []
    for name, curve in panel.curves.items():
        values = [value for _, value in curve]
        lows.append(min(values))
        spiky = name == TRAIN and len(values) > 20
        highs.append(float(np.percentile(values, 100 - _SPIKES)) if spiky else max(values))
    low, high = min(lows), max(highs)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return (low if 0 <= low < margin else low - margin), high + margin


def _draw(pen: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    x0, x1 = left + _LEFT * _FINE, left + (_WIDTH - _RIGHT) * _FINE
    y0, y1 = top + _TOP * _FINE, top + (_HEIGHT - _BOTTOM) * _FINE
    steps = [step for curve in panel.curves.values() for step, _ in curve]
    first, last = min(steps), max(steps)
    low, high = span(panel)

    def at(step: float, value: float) -> tuple[float, float]:
        across = (step - first) / max(1, last - first)
        up = (min(max(value, low), high) - low) / (high - low)
        return x0 + across * (x1 - x0), y1 - up * (y1 - y0)

    for value in ticks(low, high):
        y = at(first, value)[1]
        pen.line([(x0, y), (x1, y)], _FAINT, _FINE)
        pen.text((x0 - 6 * _FINE, y), f"{value:.4g}", _INK, _font(11), anchor="rm")
    marks = [step for step in ticks(first, last) if float(step).is_integer()] or [first]
    for step in marks:
        pen.text((at(step, low)[0], y1 + 5 * _FINE), f"{step:,.0f}", _INK, _font(11), anchor="mt")
    pen.text((x0, top + 10 * _FINE), panel.title, _INK, _font(13))
    _draw_curves(pen, panel, at, x1, top)


def _draw_curves(pen: ImageDraw.ImageDraw, panel: Panel, at: Place, x1: int, top: int) -> None:
    end = float(x1)
    for place, name in reversed([*enumerate(panel.curves)]):
        color = COLORS.get(name, OTHERS[place % len(OTHERS)])
        pen.text((end, top + 10 * _FINE), name, color, _font(12), anchor="ra")
        end -= pen.textlength(name, _font(12)) + 10 * _FINE
    for place, (name, curve) in enumerate(panel.curves.items()):
        color = COLORS.get(name, OTHERS[place % len(OTHERS)])
        points = [at(*point) for point in thin(curve)]
        pen.line(points, color, round(1.7 * _FINE), joint="curve")
        if len(points) < 30:
            for x, y in points:
                _dot(pen, x, y, 2.2, color)
    if panel.best is not None:
        x, y = at(*panel.best)
        _dot(pen, x, y, 4, _BEST)
        words = f"best {panel.best[1]:.4f} at {panel.best[0]:,}"
        side = "rs" if x > end - 60 * _FINE else "ls"
        pen.text((x, y - 6 * _FINE), words, _BEST, _font(11), anchor=side)


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: Color) -> None:
    r = radius * _FINE
    pen.ellipse([x - r, y - r, x + r, y + r], fill=color)


@lru_cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size * _FINE)
