"""The skeleton: joints with anatomical angles and limits, and their frames in a pose.

In the rest pose a person stands with hanging arms and hands and palms to the thighs; every joint's frame has the
person's axes: x to the left, y up, z to the front. All angles are in degrees and all offsets in meters, given for the
LEFT side; the right side is mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import acos, atan2, cos, degrees, radians, sin, sqrt

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array

SIDES = ("left", "right")
FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
MIRROR = np.diag([-1.0, 1.0, 1.0])

Angles = tuple[float, ...]


@dataclass(frozen=True)
class Joint:
    """One joint.

    Attributes:
        parent: the joint that carries it, None for the root.
        axes: axes of its angles, outermost first, with a sign: positive angles are flexion, leaning to the person's
            right, turning to the left, pronation, dorsiflexion, inversion and so on. "swing" stands for two angles,
            plane (0 front, 90 outward, 180 back) and elevation, as ISB describes the shoulder.
        limits: lowest and highest value of each angle; for a swing those of the plane and of the elevation.
        reach: highest elevation by plane (plane, elevation), for swings.
    """

    parent: str | None
    axes: tuple[str, ...]
    limits: tuple[tuple[float, float], ...]
    reach: tuple[tuple[float, float], ...] = ()


_SHOULDER_REACH = ((-180, 50), (-135, 15), (-90, 50), (-60, 120), (0, 178), (90, 178), (135, 75), (180, 50))
_HIP_REACH = (
    (-180, 28),
    (-135, 22),
    (-90, 30),
    (-45, 60),
    (-20, 120),
    (0, 130),
    (45, 115),
    (90, 60),
    (180, 28),
)


def _sided(name: str) -> dict[str, Joint]:
    """Return the joints of one side of the body, without the hand's."""
    swing = ((-180.0, 180.0), (0.0, 178.0), (-100.0, 110.0))
    return {
        f"{name}_clavicle": Joint("thorax", ("z", "-y"), ((-10, 40), (-20, 25))),
        f"{name}_shoulder": Joint(f"{name}_clavicle", ("swing", "-y"), swing, _SHOULDER_REACH),
        f"{name}_elbow": Joint(f"{name}_shoulder", ("-x", "-y"), ((0, 150), (-90, 85))),
        f"{name}_wrist": Joint(f"{name}_elbow", ("-z", "-x"), ((-70, 80), (-30, 20))),
        f"{name}_hip": Joint("pelvis", ("swing", "-y"), (*swing[:2], (-55.0, 45.0)), _HIP_REACH),
        f"{name}_knee": Joint(f"{name}_hip", ("x",), ((0, 155),)),
        f"{name}_ankle": Joint(f"{name}_knee", ("-x", "-z", "y"), ((-55, 40), (-25, 30), (-25, 35))),
        f"{name}_toes": Joint(f"{name}_ankle", ("-x",), ((-20, 60),)),
    }


def _hand(name: str) -> dict[str, Joint]:
    """Return the three joints of each finger, starting at the knuckle (the thumb's base)."""
    joints = {}
    for finger in FINGERS:
        bend = ((-15, 45), (-10, 60), (-15, 80)) if finger == "thumb" else ((-20, 95), (-5, 110), (-5, 80))
        root = f"{name}_{finger}"
        joints[f"{root}1"] = Joint(f"{name}_wrist", ("x", "-z"), ((-25, 25), bend[0]))
        joints[f"{root}2"] = Joint(f"{root}1", ("-z",), (bend[1],))
        joints[f"{root}3"] = Joint(f"{root}2", ("-z",), (bend[2],))
    return joints


BODY: dict[str, Joint] = {
    "pelvis": Joint(None, ("y", "x", "z"), ((-30, 30), (-40, 60), (-20, 20))),
    "lumbar": Joint("pelvis", ("x", "z", "y"), ((-20, 45), (-20, 20), (-15, 15))),
    "thorax": Joint("lumbar", ("x", "z", "y"), ((-20, 40), (-20, 20), (-30, 30))),
    "neck": Joint("thorax", ("x", "z", "y"), ((-30, 35), (-20, 20), (-35, 35))),
    "skull": Joint("neck", ("x", "z", "y"), ((-30, 30), (-20, 20), (-45, 45))),
    **_sided("left"),
    **_sided("right"),
}
HANDS: dict[str, Joint] = {**_hand("left"), **_hand("right")}
JOINTS: dict[str, Joint] = {**BODY, **HANDS}


def turn(axis: str, angle: float) -> Array:
    """Return the rotation (3, 3) by `angle` degrees around "x", "y", "z" or, with a minus sign, against it."""
    a = radians(-angle if axis[0] == "-" else angle)
    c, s = cos(a), sin(a)
    if axis[-1] == "x":
        return np.array(((1.0, 0.0, 0.0), (0.0, c, -s), (0.0, s, c)))
    if axis[-1] == "y":
        return np.array(((c, 0.0, s), (0.0, 1.0, 0.0), (-s, 0.0, c)))
    return np.array(((c, -s, 0.0), (s, c, 0.0), (0.0, 0.0, 1.0)))


