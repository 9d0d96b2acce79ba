"""Natural poses of legs, trunk and head; `gestures` poses the arms."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sapiens2_lit.synthetic.body.bones import (
    BODY,
    SIDES,
    Angles,
    ankle_angles,
    forward,
    limb_angles,
    mirrored,
    rotation,
    turn,
)
from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.body.physique import Physique

_SOLE_HEIGHT = 0.06  # of the height: ankles above the floor, with shoes, as used for balance


@dataclass
class Poser:
    """Poses one body, joint by joint.

    Attributes:
        rng: source of all choices.
        body: gives the lengths.
        rest: (4, 4) of each joint in its parent's frame, given for the left side.
        angles: the angles posed so far, in degrees.
        grips: of the hands, by side.
    """

    rng: np.random.Generator
    body: Physique
    rest: dict[str, Array]
    angles: dict[str, Angles] = field(default_factory=dict)
    grips: dict[str, str] = field(default_factory=lambda: dict.fromkeys(SIDES, "relaxed"))

    def between(self, low: float, high: float) -> float:
        """Draw a number uniformly between two bounds."""
        return float(self.rng.uniform(low, high))

    def set(self, joint: str, *ranges: tuple[float, float]) -> None:
        """Draw each angle of a joint from its range, and clip it to the joint's limits."""
        limits = BODY[joint].limits
        self.angles[joint] = tuple(
            min(max(self.between(*r), low), high) for r, (low, high) in zip(ranges, limits, strict=True)
        )

    def coin(self) -> tuple[str, str]:
        """Return the two sides in random order."""
        return ("left", "right") if self.rng.random() < 0.5 else ("right", "left")

    def frames(self) -> dict[str, Array]:
        """Return the frame (4, 4) of each joint in the present pose."""
        return forward(self.rest, self.angles)

    def plant(self, side: str, ankle: Array, *, out: float, lift: float = 0.0, knee: float = 0.15) -> None:
        """Pose a leg by the place of its ankle.

        Args:
            side: which leg.
            ankle: (3,) from the pelvis along the person's axes, in meters.
            out: degrees by which the foot turns outward.
            lift: degrees by which the heel is lifted; negative for lifted toes.
            knee: outward part of the knee's direction, relative to a forward part of 1.
        """
        pelvis = rotation(BODY["pelvis"], self.angles.get("pelvis", (0.0, 0.0, 0.0)))
        if side == "right":
            pelvis, ankle = mirrored(pelvis), ankle * (-1.0, 1.0, 1.0)
        target = pelvis.T @ ankle - self.rest["left_hip"][:3, 3]
        pole = pelvis.T @ np.array((knee, 0.0, 1.0))
        hip, bend = limb_angles(target, (self.body.thigh, self.body.shank), pole, -1.0)
        shank = pelvis @ rotation(BODY["left_hip"], hip) @ turn("x", bend)
        angles = ankle_angles(shank, turn("y", out) @ turn("x", lift))
        if angles[0] > 32:  # a deep bend lifts the heel
            lift += angles[0] - 32
            angles = ankle_angles(shank, turn("y", out) @ turn("x", lift))
        self.angles[f"{side}_hip"] = hip
        self.angles[f"{side}_knee"] = (bend,)
        self.angles[f"{side}_ankle"] = angles
        self.angles[f"{side}_toes"] = (float(np.clip(lift, 0.0, 55.0)),)

    def reachable(self, ankles: dict[str, Array]) -> float:
        """Return the greatest height of the pelvis above ankles (3,) on the floor.

        The ankles are x and z from the pelvis; y is ignored.
        """
        pelvis = rotation(BODY["pelvis"], self.angles.get("pelvis", (0.0, 0.0, 0.0)))
        leg = 0.997 * (self.body.thigh + self.body.shank)
        heights = []
        for side, ankle in ankles.items():
            offset = self.rest["left_hip"][:3, 3] * (1.0 if side == "left" else -1.0, 1.0, 1.0)
            x, y, z = pelvis @ offset
            away = (ankle[0] - x) ** 2 + (ankle[2] - z) ** 2
            heights.append(ankle[1] + np.sqrt(max(leg**2 - away, (0.5 * leg) ** 2)) - y)
        return float(min(heights))

    def stand_on(self, ankles: dict[str, Array], drop: float = 0.0, **settings: tuple[float, float]) -> None:
        """Put both legs on ankles whose y is above the floor, with the pelvis as high as possible, less `drop` meters.

        `settings` are ranges of the arguments of `plant`.
        """
        height = self.reachable(ankles) - drop
        for side, ankle in ankles.items():
            drawn = {name: self.between(*span) for name, span in settings.items()}
            self.plant(side, ankle - (0.0, height, 0.0), **{"out": self.between(2, 18), **drawn})

    def spine(self, bend: tuple[float, float], lean: float, twist: float) -> None:
        """Bend the trunk by `bend` degrees in all, shared by its two joints, and turn the head freely."""
        whole, sideways, turned = self.between(*bend), self.between(-lean, lean), self.between(-twist, twist)
        for joint, share in (("lumbar", 0.5), ("thorax", 0.5)):
            self.set(joint, *((v * share - 1, v * share + 1) for v in (whole, sideways, turned)))
        up = -0.45 * whole + self.between(-6, 10)  # the eyes still look ahead
        self.set("neck", (0.5 * up, 0.5 * up + 4), (-5, 5), (-12, 12))
        nod = self.rng.normal(0.5 * up + 3, 6)
        self.set("skull", (nod, nod), (-8, 8), (-30, 30) if self.rng.random() < 0.4 else (-10, 10))


