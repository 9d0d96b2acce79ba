"""Hands: a palm, three bones for each finger, and their flexion."""

import numpy as np

from sapiens2_lit.synthetic.body.bones import FINGERS, Angles
from sapiens2_lit.synthetic.body.parts import Paint
from sapiens2_lit.synthetic.body.physique import Physique, phalanges
from sapiens2_lit.synthetic.body.sculpt import Sculptor, sided

# As fractions of the hand's length: a finger's radii at its knuckle and just before its tip.
_RADII = {
    "thumb": (0.066, 0.046),
    "forefinger": (0.047, 0.038),
    "middle_finger": (0.048, 0.039),
    "ring_finger": (0.045, 0.036),
    "pinky_finger": (0.039, 0.032),
}
# Mean flexion in degrees of the joints of the four fingers and of the thumb, and the spread between neighbors.
_GRIPS: dict[str, tuple[Angles, Angles, float]] = {
    "relaxed": ((22.0, 32.0, 18.0), (5.0, 12.0, 15.0), 2.0),
    "flat": ((6.0, 6.0, 4.0), (0.0, 5.0, 5.0), 3.0),
    "open": ((-2.0, 5.0, 3.0), (-8.0, 0.0, 0.0), 9.0),
    "fist": ((80.0, 98.0, 55.0), (30.0, 35.0, 40.0), 0.0),
    "grip": ((50.0, 55.0, 30.0), (25.0, 25.0, 20.0), 1.0),
    "point": ((78.0, 95.0, 55.0), (25.0, 30.0, 30.0), 0.0),
    "victory": ((80.0, 98.0, 55.0), (30.0, 40.0, 40.0), 0.0),
}
GRIPS = tuple(_GRIPS)
_STRETCHED = {"point": ("forefinger",), "victory": ("forefinger", "middle_finger")}


def finger_angles(rng: np.random.Generator, side: str, grip: str) -> dict[str, Angles]:
    """Return the angles of one hand's fifteen joints; every finger bends slightly differently.

    Args:
        rng: source of the variation.
        side: which hand.
        grip: one of `GRIPS`.
    """
    mean, thumb, spread = _GRIPS[grip]
    angles: dict[str, Angles] = {}
    whole = rng.normal(0, 4 + 0.08 * mean[0])
    for place, finger in enumerate(FINGERS):
        base = thumb if finger == "thumb" else mean
        if finger in _STRETCHED.get(grip, ()):
            base = (4.0, 6.0, 4.0)
        curl = np.array(base) + rng.normal(0, 3, 3)
        if finger != "thumb" and grip in ("relaxed", "flat", "grip"):
            curl += whole + 4.0 * (place - 2)
        low, high = ((-15, -10, -15), (45, 60, 80)) if finger == "thumb" else ((-20, -5, -5), (95, 110, 80))
        curl = np.clip(curl, low, high)
        fan = 0.0 if finger == "thumb" else (place - 2.3) * (spread + rng.normal(0, 0.8))
        if grip == "victory" and finger in _STRETCHED["victory"]:
            fan = -12.0 if finger == "forefinger" else 8.0
        root = f"{side}_{finger}"
        angles[f"{root}1"] = (float(np.clip(fan, -25, 25)), float(curl[0]))
        angles[f"{root}2"] = (float(curl[1]),)
        angles[f"{root}3"] = (float(curl[2]),)
    return angles


def add_hand(sculptor: Sculptor, body: Physique, side: str, skin: Paint) -> None:
    """Add palm and fingers with their landmarks, by the names of both vocabularies.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        side: which hand.
        skin: its paint.
    """
    size, wrist = body.hand, f"{side}_wrist"
    stout = 1 + 0.10 * body.fat + 0.15 * body.child
    for knuckle, root, radii in (
        ((-0.475, 0.125), (-0.05, 0.055), (0.080, 0.058)),
        ((-0.475, 0.000), (-0.02, 0.000), (0.083, 0.060)),
        ((-0.425, -0.125), (-0.05, -0.050), (0.076, 0.052)),
    ):
        sculptor.cone(
            wrist,
            (0.0, root[0] * size, root[1] * size),
            (0.0, knuckle[0] * size, knuckle[1] * size),
            (radii[0] * size * stout, radii[1] * size * stout),
            skin,
        )
    for finger in FINGERS:
        _add_finger(sculptor, size, stout, side, finger, skin)


def _add_finger(sculptor: Sculptor, size: float, stout: float, side: str, finger: str, skin: Paint) -> None:
    lengths = phalanges(finger)
    thick, thin = (radius * size * stout for radius in _RADII[finger])
    label = {sided(side, "HAND")}
    total, gone = sum(lengths), 0.0
    for number, length in enumerate(lengths, start=1):
        start = thick + (thin - thick) * gone / total
        gone += length
        end = thick + (thin - thick) * gone / total
        bone = f"{side}_{finger}{number}"
        tip = length * size - (end if number == 3 else 0.0)
        # slightly thicker than the bone before, so that the joint's two balls do not coincide
        sculptor.cone(bone, (0.0, 0.0, 0.0), (0.0, -tip, 0.0), (start * (1 + 0.01 * number), end), skin)
        palm = 0.045 * size if number == 1 else 0.0
        sculptor.mark(f"{side}_{finger}{number}", bone, (0.0, 0.0, 0.0), start + palm + 0.006, label)
    sculptor.mark(
        f"{side}_{finger}4",
        f"{side}_{finger}3",
        (0.0, -lengths[2] * size + 0.3 * thin, 0.0),
        thin + 0.004,
        label,
    )
    sculptor.landmarks[f"{side}_{finger}_third_joint"] = sculptor.landmarks[f"{side}_{finger}1"]
