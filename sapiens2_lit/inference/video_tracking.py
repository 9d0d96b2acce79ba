"""Track people from frame to frame: remove duplicates, number people, smooth their keypoints."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.prediction import Instance, Prediction
from sapiens2_lit.inference.smooth import OneEuro, SmoothPoints
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.track import IouTracker
from sapiens2_lit.metrics.oks import NMS_THRESHOLD, oks_nms


class VideoTracking:
    """Process the people in a run's predictions in the order of its frames; each video starts with new tracks.

    Of people found twice the better one is kept. In videos they get numbers from 1 (`track`), the same for all
    heads, and their keypoints are smoothed (`smooth`, which numbers them as well). Photographs are independent.

    Args:
        track: Whether to number people.
        smooth: Whether to smooth keypoints; `True` for the default settings.
        nms: Two poses with an OKS above this are one person; None keeps all.

    Raises:
        SettingError: `nms` is out of its range.
    """

    def __init__(
        self, *, track: bool = False, smooth: bool | OneEuro = False, nms: float | None = NMS_THRESHOLD
    ) -> None:
        if nms is not None and not 0 < nms <= 1:
            raise SettingError(f"pose NMS: the threshold is {nms}, expected an OKS above 0, to 1")
        self.smooth = OneEuro() if smooth is True else smooth or None
        self.track = track or self.smooth is not None
        self.nms = nms
        self._begin(None)

    def __call__(self, prediction: Prediction, frame: Frame) -> Prediction:
        """Return the prediction with fewer, numbered or smoothed people; maps are unchanged."""
        people = prediction.instances if self.nms is None else suppress(prediction, self.nms)
        if frame.video is None or frame.time is None or not self.track:
            return replace(prediction, instances=people)
        video = frame.name.rpartition("/")[0]
        if video != self._video:
            self._begin(video)
        people = self._number(people, frame.time)
        if self.smooth is not None:
            people = [self._steady(person, frame.time, self.smooth) for person in people]
            self._forget(frame.time)
        return replace(prediction, instances=people)

    def _begin(self, video: str | None) -> None:
        self._video = video
        self._tracker = IouTracker()
        self._points: dict[tuple[str, int], SmoothPoints] = {}

    def _number(self, people: Sequence[Instance], time: float) -> list[Instance]:
        """Assign one number to each box, since all heads see people through the same boxes."""
        boxes = list(dict.fromkeys(tuple(person.box.tolist()) for person in people))
        ids = dict(zip(boxes, self._tracker.update(np.array(boxes), time), strict=True))
        return [replace(person, id=ids[tuple(person.box.tolist())]) for person in people]

    def _steady(self, person: Instance, time: float, settings: OneEuro) -> Instance:
        assert person.id is not None
        state = self._points.setdefault((person.head, person.id), SmoothPoints(settings))
        keypoints = person.keypoints.copy()
        keypoints[:, :2] = state.update(keypoints[:, :2], time, size=float(person.box[2:].max()))
        return replace(person, keypoints=keypoints)

    def _forget(self, time: float) -> None:
        """Drop people who will get a new number when they come back."""
        gap = self._tracker.gap
        self._points = {key: state for key, state in self._points.items() if time - state.time <= gap + 1e-9}


def suppress(prediction: Prediction, threshold: float) -> list[Instance]:
    """Return the people of a prediction in their order, without those whom the same head found twice.

    Args:
        prediction: Of one picture.
        threshold: Two poses with an OKS above this are one person.
    """
    kept: list[Instance] = []
    for head in dict.fromkeys(person.head for person in prediction.instances):
        people = [person for person in prediction.instances if person.head == head]
        info = prediction.heads.get(head)
        if info is None or info.skeleton is None or len(people) < 2:
            kept += people
            continue
        keypoints = np.stack([person.keypoints for person in people])
        scores = np.array([person.score for person in people])
        best = oks_nms(keypoints, scores, np.array(info.skeleton.sigmas), threshold)
        kept += [people[place] for place in sorted(best.tolist())]
    return kept