def swing(plane: float, elevation: float) -> Array:
    """Return the shortest rotation (3, 3) of a hanging limb into a plane of elevation (0 front, 90 left)."""
    cp, sp = cos(radians(plane)), sin(radians(plane))
    c, s = cos(radians(elevation)), sin(radians(elevation))
    skew = (c - 1) * sp * cp
    return np.array(
        (
            (cp * cp + c * sp * sp, -s * sp, skew),
            (s * sp, c, s * cp),
            (skew, -s * cp, sp * sp + c * cp * cp),
        )
    )


def rotation(joint: Joint, angles: Angles) -> Array:
    """Return the rotation (3, 3) of a joint of the left side or the middle."""
    values = iter(angles)
    steps = [
        swing(next(values), next(values)) if axis == "swing" else turn(axis, next(values))
        for axis in joint.axes
    ]
    result = steps[0]
    for step in steps[1:]:
        result = result @ step
    return result


def within_limits(name: str, angles: Angles) -> bool:
    """Whether a joint can be turned by these angles, with a tolerance of half a degree."""
    joint = JOINTS[name]
    inside = all(low - 0.5 <= a <= high + 0.5 for a, (low, high) in zip(angles, joint.limits, strict=True))
    if not inside or not joint.reach:
        return inside
    planes, elevations = zip(*joint.reach, strict=True)
    return angles[1] <= float(np.interp(angles[0], planes, elevations)) + 0.5


def forward(
    rest: Mapping[str, Array],
    angles: Mapping[str, Angles],
    joints: Mapping[str, Joint] = BODY,
    carried_by: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """Return the frame (4, 4) of each joint in the person's frame, by forward kinematics.

    Args:
        rest: (4, 4) of each joint in its parent's frame in the rest pose, given for the left side.
        angles: by joint; missing ones are zero.
        joints: the joints to compute, parents first.
        carried_by: frames of parents that are not among `joints`.
    """
    frames = dict(carried_by or {})
    for name, joint in joints.items():
        local = _local(name, rest, angles)
        frames[name] = local if joint.parent is None else frames[joint.parent] @ local
    return {name: frames[name] for name in joints}


def frame_of(name: str, rest: Mapping[str, Array], angles: Mapping[str, Angles]) -> Array:
    """Return the frame (4, 4) of one joint in the person's frame, as `forward` does for all.

    Args:
        name: of the joint.
        rest: (4, 4) of each joint in its parent's frame, given for the left side.
        angles: by joint; missing ones are zero.
    """
    frame, parent = _local(name, rest, angles), JOINTS[name].parent
    while parent is not None:
        frame, parent = _local(parent, rest, angles) @ frame, JOINTS[parent].parent
    return frame


def _local(name: str, rest: Mapping[str, Array], angles: Mapping[str, Angles]) -> Array:
    """Return a joint's frame (4, 4) in its parent's frame."""
    local = rest[name].copy()
    if name in angles:
        local[:3, :3] = local[:3, :3] @ rotation(JOINTS[name], angles[name])
    if name.startswith("right_"):
        local[0] *= -1.0
        local[:, 0] *= -1.0
    return local


def limb_angles(
    target: Array, lengths: tuple[float, float], pole: Array, bend: float
) -> tuple[Angles, float]:
    """Solve two-bone inverse kinematics for an arm (bend = 1) or leg (bend = -1) of the left side.

    Args:
        target: (3,) position of the wrist or ankle from the shoulder or hip, in the parent's frame; a limb that is too
            short points to it.
        lengths: of the two bones in meters.
        pole: (3,) direction in which the elbow or knee points.
        bend: +1 if flexion brings the second bone to the front, -1 to the back.

    Returns:
        (plane, elevation, twist) of the first joint, and the flexion of the second, in degrees.
    """
    upper, lower = lengths
    reach = float(np.linalg.norm(target))
    distance = min(max(reach, abs(upper - lower) * 1.05), (upper + lower) * 0.9995)
    ahead = target / reach
    side = pole - ahead * float(pole @ ahead)
    side = side / np.linalg.norm(side)
    cosine = (upper**2 + distance**2 - lower**2) / (2 * upper * distance)
    first = cosine * ahead + sqrt(max(0.0, 1 - cosine**2)) * side
    bent = (upper**2 + lower**2 - distance**2) / (2 * upper * lower)
    flexion = 180.0 - degrees(acos(min(1.0, max(-1.0, bent))))
    plane = degrees(atan2(first[0], first[2]))
    elevation = degrees(acos(min(1.0, max(-1.0, -first[1]))))
    towards = -bend * (side - first * float(side @ first))
    local = swing(plane, elevation).T @ towards
    return (plane, elevation, degrees(atan2(-local[0], local[2]))), flexion


def ankle_angles(shank: Array, foot: Array) -> Angles:
    """Return dorsiflexion, inversion and outward turn of the left foot for its rotation `foot` (3, 3) under `shank`."""
    r = shank.T @ foot
    return -degrees(atan2(r[2, 1], r[1, 1])), degrees(np.arcsin(r[0, 1])), degrees(atan2(r[0, 2], r[0, 0]))


def mirrored(matrix: Array) -> Array:
    """Return a rotation (3, 3) seen in the mirror that swaps left and right."""
    return MIRROR @ matrix @ MIRROR
