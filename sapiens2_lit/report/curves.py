"""Read the curves of a run from TensorBoard's events."""

from pathlib import Path

Curve = list[tuple[int, float]]  # (step, value)

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 150, 52, 20, 8
_POINTS = 500  # drawn at most


def read_curves(run: Path) -> dict[str, Curve]:
    """Return what a run logged in training and validation, by name; if a step was repeated, the later value."""
    # imported here, since it takes seconds, which other users of curves do not need
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run), size_guidance={"scalars": _POINTS * 20}).Reload()
    names = [name for name in events.Tags()["scalars"] if name.startswith(("train/", "val/"))]
    found = {
        name: sorted({event.step: event.value for event in events.Scalars(name)}.items()) for name in names
    }
    return {name: thin(curve) for name, curve in found.items() if len(curve) > 1}


def thin(curve: Curve) -> Curve:
    """Return at most 500 points, the last one among them."""
    stride = -(-len(curve) // _POINTS)
    return curve[::stride] if (len(curve) - 1) % stride == 0 else [*curve[::stride], curve[-1]]
