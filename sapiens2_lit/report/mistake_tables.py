"""Show mistakes as tables: a confusion matrix of classes, the worst keypoints, and left-right confusions."""

from collections.abc import Mapping
from html import escape

import numpy as np

from sapiens2_lit.report.mistakes import Mistakes

_CLASSES = 30  # in one matrix at most
_SHOWN = 12  # rows of a list at most
_LEAST = 0.005  # shares below this are left blank


def mistake_parts(mistakes: Mistakes | None, members: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a head's mistakes as HTML; empty if there are none.

    Args:
        mistakes: The counts, or None.
        members: Metrics of single keypoints, by name.
    """
    if mistakes is None:
        return []
    parts = []
    if mistakes.classes is not None and len(mistakes.present()) > 1:
        parts += ["<h3>Confusion of classes</h3>", confusion_table(mistakes)]
    if mistakes.skeleton is not None:
        parts += worst_keypoints(members)
        parts += left_right(mistakes)
    return parts


def confusion_table(mistakes: Mistakes) -> str:
    """Return the shares of each labeled class's pixels by predicted class.

    Only the largest classes if there are many.
    """
    assert mistakes.classes is not None
    present = list(mistakes.present())
    counts = mistakes.confusion.numpy()
    if len(present) > _CLASSES:
        present = sorted(sorted(present, key=lambda place: -counts[place].sum())[:_CLASSES])
    names = [mistakes.classes.names[place] for place in present]
    labelled = counts.sum(axis=1)
    shares = counts[np.ix_(present, present)] / np.maximum(labelled[present], 1)[:, None]
    turned = "".join(f'<th class="turned"><span>{escape(name)}</span></th>' for name in names)
    rows = []
    for row, name in enumerate(names):
        cells = "".join(_cell(float(share), row == column) for column, share in enumerate(shares[row]))
        pixels = f"{labelled[present[row]]:,}"
        rows.append(f'<tr><th title="{pixels} labeled pixels">{escape(name)}</th>{cells}</tr>')
    return (
        '<p class="note">Percent of the pixels labeled as each row that are predicted as each column. '
        "Classes that occur in neither are left out.</p>"
        f'<div class="matrix"><table><thead><tr><th>labeled \\ predicted</th>{turned}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(share: float, hit: bool) -> str:
    words = f"{100 * share:.0f}" if share >= _LEAST else ""
    kind = ' class="hit"' if hit else ""
    return f'<td{kind} style="background:rgb(var(--heat) / {0.75 * share:.3f})">{words}</td>'


def worst_keypoints(members: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the keypoints that are found least often, by the strictest threshold of PCK at which any is found."""
    columns = sorted(
        {column for values in members.values() for column in values if column.startswith("PCK@")}
    )
    column = next((one for one in columns if any(v.get(one, 0) > 0 for v in members.values())), None)
    if column is None:
        return []
    found = {name: values[column] for name, values in members.items() if column in values}
    worst = sorted(found, key=lambda name: (found[name], name))[:_SHOWN]
    rows = [_bar_row(name, found[name], "") for name in worst]
    threshold = column.partition("@")[2]
    note = f"Share of labeled points that are found within {threshold} of the person's box ({column})."
    return [
        "<h3>Worst keypoints</h3>",
        f'<p class="note">{note}</p>',
        f'<table class="bars">{"".join(rows)}</table>',
    ]


def left_right(mistakes: Mistakes) -> list[str]:
    """Return the keypoints that are most often confused with those of the other side."""
    seen = mistakes.sides_seen()
    if not seen:
        return []
    swaps = mistakes.swaps()
    swapped = sum(one.swapped for one in swaps)
    note = (
        f"{swapped:,} of {seen:,} points ({100 * swapped / seen:.1f} %) lie nearer to the label of the other side "
        "than to their own; pairs of points that lie close together are left out."
    )
    rows = [
        _bar_row(f"{one.name} for {one.partner}", one.share, f"{one.swapped:,} of {one.seen:,}")
        for one in swaps[:_SHOWN]
    ]
    table = f'<table class="bars">{"".join(rows)}</table>' if rows else ""
    return ["<h3>Left-right confusions</h3>", f'<p class="note">{note}</p>', table]


def _bar_row(name: str, share: float, words: str) -> str:
    return (
        f'<tr><td>{escape(name)}</td><td><span class="bar"><i style="width:{100 * share:.0f}%"></i></span></td>'
        f'<td class="number">{100 * share:.1f} %</td><td class="number">{words}</td></tr>'
    )