def standing(p: Poser) -> None:
    """Stand on both legs, or with the weight on one, its hip higher and the other leg relaxed."""
    h = p.body.height
    bearing, free = p.coin()
    sign = 1.0 if bearing == "left" else -1.0
    drop = p.between(0, 7) if p.rng.random() < 0.6 else 0.0
    p.angles["pelvis"] = (p.between(-5, 5), p.between(0, 5), sign * drop)
    stance = p.between(0.035, 0.075) * h
    shift = drop / 7 * 0.03 * h
    bearing_x, free_x = stance - shift, stance + p.between(0.2, 1.0) * shift
    floor = _SOLE_HEIGHT * h
    ankles = {
        bearing: np.array((sign * bearing_x, floor, 0.0)),
        free: np.array((-sign * free_x, floor, p.between(-0.01, 0.02 + 0.01 * drop) * h)),
    }
    p.stand_on(ankles, knee=(0.1, 0.3))
    p.spine((0, 8), 4, 8)
    _counter_lean(p, sign * drop)


def _counter_lean(p: Poser, roll: float) -> None:
    """Let the spine compensate for the roll of the pelvis."""
    for joint, share in (("lumbar", 0.6), ("thorax", 0.5)):
        bend, side, twist = p.angles[joint]
        p.angles[joint] = (bend, float(np.clip(side - share * roll, -20, 20)), twist)


def walking(p: Poser) -> None:
    """Take a step: heel down in front and toes leaving behind, or one leg swinging past the other."""
    h = p.body.height
    ahead, behind = p.coin()
    sign = 1.0 if ahead == "left" else -1.0
    track, floor = p.between(0.02, 0.045) * h, _SOLE_HEIGHT * h
    p.angles["pelvis"] = (-sign * p.between(0, 8), p.between(2, 8), 0.0)
    stride = p.between(0.10, 0.21) * h
    if p.rng.random() < 0.65:
        lift = p.between(18, 40)
        raised = np.sin(np.radians(lift)) * 0.45 * p.body.foot
        ankles = {
            ahead: np.array((sign * track, floor, stride)),
            behind: np.array((-sign * track, floor + raised, -stride * p.between(0.8, 1.05))),
        }
        height = p.reachable(ankles)
        p.plant(ahead, ankles[ahead] - (0.0, height, 0.0), out=p.between(2, 12), lift=-p.between(0, 18))
        p.plant(behind, ankles[behind] - (0.0, height, 0.0), out=p.between(2, 12), lift=lift)
    else:
        stand = {behind: np.array((-sign * track, floor, p.between(-0.05, 0.05) * h))}
        height = p.reachable(stand)
        p.plant(behind, stand[behind] - (0.0, height, 0.0), out=p.between(2, 12))
        swinging = np.array((sign * track, floor + p.between(0.04, 0.10) * h, p.between(-0.10, 0.08) * h))
        p.plant(ahead, swinging - (0.0, height, 0.0), out=p.between(2, 10), lift=p.between(0, 25))
    p.spine((0, 6), 3, 6)


