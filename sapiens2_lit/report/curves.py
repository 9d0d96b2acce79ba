"""Curves of a run, out of TensorBoard's events, as pictures in SVG."""

from html import escape
from pathlib import Path

Curve = list[tuple[int, float]]  # (step, value)

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 150, 52, 20, 8
_POINTS = 500  # drawn at most


def read_curves(run: Path) -> dict[str, Curve]:
    """What a run logged in training and validation, by name; of a step that was run twice the later value."""
    # imported here: it takes seconds that others who draw curves need not wait
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": _POINTS * 20}).Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith(("train/", "val/"))]
    found = {
        name: sorted({event.step: event.value for event in events.Scalars(name)}.items()) for name in names
    }
    return {name: thin(curve) for name, curve in found.items() if len(curve) > 1}


def thin(curve: Curve) -> Curve:
    """At most 500 points, the last one among them."""
    stride = -(-len(curve) // _POINTS)
    return curve[::stride] if (len(curve) - 1) % stride == 0 else [*curve[::stride], curve[-1]]


def chosen_curves(curves: dict[str, Curve], heads: list[str]) -> dict[str, Curve]:
    """Those that a page shows: losses, the score, and what validation says of each head; not of every class."""
    shown = {"train/loss", "val/score", *(f"val/{head}/loss" for head in heads)}
    return {
        name: curve
        for name, curve in curves.items()
        if name in shown or (name.startswith("val/") and name.count("/") == 2)
    }


def draw_curve(name: str, curve: Curve) -> str:
    """One curve with its name, its range, and the step it ends at."""
    steps, values = [step for step, _ in curve], [value for _, value in curve]
    low, high = min(values), max(values)
    across, up = max(1, steps[-1] - steps[0]), (high - low) or 1.0

    def place(step: int, value: float) -> str:
        x = LEFT + (step - steps[0]) / across * (WIDTH - LEFT - 6)
        y = TOP + (high - value) / up * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    points = " ".join(place(step, value) for step, value in curve)
    base = HEIGHT - BOTTOM
    return (
        f'<figure><figcaption>{escape(name)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(name)}"><path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH - 6}"/>'
        f'<polyline points="{points}"/>'
        f'<text x="{LEFT - 4}" y="{TOP + 8}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{LEFT - 4}" y="{base}" text-anchor="end">{low:.4g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 5}">step {steps[0]}</text>'
        f'<text x="{WIDTH - 6}" y="{HEIGHT - 5}" text-anchor="end">{steps[-1]}</text></svg></figure>'
    )
