"""What a skeleton file need not say: mirror partners and colours, guessed from the names."""

import re
from collections.abc import Mapping, Sequence

from sapiens2_lit.skeletons.skeleton import Color

# A side is a word of its own: left_eye, eye_l, "Left Eye", upper_midpoint_1_of_l_eyebrow.
_SIDE = re.compile(r"(?<![A-Za-z])(left|right|l|r)(?![a-z])", re.IGNORECASE)
_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}

_LEFT: Color = (46, 204, 113)
_RIGHT: Color = (255, 130, 30)
_MIDDLE: Color = (51, 153, 255)
_FACE: Color = (255, 225, 90)


def guess_swap(keypoints: Sequence[str]) -> tuple[int, ...]:
    """Mirror partners by names that differ in their side alone (left/right, l/r), else each its own."""
    places = {keypoint.lower(): index for index, keypoint in enumerate(keypoints)}
    return tuple(places.get(_mirrored(keypoint), index) for index, keypoint in enumerate(keypoints))


def guess_colors(
    keypoints: Sequence[str], swap: Sequence[int], groups: Mapping[str, Sequence[int]]
) -> tuple[Color, ...]:
    """Green for the person's left, orange for the right, blue between, yellow for the face."""
    face = set(groups.get("face", ()))

    def color(index: int) -> Color:
        if index in face:
            return _FACE
        if swap[index] == index:
            return _MIDDLE
        side = _SIDE.search(keypoints[index])
        left = side.group(1).lower() in ("left", "l") if side else index < swap[index]
        return _LEFT if left else _RIGHT

    return tuple(color(index) for index in range(len(keypoints)))


def _mirrored(keypoint: str) -> str:
    return _SIDE.sub(lambda side: _OTHER_SIDE[side.group(1).lower()], keypoint.lower())