def running(p: Poser) -> None:
    """Run: one knee up in front, the other leg pushing off behind."""
    ahead, behind = p.coin()
    sign = 1.0 if ahead == "left" else -1.0
    p.angles["pelvis"] = (-sign * p.between(2, 10), p.between(6, 14), 0.0)
    p.set(f"{ahead}_hip", (-8, 12), (45, 85), (-8, 8))
    p.set(f"{ahead}_knee", (60, 110))
    p.set(f"{ahead}_ankle", (-10, 15), (-3, 8), (-5, 8))
    p.set(f"{behind}_hip", (170, 180), (5, 24), (-8, 5))
    p.set(f"{behind}_knee", (5, 60))
    p.set(f"{behind}_ankle", (-30, -5), (-3, 5), (-5, 8))
    p.set(f"{behind}_toes", (0, 25))
    p.spine((2, 12), 3, 8)


def sitting(p: Poser) -> None:
    """Sit on something that is not drawn, with level thighs and shanks down or stretched."""
    h, thigh = p.body.height, p.body.thigh
    p.angles["pelvis"] = (p.between(-8, 8), p.between(-12, 14), p.between(-2, 2))
    spread = p.between(0.03, 0.12) * h
    stretched = p.rng.random() < 0.25
    for side, sign in (("left", 1.0), ("right", -1.0)):
        forth = thigh + (p.between(0.3, 0.75) * p.body.shank if stretched else p.between(-0.09, 0.07) * h)
        away = forth - thigh
        down = np.sqrt(max(p.body.shank**2 - away**2, (0.4 * p.body.shank) ** 2)) + p.between(-0.03, 0.03) * h
        lift = -p.between(5, 35) if stretched else max(0.0, -away / h * 250)
        ankle = np.array((sign * (spread + p.between(-0.01, 0.03) * h), -down, forth))
        p.plant(side, ankle, out=p.between(0, 20), lift=lift, knee=p.between(0.1, 0.5))
    p.spine((-2, 28), 5, 10)


def crouching(p: Poser) -> None:
    """Crouch on both legs, with the trunk leaning forward for balance."""
    h = p.body.height
    depth = p.between(0.10, 0.36) * h
    lean = 10 + 45 * depth / (0.36 * h)
    p.angles["pelvis"] = (p.between(-6, 6), float(np.clip(p.rng.normal(lean, 6), 5, 58)), 0.0)
    floor, forth = _SOLE_HEIGHT * h, depth * p.between(0.3, 0.45)
    ankles = {
        side: np.array((sign * p.between(0.05, 0.10) * h, floor, forth + p.between(-0.03, 0.03) * h))
        for side, sign in (("left", 1.0), ("right", -1.0))
    }
    p.stand_on(ankles, drop=depth, out=(8, 24), knee=(0.2, 0.5))
    p.spine((0, 25), 4, 8)


def bending(p: Poser) -> None:
    """Bend the trunk forward on nearly straight legs."""
    h = p.body.height
    p.angles["pelvis"] = (p.between(-8, 8), p.between(15, 45), 0.0)
    ankles = {
        side: np.array((sign * p.between(0.04, 0.08) * h, _SOLE_HEIGHT * h, p.between(0.03, 0.08) * h))
        for side, sign in (("left", 1.0), ("right", -1.0))
    }
    p.stand_on(ankles, drop=p.between(0.0, 0.06) * h, knee=(0.1, 0.3))
    p.spine((5, 35), 4, 8)


STANCES: dict[str, Callable[[Poser], None]] = {
    "standing": standing,
    "walking": walking,
    "running": running,
    "sitting": sitting,
    "crouching": crouching,
    "bending": bending,
}
