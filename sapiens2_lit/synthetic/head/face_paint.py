"""The skin of a head with the features of its face: colors and classes of surface points, by the curves of face.py."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.face import LASH_WIDTH, Brow, Eye, Face
from sapiens2_lit.synthetic.head.hair import Scalp, hair_tone

Indices = npt.NDArray[np.intp]
Labels = npt.NDArray[np.uint8]

FRONT = 0.2  # the surface has the face's features from this z on
_SCLERA = np.array([0.93, 0.91, 0.88])
_PUPIL = np.array([0.03, 0.03, 0.035])
_LASHES = np.array([0.09, 0.06, 0.05])
_TEETH = np.array([0.93, 0.90, 0.84])
_TONGUE = np.array([0.74, 0.36, 0.36])
_MOUTH = np.array([0.22, 0.07, 0.07])


@dataclass(frozen=True)
class Complexion:
    """Colors of a face, sRGB (3,) in 0..1, and the strength of its tints, 0..1.

    Attributes:
        skin, lips, brows, iris, hair, beard_color: colors.
        blush: of the cheeks and the nose.
        shadow: of the eyelids.
        stubble: of an unshaven chin.
        beard: whether there is a full beard, of class Hair.
        freckles: of the nose and the cheeks.
        phase: (3,) radians, of the skin's mottling; None for none.
    """

    skin: Array
    lips: Array
    brows: Array
    iris: Array
    hair: Array
    beard_color: Array
    blush: float
    shadow: float
    stubble: float
    beard: bool
    freckles: float
    phase: Array | None


@dataclass(frozen=True)
class SkinPaint:
    """Paint of a head's skin, in the head's frame in head heights.

    Attributes:
        face: features, in the frontal chart.
        complexion: colors.
        scalp: where hair grows; None without hair.
    """

    face: Face
    complexion: Complexion
    scalp: Scalp | None

    def __call__(self, head: Array) -> tuple[Array, Labels]:
        x, y, z = head.T
        rgb = self._skin(x, y, z)
        labels = np.full(len(head), BodyClass.FACE_NECK, dtype=np.uint8)
        if self.scalp is not None:
            hairy = np.flatnonzero(self.scalp.covers(head))
            rgb[hairy] = hair_tone(self.scalp.color, head[hairy])
            labels[hairy] = BodyClass.HAIR
        if self.complexion.beard:
            bearded = np.flatnonzero(beard_edge(self.face, x, y, z) > 0)
            rgb[bearded] = hair_tone(self.complexion.beard_color, head[bearded])
            labels[bearded] = BodyClass.HAIR
        front = np.flatnonzero((z > FRONT) & (y < 0.32))
        if len(front):
            x, y = x[front], y[front]
            for side, sign in ((0, -1), (1, 1)):
                self._brow(self.face.brows[side], rgb, front, sign * x, y)
                self._eye(self.face.eyes[side], rgb, front, sign * x, y)
            self._nostrils(rgb, front, np.abs(x), y)
            self._mouth(rgb, labels, front, x, y)
        return rgb, labels

    def _skin(self, x: Array, y: Array, z: Array) -> Array:
        """Return plain skin: mottled, redder on cheeks and nose, darker around the eyes and on a shaven beard."""
        look, face = self.complexion, self.face
        rgb = np.tile(look.skin, (len(x), 1))
        if look.phase is not None:
            a, b, c = look.phase
            mottle = np.sin(23 * x + 9 * z + a) * np.sin(19 * y + 11 * z + b)
            rgb *= (1 + 0.012 * mottle + 0.008 * np.sin(31 * z - 17 * y + 13 * x + c))[:, None]
        across, front = np.abs(x), np.clip((z - 0.1) / 0.2, 0, 1)
        spots = np.array(
            [
                (0.17, -0.04, 0.085, 0.07),  # cheek
                (0.0, face.nose.tip, 0.07, 0.04),
                (face.eyes[0].x - 0.012, face.eyes[0].y + 0.01, 0.085, 0.055),
                (0.062, face.eyes[0].y - 0.03, 0.03, 0.07),  # beside the nose
                (0.0, face.mouth.y - 0.085 - face.mouth.dropped, 0.07, 0.018),  # under the lip
            ]
        ).T[..., None]
        bumps = front * np.exp(-(((across - spots[0]) / spots[2]) ** 2) - ((y - spots[1]) / spots[3]) ** 2)
        weights = np.array([(look.blush, 0.6 * look.blush, 0, 0, 0), (0, 0, 0.16, 0.08, 0.10)])
        red, dark = weights @ bumps
        rgb *= 1 - dark[:, None] * (0.6, 1.0, 1.0) - red[:, None] * (-0.02, 0.12, 0.11)
        if look.freckles:
            freckled = _dots(x, y) & (z > FRONT) & (((across - 0.09) / 0.16) ** 2 + (y / 0.085) ** 2 < 1)
            rgb[freckled] *= 1 - look.freckles * np.array([0.22, 0.32, 0.38])
        if look.stubble:
            grown = np.clip(beard_edge(face, x, y, z) / 0.045, 0, 1) * look.stubble * 0.45
            rgb += grown[:, None] * (0.6 * look.beard_color + 0.25 * look.skin - rgb)
        return np.clip(rgb, 0, 1)

    def _brow(self, brow: Brow, rgb: Array, here: Indices, x: Array, y: Array) -> None:
        near = np.flatnonzero((x > brow.inner[0]) & (x < brow.outer[0]) & (np.abs(y - brow.inner[1]) < 0.08))
        if not len(near):
            return
        x, y = x[near], y[near]
        s = 2 * (x - brow.inner[0]) / (brow.outer[0] - brow.inner[0]) - 1
        hairs = here[near[(y < brow.upper(s)) & (y > brow.lower(s))]]
        rgb[hairs] += 0.82 * (self.complexion.brows - rgb[hairs])

    def _eye(self, eye: Eye, rgb: Array, here: Indices, x: Array, y: Array) -> None:
        near = np.flatnonzero((np.abs(x - eye.x) < 1.2 * eye.half_width) & (np.abs(y - eye.y) < 0.09))
        if not len(near):
            return
        here, x, y = here[near], x[near], y[near]
        look = self.complexion
        s, lash = (x - eye.x) / eye.half_width, (x - eye.x) / (LASH_WIDTH * eye.half_width)
        inside = np.abs(lash) < 1
        lid, crease = eye.upper_lid(lash), eye.upper_crease(s)
        tinted = here[inside & (y > lid) & (y < crease)]
        rgb[tinted] *= 1 - look.shadow * np.array([0.35, 0.45, 0.35])
        rgb[here[(np.abs(s) < 0.95) & (np.abs(y - crease) < 0.0035)]] *= (0.74, 0.68, 0.66)
        upper, lower = eye.upper_lash(lash), eye.lower_lash(lash)
        rgb[here[inside & (y < lid) & (y > lower)]] *= (0.86, 0.72, 0.70)
        rgb[here[inside & (y <= upper) & (y >= lid)]] = 0.8 * _LASHES + 0.2 * look.skin
        shown = eye.shows(x, y)
        rgb[here[shown]] = _SCLERA
        centre = eye.iris_center
        off = np.hypot(x - centre[0], y - centre[1])
        iris = shown & (off < eye.iris)
        ring = np.clip(1.25 - 0.6 * (off[iris] / eye.iris) ** 3, 0, 1.15)
        rgb[here[iris]] = np.minimum(look.iris * ring[:, None], 1)
        rgb[here[shown & (off < eye.pupil)]] = _PUPIL

    def _nostrils(self, rgb: Array, here: Indices, x: Array, y: Array) -> None:
        centre_x, centre_y, half_width, half_height = self.face.nose.nostril
        inside = ((x - centre_x) / half_width) ** 2 + ((y - centre_y) / half_height) ** 2 < 1
        rgb[here[inside]] *= (0.38, 0.27, 0.25)

    def _mouth(self, rgb: Array, labels: Labels, here: Indices, x: Array, y: Array) -> None:
        mouth = self.face.mouth
        near = np.flatnonzero((np.abs(x) < mouth.half_width) & (np.abs(y - mouth.y) < 0.17))
        if not len(near):
            return
        here, x, y = here[near], x[near], y[near]
        s, inner, line = x / mouth.half_width, x / mouth.inner_half_width, mouth.line(x)
        lips = (y < mouth.upper_outer(s)) & (y > mouth.lower_outer(s))
        upper, lower = lips & (y >= line), lips & (y < line)
        labels[here[upper]], labels[here[lower]] = BodyClass.UPPER_LIP, BodyClass.LOWER_LIP
        rgb[here[upper]] = 0.9 * self.complexion.lips
        rgb[here[lower]] = self.complexion.lips
        rgb[here[lips & (np.abs(y - line) < 0.0035)]] *= (0.62, 0.5, 0.5)
        top, bottom = mouth.upper_inner(inner), mouth.lower_inner(inner)
        opened = (np.abs(inner) < 1) & (y < top) & (y > bottom)
        if not opened.any():
            return
        labels[here[opened]], rgb[here[opened]] = BodyClass.FACE_NECK, _MOUTH
        tongue = opened & (y < bottom + mouth.tongue * (1 - (inner / 0.75) ** 2))
        labels[here[tongue]], rgb[here[tongue]] = BodyClass.TONGUE, _TONGUE
        # A gap between neighboring teeth, six on each side
        gap = 1 - 0.12 * (np.abs((np.abs(inner) * 7) % 1 - 0.5) > 0.44)
        tooth = _TEETH * gap[:, None]
        below = opened & (y < bottom + mouth.teeth[1]) & (np.abs(inner) < 0.8)
        labels[here[below]], rgb[here[below]] = BodyClass.LOWER_TEETH, 0.93 * tooth[below]
        above = opened & (y > top - mouth.teeth[0]) & (np.abs(inner) < 0.88)
        labels[here[above]], rgb[here[above]] = BodyClass.UPPER_TEETH, tooth[above]


def beard_edge(face: Face, x: Array, y: Array, z: Array) -> Array:
    """Return the approximate distance of skin points inside a full beard; negative outside.

    The beard covers cheeks, upper lip and chin.

    Args:
        face: gives mouth and nose.
        x: (N,) of the points.
        y: (N,) of the points.
        z: (N,) of the points.
    """
    mouth, across = face.mouth, np.abs(x)
    chin, lip = mouth.y - mouth.lower - mouth.dropped, mouth.y + mouth.upper
    bounds = [0.0, 0.06, mouth.half_width + 0.015, 0.16, 0.20, 0.235, 0.262, 0.285]
    heights = [chin - 0.022, chin - 0.012, lip - 0.01, lip, lip + 0.025, lip + 0.07, lip + 0.16, lip + 0.30]
    below_nose = np.minimum(face.nose.base - 0.008 - 0.15 * across - y, y - mouth.y)
    moustache = np.minimum(mouth.half_width + 0.02 - across, below_nose)
    return np.minimum(np.maximum(np.interp(across, bounds, heights) - y, moustache), z + 0.05 - 0.3 * y)


def _dots(x: Array, y: Array) -> npt.NDArray[np.bool_]:
    """Whether (x, y) lies in one of many small dots, one in each cell of a grid."""
    column, row = np.floor(x / 0.019), np.floor(y / 0.019)
    chance = np.modf(np.abs(np.sin(column * 12.9898 + row * 78.233)) * 4375.85)[0]
    x0, y0 = (column + 0.25 + 0.5 * chance) * 0.019, (row + 0.25 + 0.5 * np.modf(7 * chance)[0]) * 0.019
    return np.asarray((x - x0) ** 2 + (y - y0) ** 2 < (0.0045 * np.modf(13 * chance)[0]) ** 2)
