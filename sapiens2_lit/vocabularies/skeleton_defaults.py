"""Colors for a skeleton file that gives none, guessed from the names."""

from collections.abc import Mapping, Sequence

from sapiens2_lit.vocabularies.file import Color
from sapiens2_lit.vocabularies.spelling import split_side

# Blue and orange differ for all common color blindness; white and pale yellow differ from both by lightness.
_LEFT: Color = (40, 120, 255)
_RIGHT: Color = (255, 130, 30)
_MIDDLE: Color = (235, 235, 235)
_FACE: Color = (255, 225, 90)


def guess_colors(
    keypoints: Sequence[str], swap: Sequence[int], groups: Mapping[str, Sequence[int]]
) -> tuple[Color, ...]:
    """Return blue for the person's left, orange for the right, white for the middle, yellow for the face.

    Args:
        keypoints: names of the keypoints.
        swap: index of each keypoint's mirror partner.
        groups: keypoint indices by group; only `face` is used.
    """
    face = set(groups.get("face", ()))

    def color(index: int) -> Color:
        if index in face:
            return _FACE
        if swap[index] == index:
            return _MIDDLE
        side, _ = split_side(keypoints[index])
        left = side == "left" if side else index < swap[index]
        return _LEFT if left else _RIGHT

    return tuple(color(index) for index in range(len(keypoints)))
