"""Apply cuts over columns: find the pictures that pass a bound."""

from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from sapiens2_lit.curation.scores import Scores
from sapiens2_lit.curation.settings import Cut
from sapiens2_lit.errors import SettingError

Mask = npt.NDArray[np.bool_]


def check_columns(cuts: tuple[Cut, ...], scores: Scores) -> None:
    """Check that the scores have the columns of all cuts.

    Raises:
        SettingError: Naming a missing column and the existing ones.
    """
    for cut in cuts:
        if cut.column not in scores.columns:
            near = get_close_matches(cut.column, scores.columns, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError(
                f"cuts.{cut.column}: the scores have no such column{hint}; they have {', '.join(scores.columns)}"
            )


def passes(cut: Cut, scores: Scores) -> Mask:
    """Return which pictures pass, (N,); those without a value do not.

    Raises:
        SettingError: The column holds no numbers.
    """
    if cut.bound == "equals":
        return np.array(
            [value is not None and value == cut.value for value in scores.texts(cut.column)], bool
        )
    values = scores.numbers(cut.column)
    return np.asarray(values >= cut.value if cut.bound == "min" else values <= cut.value)


def missing(cut: Cut, scores: Scores) -> int:
    """Return the number of pictures without a value."""
    return int(scores.table[cut.column].null_count)


def span(cut: Cut, scores: Scores) -> str:
    """Return the range of existing values as text, for messages."""
    if cut.bound == "equals":
        found = sorted({str(value) for value in scores.texts(cut.column)})
        return f"its values are {', '.join(found[:8])}"
    values = scores.numbers(cut.column)
    if np.isnan(values).all():
        return "no picture has a value"
    return f"its values run from {np.nanmin(values):g} to {np.nanmax(values):g}"
