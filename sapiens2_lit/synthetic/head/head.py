"""Heads: skin, ears, hair, things worn on the head, and named points."""

from dataclasses import dataclass, replace

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Part, Person
from sapiens2_lit.synthetic.head.ears import Ear
from sapiens2_lit.synthetic.head.eyewear import sample_glasses
from sapiens2_lit.synthetic.head.face import Brow, Eye, Face, Mouth, Nose
from sapiens2_lit.synthetic.head.face_landmarks import chart_points, lift
from sapiens2_lit.synthetic.head.face_paint import Complexion
from sapiens2_lit.synthetic.head.hair import Scalp, hanging_beard, sample_hair_color, sample_locks
from sapiens2_lit.synthetic.head.headwear import sample_headwear
from sapiens2_lit.synthetic.head.skull import Build, skin_parts

_IRISES = np.array(
    [
        (0.22, 0.12, 0.07),
        (0.36, 0.21, 0.11),
        (0.42, 0.33, 0.16),
        (0.36, 0.44, 0.30),
        (0.36, 0.50, 0.62),
        (0.48, 0.54, 0.56),
    ]
)


def head_height(height: float, *, child: bool = False) -> float:
    """Return chin to crown in meters for a person of `height` meters: 0.13 of it, and more for smaller children."""
    return height * (0.13 + (0.045 * float(np.clip((1.65 - height) / 0.55, 0, 1)) if child else 0.0))


def sample_head(
    rng: np.random.Generator, *, height: float, skin: Array, feminine: float, child: bool = False
) -> Person:
    """Return a head with all face and ear points of coco17, coco_wholebody133 and sociopticon308.

    Args:
        rng: source of all choices that the arguments leave open.
        height: of the person, in meters.
        skin: sRGB (3,) in 0..1.
        feminine: 0..1, influences hair, brows, lips and beard.
        child: larger eyes, a smaller nose and jaw.

    Returns:
        Parts and landmarks in meters in the head frame: x to the person's left, y up, z to the front. The origin is
            where the head turns on the neck, 0.4 of its height above the chin's lower end.
    """
    skin = np.asarray(skin, dtype=np.float64)
    shape = sample_shape(rng, skin=skin, feminine=feminine, child=child)
    size = head_height(height, child=child)
    width, length = rng.normal(1.0, 0.025, 2).clip(0.94, 1.07)
    return assemble(shape, worn(rng, shape, feminine, child), np.array([width, 1.0, length]) * size)


@dataclass(frozen=True)
class HeadShape:
    """A bare head; lengths in head heights."""

    face: Face
    ear: Ear
    build: Build
    complexion: Complexion
    scalp: Scalp | None

    def skin(self) -> list[Part]:
        """Return the parts on whose surface the landmarks lie."""
        ears = [self.ear.part(side, self.complexion.skin) for side in (-1, 1)]
        return [*skin_parts(self.face, self.build, self.complexion, self.scalp), *ears]


def assemble(shape: HeadShape, others: list[Part], size: Array) -> Person:
    """Return the head with all parts and landmarks in meters.

    Args:
        shape: the bare head.
        others: hair and worn things, in head heights.
        size: (3,) meters of one head height along x, y, z.
    """
    skin = shape.skin()
    stretch = np.diag([*size, 1.0])
    landmarks = lift(chart_points(shape.face, shape.ear), skin, size)
    return Person([part.moved(stretch) for part in (*skin, *others)], landmarks)


