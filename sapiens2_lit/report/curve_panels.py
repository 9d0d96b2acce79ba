"""Draw curves of a run as SVG: training and validation in one chart, grouped by head."""

from collections.abc import Mapping, Sequence
from html import escape

from sapiens2_lit.report.curve_sheet import TRAIN, VAL, Panel, panels_of, span, ticks
from sapiens2_lit.report.curves import Curve, thin

WIDTH, HEIGHT = 360, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 8, 22
_COLORS = {TRAIN: "var(--train)", VAL: "var(--val)"}
_OTHERS = ("var(--val)", "#d66a1f", "#2e8b57", "#b8659f", "#b8860b", "#6b7280")
OVERVIEW, RUN = "Overview", "Learning rate and speed"


def grouped(curves: Mapping[str, Curve], heads: Sequence[str]) -> dict[str, list[Panel]]:
    """Return panels by group: first losses and score, then each head, then learning rate and speed."""
    groups: dict[str, list[Panel]] = {name: [] for name in (OVERVIEW, *heads, RUN)}
    for panel in panels_of(curves):
        head = panel.title.partition("/")[0]
        group = head if head in heads else OVERVIEW if panel.title in ("loss", "score") else RUN
        groups[group].append(panel)
    return {name: panels for name, panels in groups.items() if panels}


def draw_groups(curves: Mapping[str, Curve], heads: Sequence[str]) -> str:
    """Return all groups as HTML; those behind the second one are folded."""
    parts = []
    for place, (name, panels) in enumerate(grouped(curves, heads).items()):
        drawn = "".join(draw_panel(panel, name) for panel in panels)
        unfolded = " open" if place <= 1 else ""
        parts.append(
            f'<details{unfolded}><summary>{escape(name)}</summary><div class="curves">{drawn}</div></details>'
        )
    return "".join(parts)


def draw_panel(panel: Panel, group: str = "") -> str:
    """Draw one panel as SVG, with a grid at round numbers and its best point marked."""
    steps = [step for curve in panel.curves.values() for step, _ in curve]
    first, last = min(steps), max(steps)
    low, high = span(panel)
    base = HEIGHT - _BOTTOM

    def at(step: float, value: float) -> tuple[float, float]:
        x = _LEFT + (step - first) / max(1, last - first) * (WIDTH - _LEFT - _RIGHT)
        return x, base - (min(max(value, low), high) - low) / (high - low) * (base - _TOP)

    parts = []
    for value in ticks(low, high):
        y = at(first, value)[1]
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for step in [step for step in ticks(first, last) if float(step).is_integer()] or [first]:
        x = at(step, low)[0]
        anchor = "end" if x > WIDTH - 30 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{step:,.0f}</text>')
    colors = {
        name: _COLORS.get(name, _OTHERS[place % len(_OTHERS)]) for place, name in enumerate(panel.curves)
    }
    for name, curve in panel.curves.items():
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in thin(curve)))
        parts.append(f'<polyline style="stroke:{colors[name]}" points="{points}"/>')
        if len(curve) <= 12:
            dots = (at(*point) for point in curve)
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colors[name]}"/>' for x, y in dots]
    if panel.best is not None:
        parts.append(_best(panel.best, at(*panel.best)))
    title = escape(panel.title.removeprefix(f"{group}/"))
    keys = "".join(
        f'<span class="key" style="--c:{color}">{escape(name)}</span>'
        for name, color in colors.items()
        if name
    )
    return (
        f'<figure><figcaption>{title}{keys}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(panel.title)}">{"".join(parts)}</svg></figure>'
    )


def _best(best: tuple[int, float], place: tuple[float, float]) -> str:
    """Draw the best point and its text, inside the panel, below the point if there is no room above."""
    x, y = place
    anchor = "end" if x > WIDTH * 0.6 else "start" if x < WIDTH * 0.3 else "middle"
    words = f"best {best[1]:.4g} at step {best[0]:,}"
    below = y + 16 if y < _TOP + 16 else y - 8
    return (
        f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
        f'<text class="best" x="{x:.1f}" y="{below:.1f}" text-anchor="{anchor}">{words}</text>'
    )
