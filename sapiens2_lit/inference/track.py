"""Identify people from frame to frame: overlapping boxes belong to one person."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.data.coco.detections import box_iou
from sapiens2_lit.errors import SettingError


@dataclass
class Track:
    """One person so far.

    Attributes:
        id: The person's number.
        box: (4,) x, y, width, height, where they were last seen.
        time: When that was, in seconds.
    """

    id: int
    box: npt.NDArray[np.float32]
    time: float


class IouTracker:
    """Number people from 1; a box takes the number of the recently seen box that it overlaps most.

    Pairs are formed from the largest overlap down, each box and each person once. A person who is not seen for longer
    than
    `gap` gets a new number afterwards.

    Args:
        iou: Least intersection over union of one person's boxes in consecutive frames.
        gap: Seconds for which a person may be unseen.

    Raises:
        SettingError: An argument is out of its range.
    """

    def __init__(self, iou: float = 0.3, gap: float = 0.5) -> None:
        if not 0 < iou <= 1:
            raise SettingError(f"tracking: iou is {iou}, expected above 0, to 1")
        if not gap >= 0:
            raise SettingError(f"tracking: gap is {gap}, expected 0 or more seconds")
        self.iou = iou
        self.gap = gap
        self.tracks: list[Track] = []
        self._next = 1

    def update(self, boxes: npt.NDArray[np.floating], time: float) -> list[int]:
        """Return the number of each box of a frame.

        Args:
            boxes: (N, 4) x, y, width, height.
            time: Of the frame in seconds.
        """
        boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
        self.tracks = [track for track in self.tracks if time - track.time <= self.gap + 1e-9]
        ids = [0] * len(boxes)
        for box, place in self._pairs(boxes):
            track = self.tracks[place]
            ids[box] = track.id
            track.box, track.time = boxes[box], time
        for box, found in enumerate(ids):
            if not found:
                ids[box] = self._next
                self.tracks.append(Track(self._next, boxes[box], time))
                self._next += 1
        return ids

    def _pairs(self, boxes: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
        """Return pairs of box and track, most overlap first."""
        if not len(boxes) or not self.tracks:
            return []
        overlap = box_iou(boxes, np.stack([track.box for track in self.tracks]))
        pairs = []
        while overlap.max() >= self.iou:
            box, track = np.unravel_index(overlap.argmax(), overlap.shape)
            pairs.append((int(box), int(track)))
            overlap[box] = overlap[:, track] = -1
        return pairs
