"""The bare head as a few smooth parts, in head heights; the features are painted on them."""

from dataclasses import dataclass, replace

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Part, ellipsoid, plain, rounded_cone
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.face import Face
from sapiens2_lit.synthetic.head.face_paint import Complexion, SkinPaint
from sapiens2_lit.synthetic.head.hair import Scalp


@dataclass(frozen=True)
class Build:
    """Individual proportions of a head, as factors around 1.

    Attributes:
        jaw, cheeks: widths.
        chin, nose: sizes.
        bridge: height of the nose's bridge.
    """

    jaw: float
    cheeks: float
    chin: float
    nose: float
    bridge: float


def lowered(angle: float) -> Array:
    """Return axes (3, 3) turned about x so that the front sinks by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])


def skin_parts(face: Face, build: Build, complexion: Complexion, scalp: Scalp | None) -> list[Part]:
    """Return skull, face, jaw, cheeks, nose, lips, chin and lids; only the skull has hair.

    Args:
        face: the features.
        build: the proportions.
        complexion: the colors.
        scalp: the area with hair; None without hair.
    """
    bare = plain(complexion.skin, BodyClass.FACE_NECK)  # replaced below, where each part's frame is known
    skull = ellipsoid((0, 0.21, 0.03), (0.325, 0.39, 0.415), bare)
    eye, nose, mouth = face.eyes[0], face.nose, face.mouth
    eyes = 0.5 * (eye.y + face.eyes[1].y)
    parts = [
        ellipsoid((0, 0.02, 0.125), (0.292 * build.cheeks, 0.38, 0.29), bare),
        ellipsoid((0, -0.145, 0.12), (0.245 * build.jaw, 0.195, 0.275), bare, rotation=lowered(0.42)),
        ellipsoid((0, -0.13, 0.17), (0.21 * build.jaw, 0.262, 0.228), bare),
        ellipsoid((0, -0.312, 0.215), (0.125 * build.chin, 0.088, 0.16), bare),
        rounded_cone((0, nose.root, 0.393), (0, nose.tip + 0.02, 0.462 * build.bridge), (0.032, 0.037), bare),
        ellipsoid((0, nose.tip, 0.458), (0.046 * build.nose, 0.040, 0.07 * build.nose), bare),
    ]
    for sign in (-1, 1):
        wing = nose.half_width - 0.031
        parts += [
            ellipsoid((sign * wing, nose.tip - 0.012, 0.425), (0.033, 0.034, 0.045), bare),
            ellipsoid((sign * 0.10, 0.0, 0.16), (0.188 * build.cheeks, 0.17, 0.218), bare),
            ellipsoid((sign * (eye.x - 0.015), eyes, 0.290), (0.09, 0.074, 0.103), bare),
        ]
    for middle, height in (
        (0.5 * mouth.upper + mouth.raised, mouth.upper),
        (-0.5 * mouth.lower - mouth.dropped, mouth.lower),
    ):
        semi_axes = (0.92 * mouth.half_width, 0.95 * height, 0.06)
        parts.append(ellipsoid((0, mouth.y + middle, 0.356), semi_axes, bare))
    skin = SkinPaint(face, complexion, None)
    parts = [replace(part, paint=skin, chart=part.frame) for part in parts]
    return [replace(skull, paint=SkinPaint(face, complexion, scalp), chart=skull.frame), *parts]
