"""Mark skeletons that cannot be right: a network draws one even where nobody is, unless a detector is asked first."""

from collections.abc import Mapping, Sequence

import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.prediction import Doubt, Instance, Prediction

DRAWN = 0.3  # least score of drawn keypoints, for heads without a `draw_threshold`
_ABOVE_DRAWN = 0.05  # a person whose keypoints are hardly drawn is none
_MOST_OUTSIDE = 0.1  # share of the drawn keypoints
_MARGIN = 0.01  # share of a picture's longer side; keypoints farther beyond the border are outside


def mark_doubts(prediction: Prediction, heads: Mapping[str, Head], least_score: float | None = None) -> None:
    """Mark, in place, each person who is probably not there, with the reason; people in given boxes are not.

    Args:
        prediction: Of one picture.
        heads: By name.
        least_score: Of a person; None for 0.05 above the score from which the head draws keypoints, 0.35 for most
            heads.
    """
    if prediction.people_from in ("boxes", "detector"):
        return
    for person in prediction.instances:
        person.doubt = doubt_of(person, heads[person.head], prediction.image_size, least_score)


def doubt_of(
    person: Instance, head: Head, image_size: tuple[int, int], least_score: float | None = None
) -> Doubt | None:
    """Return why a skeleton is probably nobody: it is `outside` the picture, or by its `score`.

    None if it may be right.

    Args:
        person: With keypoints (K, 3).
        head: That predicted the person.
        image_size: (height, width) of the picture.
        least_score: As for `mark_doubts`.
    """
    drawn = float(getattr(head, "draw_threshold", DRAWN))
    least = drawn + _ABOVE_DRAWN if least_score is None else least_score
    if not person.score >= least:  # NaN, too
        return "score"
    height, width = image_size
    margin = _MARGIN * max(image_size)
    x, y, scores = person.keypoints.T
    with np.errstate(invalid="ignore"):
        inside = (x >= -margin) & (x <= width + margin) & (y >= -margin) & (y <= height + margin)
        counts = scores >= drawn
    return "outside" if (counts & ~inside).sum() > _MOST_OUTSIDE * counts.sum() else None


def doubtful(people: Sequence[Instance]) -> list[Instance]:
    """Return the people with a doubt."""
    return [person for person in people if person.doubt is not None]


def describe_doubts(people: Sequence[Instance]) -> str:
    """Return a message on a picture's doubtful skeletons: `1 skeleton is doubtful and not drawn: score 0.210`."""
    found = doubtful(people)
    reasons = [
        "outside the picture" if person.doubt == "outside" else f"score {person.score:.3f}"
        for person in found
    ]
    who = "1 skeleton is" if len(found) == 1 else f"{len(found)} skeletons are"
    return f"{who} doubtful and not drawn: {', '.join(dict.fromkeys(reasons))}"


def check_least_score(value: float | None) -> None:
    """Check a person's least score.

    Raises:
        SettingError: It is not within 0 to 1.
    """
    if value is not None and not 0 <= value <= 1:
        raise SettingError(f"person_score: found {value}, expected 0 to 1")
