"""Skeletons that cannot be right: where no detector has said that somebody is there, a network still draws one."""

from collections.abc import Mapping, Sequence

import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.prediction import Doubt, Instance, Prediction

DRAWN = 0.3  # the score from which keypoints count, of heads that do not say from where they draw them
_ABOVE_DRAWN = 0.05  # a person whose keypoints are hardly drawn is none
_MOST_OUTSIDE = 0.1  # of the keypoints that count
_MARGIN = 0.01  # of a picture's longer side: so far beyond its border a keypoint is outside


def mark_doubts(prediction: Prediction, heads: Mapping[str, Head], least_score: float | None = None) -> None:
    """Say, in place, of each person on a picture why it may be none; of people in given boxes nothing is said.

    Args:
        prediction: of one picture.
        heads: by name.
        least_score: of a person; where absent 0.05 above the score from which the head draws keypoints, 0.35 of most.
    """
    if prediction.people_from in ("boxes", "detector"):
        return
    for person in prediction.instances:
        person.doubt = doubt_of(person, heads[person.head], prediction.image_size, least_score)


def doubt_of(
    person: Instance, head: Head, image_size: tuple[int, int], least_score: float | None = None
) -> Doubt | None:
    """Why a skeleton is probably nobody: `outside` the picture, or its `score`; None where it may be right."""
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
    return [person for person in people if person.doubt is not None]


def describe_doubts(people: Sequence[Instance]) -> str:
    """What to tell of a picture's doubtful skeletons, such as `1 skeleton is doubtful and not drawn: score 0.210`."""
    found = doubtful(people)
    reasons = [
        "outside the picture" if person.doubt == "outside" else f"score {person.score:.3f}"
        for person in found
    ]
    who = "1 skeleton is" if len(found) == 1 else f"{len(found)} skeletons are"
    return f"{who} doubtful and not drawn: {', '.join(dict.fromkeys(reasons))}"


def check_least_score(value: float | None) -> None:
    """Raise SettingError where a person's least score is none."""
    if value is not None and not 0 <= value <= 1:
        raise SettingError(f"person_score: found {value}, expected 0 to 1")