def sample_shape(
    rng: np.random.Generator, *, skin: Array, feminine: float, child: bool = False, asymmetry: float = 1.0
) -> HeadShape:
    """Return a random bare head.

    Args:
        rng: source of the choices.
        skin: sRGB (3,).
        feminine: 0..1.
        child: whether it is a child.
        asymmetry: 1 for natural; with 0 the left side mirrors the right.
    """
    face = _sample_face(rng, feminine, child, asymmetry)
    grown = not child and feminine < 0.5
    complexion = _sample_complexion(rng, skin, feminine, child, mottled=asymmetry > 0)
    balding = grown and rng.uniform() < 0.16
    scalp = Scalp(
        front=float(rng.normal(0.41, 0.018)) + 0.02 * child,
        recess=(1 - feminine) * rng.uniform(0.0, 0.07) * (not child),
        bald=float(rng.uniform(1.0, 1.6)) if balding else 0.0,
        color=complexion.hair,
    )
    ear = Ear(
        (0.315, 0.035 - 0.015 * child, -0.01),
        rng.normal(0.135, 0.008),
        rng.uniform(0.08, 0.3),
        rng.uniform(0.3, 0.6),
    )
    build = Build(
        jaw=rng.normal(1.02 - 0.07 * feminine - 0.06 * child, 0.03),
        cheeks=rng.normal(1.0 + 0.08 * child, 0.05),
        chin=rng.normal(1.0 - 0.14 * feminine - 0.1 * child, 0.06),
        nose=rng.normal(1.02 - 0.06 * feminine - 0.18 * child, 0.06),
        bridge=rng.normal(1.0 - 0.02 * child, 0.012),
    )
    return HeadShape(face, ear, build, complexion, scalp)


def _sample_complexion(
    rng: np.random.Generator, skin: Array, feminine: float, child: bool, *, mottled: bool
) -> Complexion:
    darkness = float(np.clip((0.75 - skin.mean()) / 0.35, 0, 1))
    fair = 1 - darkness
    hair = sample_hair_color(rng, darkness=darkness, child=child)
    grown = not child and feminine < 0.5
    beard = bool(grown and rng.uniform() < 0.28)
    made_up = feminine * rng.uniform() * (not child)
    natural = skin * (0.88, 0.64, 0.64)
    chances = np.array([0.3 + darkness, 0.3, 0.12 * fair, 0.08 * fair, 0.14 * fair, 0.06 * fair])
    return Complexion(
        skin=skin,
        lips=np.clip(natural + 0.5 * made_up * (np.array([0.72, 0.22, 0.28]) - natural), 0, 1),
        brows=np.minimum(0.75 * hair + 0.08 * skin, 0.6 * skin),
        iris=_IRISES[rng.choice(len(_IRISES), p=chances / chances.sum())],
        hair=hair,
        beard_color=0.9 * hair,
        blush=rng.uniform(0.3, 1.0),
        shadow=made_up * rng.uniform(0, 0.8),
        stubble=float(rng.uniform(0.2, 1.0)) if grown and not beard and rng.uniform() < 0.5 else 0.0,
        beard=beard,
        freckles=float(rng.uniform(0.2, 0.8)) if rng.uniform() < 0.2 * fair else 0.0,
        phase=rng.uniform(0, 2 * np.pi, 3) if mottled else None,
    )


def worn(rng: np.random.Generator, shape: HeadShape, feminine: float, child: bool) -> list[Part]:
    """Return the parts of hair that stands off the head, a long beard, a hat, glasses, in head heights.

    Args:
        rng: source of the choices.
        shape: the bare head.
        feminine: 0..1.
        child: whether it is a child.
    """
    look, scalp = shape.complexion, shape.scalp
    parts: list[Part] = []
    hat, hidden = rng.uniform() < 0.12, False
    if hat:
        parts, hidden = sample_headwear(rng, feminine=feminine)
    if scalp is not None and not scalp.bald and not hidden:
        parts += sample_locks(rng, scalp.color, feminine=feminine, hat=hat)
    if look.beard and rng.uniform() < 0.4:
        parts += hanging_beard(rng.uniform(0.05, 0.16), look.beard_color)
    if rng.uniform() < (0.06 if child else 0.16):
        parts += sample_glasses(rng, shape.face, shape.ear)
    return parts


