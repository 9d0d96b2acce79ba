"""Bodies: height, build and proportions, and the skeleton's rest pose for them.

Fractions of the height are from anthropometric tables (Winter, Biomechanics and Motor Control of Human Movement).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sapiens2_lit.synthetic.body.bones import FINGERS, SIDES, turn
from sapiens2_lit.synthetic.body.parts import Array


@dataclass(frozen=True)
class Physique:
    """One body; lengths in meters.

    Attributes:
        height: from sole to crown.
        feminine: 0..1, changes shoulders, waist, hips and chest.
        fat: about -1 (thin) to 1.5 (heavy).
        muscle: 0..1.
        child: 0 for adults, up to 1 for the smallest children: shorter legs, larger head.
        shoulders, hips: factors on the breadths.
        limbs: factor on the length of arms and legs.
    """

    height: float
    feminine: float
    fat: float
    muscle: float
    child: float
    shoulders: float
    hips: float
    limbs: float

    @property
    def thigh(self) -> float:
        """Length of the thigh, from hip to knee."""
        return 0.245 * self.height * self.limbs * (1 - 0.10 * self.child)

    @property
    def shank(self) -> float:
        """Length of the shank, from knee to ankle."""
        return 0.246 * self.height * self.limbs * (1 - 0.10 * self.child)

    @property
    def upper_arm(self) -> float:
        """Length of the upper arm, from shoulder to elbow."""
        return 0.180 * self.height * self.limbs * (1 - 0.05 * self.child)

    @property
    def forearm(self) -> float:
        """Length of the forearm, from elbow to wrist."""
        return 0.146 * self.height * self.limbs * (1 - 0.04 * self.child)

    @property
    def hand(self) -> float:
        """Length of the hand."""
        return 0.108 * self.height

    @property
    def foot(self) -> float:
        """Length of the foot."""
        return 0.150 * self.height

    @property
    def ankle(self) -> float:
        """Height of the ankle above the bare sole."""
        return 0.042 * self.height

    @property
    def trunk(self) -> float:
        """Length from the hip joints to the skull's pivot: the height without legs and head."""
        head = 0.0826 + (0.0286 * (1.65 - self.height) / 0.55 if self.child else 0.0)
        return self.height * (1 - head) - self.thigh - self.shank - self.ankle

    def limb(self, fraction: float) -> float:
        """Return a limb's radius from its fraction of the height in an average body."""
        return fraction * self.height * (1 + 0.15 * self.fat + 0.07 * self.muscle + 0.08 * self.child)

    def girth(self, fraction: float) -> float:
        """Return a trunk's half breadth or depth from its fraction of the height in an average body."""
        return fraction * self.height * (1 + 0.16 * self.fat + 0.03 * self.muscle + 0.08 * self.child)


def sample_physique(rng: np.random.Generator) -> Physique:
    """Return a random body: adults of 1.45 to 2.0 m and, one in eight, children from 1.1 m."""
    feminine = float(np.clip(rng.beta(0.6, 0.6), 0.0, 1.0))
    if rng.random() < 0.125:
        height = float(rng.uniform(1.10, 1.45))
        child = (1.5 - height) / 0.4
        feminine *= 0.4
        fat, muscle = float(np.clip(rng.normal(0.0, 0.4), -0.9, 1.0)), 0.0
    else:
        height = float(np.clip(rng.normal(1.78 - 0.13 * feminine, 0.07), 1.45, 2.0))
        child = 0.0
        fat = float(np.clip(rng.normal(0.0, 0.55), -0.9, 1.6))
        muscle = float(np.clip(rng.beta(1.5, 2.5) - 0.2 * feminine, 0.0, 1.0))
    return Physique(
        height,
        feminine,
        fat,
        muscle,
        child,
        shoulders=(1.04 - 0.14 * feminine + 0.08 * muscle) * float(rng.normal(1.0, 0.025)),
        hips=(0.97 + 0.09 * feminine) * float(rng.normal(1.0, 0.025)),
        limbs=float(np.clip(rng.normal(1.0, 0.018), 0.96, 1.04)),
    )


@lru_cache(maxsize=4)
def rest_pose(body: Physique) -> dict[str, Array]:
    """Return the frame (4, 4) of each joint of the left side and the middle in its parent's frame; see `bones`.

    The result is kept for the next call: do not change it.
    """
    h, trunk = body.height, body.trunk
    offsets = {
        "pelvis": (0.0, 0.0, 0.0),
        "lumbar": (0.0, 0.15 * trunk, -0.004 * h),
        "thorax": (0.0, 0.20 * trunk, -0.006 * h),
        "neck": (0.0, 0.45 * trunk, -0.012 * h),
        "skull": (0.0, 0.20 * trunk, 0.012 * h),
        "clavicle": (0.014 * h, 0.375 * trunk, 0.010 * h),
        "shoulder": (0.090 * h * body.shoulders - 0.004 * h, -0.020 * trunk, -0.016 * h),
        "elbow": (0.0, -body.upper_arm, 0.0),
        "wrist": (0.0, -body.forearm, 0.0),
        "hip": (0.051 * h * body.hips, 0.0, 0.0),
        "knee": (0.0, -body.thigh, 0.0),
        "ankle": (0.0, -body.shank, 0.0),
        "toes": (0.0, -0.68 * body.ankle, 0.50 * body.foot),
        **_finger_offsets(body.hand),
    }
    rest = {}
    for name, offset in offsets.items():
        frame = np.eye(4)
        frame[:3, 3] = offset
        if name == "thumb1":
            # the thumb points down and to the front and bends across the palm
            frame[:3, :3] = turn("x", -42) @ turn("z", -20) @ turn("y", -55)
        for key in [name] if name in ("pelvis", "lumbar", "thorax", "neck", "skull") else _both(name):
            rest[key] = frame
    return rest


# As fractions of the hand's length: the knuckle's (y, z) from the wrist, then the three phalanges.
_FINGERS = {
    "thumb": ((-0.10, 0.10), (0.22, 0.19, 0.16)),
    "forefinger": ((-0.485, 0.135), (0.225, 0.135, 0.115)),
    "middle_finger": ((-0.50, 0.040), (0.245, 0.155, 0.120)),
    "ring_finger": ((-0.475, -0.052), (0.225, 0.145, 0.120)),
    "pinky_finger": ((-0.43, -0.138), (0.175, 0.105, 0.105)),
}


def phalanges(finger: str) -> tuple[float, float, float]:
    """Return the lengths of a finger's three bones (the thumb's first is the metacarpal) relative to the hand's."""
    return _FINGERS[finger][1]


def _finger_offsets(hand: float) -> dict[str, tuple[float, float, float]]:
    offsets = {}
    for finger in FINGERS:
        (y, z), lengths = _FINGERS[finger]
        palmar = -0.035 if finger == "thumb" else 0.0
        offsets[f"{finger}1"] = (palmar * hand, y * hand, z * hand)
        offsets[f"{finger}2"] = (0.0, -lengths[0] * hand, 0.0)
        offsets[f"{finger}3"] = (0.0, -lengths[1] * hand, 0.0)
    return offsets


def _both(name: str) -> list[str]:
    return [f"{side}_{name}" for side in SIDES]