def _sample_face(rng: np.random.Generator, feminine: float, child: bool, asymmetry: float) -> Face:
    level = rng.normal(0.10, 0.006) - 0.04 * child
    apart = rng.normal(0.140, 0.005)
    width = rng.normal(0.072, 0.004) * (1 + 0.12 * child)
    wide = rng.choice([rng.uniform(0.75, 1.0), rng.uniform(0.2, 0.7), 0.0], p=[0.86, 0.09, 0.05])
    look = rng.normal(0, 0.012, 2).clip(-0.024, 0.024) * (asymmetry, 0.4)
    iris = 0.0285 * (1 + 0.12 * child) * rng.normal(1, 0.03)
    eye = Eye(
        x=apart,
        y=level,
        half_width=width,
        upper=rng.normal(0.036, 0.003) * (1 + 0.15 * child + 0.06 * feminine),
        lower=rng.normal(0.020, 0.002) * (1 + 0.15 * child),
        cant=rng.normal(0.005, 0.005),
        openness=float(wide),
        lash=rng.uniform(0.006, 0.010) + 0.004 * feminine,
        crease=rng.uniform(0.012, 0.028),
        gaze=(0.0, float(look[1])),
        iris=iris,
        pupil=iris * rng.uniform(0.32, 0.5),
    )
    raised = rng.normal(0.085, 0.008) + 0.006 * feminine
    brow = Brow(
        inner=(rng.uniform(0.048, 0.064), level + raised),
        outer=(apart + rng.uniform(0.085, 0.105), level + raised - rng.uniform(-0.005, 0.02)),
        arch=rng.uniform(0.008, 0.022) + 0.008 * feminine,
        thickness=(rng.uniform(0.026, 0.042) - 0.012 * feminine) * (1 - 0.25 * child),
    )
    eyes, brows = [], []
    for sign in (-1, 1):
        lid, up = asymmetry * rng.normal(0, (0.03, 0.003))
        openness = float(np.clip(eye.openness + (lid if eye.openness else 0), 0, 1))
        eyes.append(replace(eye, openness=openness, gaze=(sign * float(look[0]), eye.gaze[1])))
        shifted = [(x, y + up) for x, y in (brow.inner, brow.outer)]
        brows.append(replace(brow, inner=shifted[0], outer=shifted[1]))
    tip = rng.normal(-0.055, 0.006) - 0.005 * child
    half = rng.normal(0.079, 0.006) - 0.004 * feminine - 0.008 * child
    nose = Nose(
        root=level + 0.012,
        tip=tip,
        base=tip - 0.047,
        half_width=half,
        nostril=(0.46 * half, tip - 0.030, 0.021, 0.0085),
    )
    return Face((eyes[0], eyes[1]), (brows[0], brows[1]), nose, _sample_mouth(rng, nose, feminine, child))


def _sample_mouth(rng: np.random.Generator, nose: Nose, feminine: float, child: bool) -> Mouth:
    """Return a mouth: neutral, smiling with closed lips or with teeth, or open."""
    mood = rng.choice(4, p=[0.4, 0.25, 0.23, 0.12])
    smile = (
        rng.normal(0.003, 0.004),
        rng.uniform(0.01, 0.025),
        rng.uniform(0.015, 0.03),
        rng.uniform(-0.005, 0.01),
    )[mood]
    raised = (0.0, 0.0, rng.uniform(0.004, 0.010), rng.uniform(0.004, 0.012))[mood]
    dropped = (0.0, 0.0, rng.uniform(0.014, 0.030), rng.uniform(0.015, 0.065))[mood]
    full = rng.normal(1.0 + 0.18 * feminine, 0.14)
    return Mouth(
        y=nose.base - rng.normal(0.083, 0.005) + 0.012 * child,
        half_width=(rng.normal(0.108, 0.006) - 0.010 * child)
        * (1 + 2.5 * max(smile, 0.0) + 0.1 * (mood == 2)),
        smile=smile,
        upper=0.033 * np.clip(full, 0.6, 1.5),
        lower=0.040 * np.clip(full * rng.normal(1, 0.08), 0.6, 1.5),
        bow=rng.uniform(0.12, 0.3),
        raised=raised,
        dropped=dropped,
        teeth=((raised + 0.8 * dropped) * 0.8 if mood == 2 else 0.016, 0.010 if dropped > 0.035 else 0.0),
        tongue=0.45 * dropped if dropped > 0.03 else 0.0,
    )
