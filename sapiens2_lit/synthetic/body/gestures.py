"""Gestures of arms and hands that suit each stance."""

from collections.abc import Callable

import numpy as np

from sapiens2_lit.synthetic.body.bones import BODY, SIDES, frame_of, limb_angles
from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.body.poses import Poser

Gesture = Callable[[Poser, str], None]


def reach(
    p: Poser, side: str, bone: str, place: tuple[float, float, float], pole: tuple[float, float, float]
) -> None:
    """Bring a wrist to a place.

    Args:
        p: the poser.
        side: which arm.
        bone: the joint in whose frame `place` is given, for the left side, as fractions of the height.
        place: of the wrist.
        pole: direction of the elbow, in the chest's frame, given for the left side.
    """
    sign = 1.0 if side == "left" else -1.0
    offset = np.array(place) * p.body.height * (sign, 1.0, 1.0)
    carrier = frame_of(bone, p.rest, p.angles)
    clavicle = frame_of(f"{side}_clavicle", p.rest, p.angles)
    point = clavicle[:3, :3].T @ (carrier[:3, :3] @ offset + carrier[:3, 3] - clavicle[:3, 3])
    target: Array = point * (sign, 1.0, 1.0) - p.rest[f"{side}_shoulder"][:3, 3]
    swing, bend = limb_angles(target, (p.body.upper_arm, p.body.forearm), np.array(pole), 1.0)
    p.angles[f"{side}_shoulder"], forearm = swing, p.angles.get(f"{side}_elbow", (0.0, 0.0))
    p.angles[f"{side}_elbow"] = (bend, forearm[1])


def pronate(p: Poser, side: str, low: float, high: float) -> None:
    """Turn the forearm: 0 is thumb up, positive palm down if the forearm points forward.

    Args:
        p: the poser.
        side: which arm.
        low: least angle, in degrees.
        high: greatest angle, in degrees.
    """
    bend = p.angles.get(f"{side}_elbow", (0.0, 0.0))[0]
    p.angles[f"{side}_elbow"] = (bend, float(np.clip(p.between(low, high), *BODY[f"{side}_elbow"].limits[1])))


def wrist(
    p: Poser, side: str, flexion: tuple[float, float], deviation: tuple[float, float] = (-8, 8)
) -> None:
    """Bend a wrist by random angles.

    Args:
        p: the poser.
        side: which wrist.
        flexion: range in degrees.
        deviation: range in degrees.
    """
    p.set(f"{side}_wrist", flexion, deviation)


def hold(p: Poser, side: str, *grips: str) -> None:
    """Give a hand one of some grips at random."""
    p.grips[side] = str(p.rng.choice(grips))


def down(p: Poser, side: str) -> None:
    """Hang the arm at the side."""
    wide = 4 * max(0.0, p.body.fat) + 3 * p.body.muscle
    p.set(f"{side}_shoulder", (30, 110), (2 + wide, 10 + wide), (-5, 30))
    p.set(f"{side}_elbow", (6, 28), (0, 45))
    wrist(p, side, (-8, 15))
    hold(p, side, "relaxed", "relaxed", "relaxed", "flat", "fist", "grip")


def swinging(p: Poser, side: str) -> None:
    """Swing the arm against the leg of the same side, as in walking."""
    forth = p.angles[f"{side}_hip"]
    leg = forth[1] * np.cos(np.radians(forth[0]))
    angle = -0.9 * leg + p.between(-6, 10)
    out = p.between(5, 11) + 4 * max(0.0, p.body.fat)
    _aim(p, side, angle, out, p.between(0, 25))
    p.set(f"{side}_elbow", (8, 22) if angle < 0 else (15, 45), (0, 35))
    wrist(p, side, (-5, 12))
    hold(p, side, "relaxed", "relaxed", "fist")


def pumping(p: Poser, side: str) -> None:
    """Pump the bent arm against the leg of the same side, as in running."""
    plane, elevation, _ = p.angles[f"{side}_hip"]
    forward_leg = abs(plane) < 90 and elevation > 30
    _aim(
        p, side, p.between(-50, -25) if forward_leg else p.between(15, 45), p.between(8, 16), p.between(5, 25)
    )
    p.set(f"{side}_elbow", (75, 110), (0, 20))
    wrist(p, side, (-5, 10))
    hold(p, side, "fist", "grip", "relaxed")


def _aim(p: Poser, side: str, forth: float, out: float, twist: float) -> None:
    """Aim a hanging upper arm `forth` degrees to the front and `out` to the side."""
    x, z = np.sin(np.radians(out)), np.sin(np.radians(forth))
    elevation = np.degrees(np.arcsin(min(0.99, np.hypot(x, z))))
    p.angles[f"{side}_shoulder"] = (float(np.degrees(np.arctan2(x, z))), float(elevation), twist)


def on_hip(p: Poser, side: str) -> None:
    """Put a hand on the hip."""
    wide = 0.145 + 0.012 * p.body.fat
    place = (p.between(wide, wide + 0.015), p.between(0.06, 0.10), p.between(-0.01, 0.03))
    reach(p, side, "pelvis", place, (1.0, -0.1, -p.between(0.3, 0.9)))
    pronate(p, side, 10, 60)
    wrist(p, side, (0, 30))
    hold(p, side, "fist", "grip")


def crossed(p: Poser, side: str) -> None:
    """Cross the forearms before the chest; the left one is the outer one."""
    outer = side == "left"
    deep = 0.100 + 0.012 * p.body.fat + 0.012 * p.body.feminine + (0.032 if outer else 0.0)
    place = (p.between(-0.045, -0.02), 0.070 + (0.022 if outer else 0.0), deep)
    reach(p, side, "thorax", place, (0.6, -1.0, -0.15))
    pronate(p, side, 10, 40)
    wrist(p, side, (0, 15))
    hold(p, side, "flat", "relaxed", "grip")


def clasped(p: Poser, side: str) -> None:
    """Hold the hands together before the hips."""
    deep = 0.105 + 0.020 * max(0.0, p.body.fat) + (0.022 if side == "left" else 0.0)
    reach(p, side, "pelvis", (0.030, 0.045 + (0.015 if side == "left" else 0.0), deep), (1.0, -0.3, -0.4))
    pronate(p, side, 10, 40)
    wrist(p, side, (0, 20))
    hold(p, side, "relaxed", "grip")


def stretched(p: Poser, side: str) -> None:
    """Reach for something in front, above or to the side."""
    place = (p.between(0.0, 0.35), p.between(0.0, 0.38), p.between(0.12, 0.36))
    reach(p, side, "thorax", place, (0.8, -1.0, -0.3))
    pronate(p, side, -20, 70)
    wrist(p, side, (-30, 15))
    hold(p, side, "open", "flat", "grip", "relaxed")


def pointing(p: Poser, side: str) -> None:
    """Point to the front or the side."""
    p.set(f"{side}_shoulder", (-10, 90), (60, 115), (0, 40))
    p.set(f"{side}_elbow", (0, 25), (20, 75))
    wrist(p, side, (-10, 5))
    hold(p, side, "point")


def waving(p: Poser, side: str) -> None:
    """Wave with the hand beside the head."""
    p.set(f"{side}_shoulder", (70, 100), (55, 110), (-98, -70))
    p.set(f"{side}_elbow", (55, 115), (30, 80))
    wrist(p, side, (-30, 10), (-20, 15))
    hold(p, side, "open", "open", "victory", "flat")


def raised(p: Poser, side: str) -> None:
    """Raise the arm above the shoulder."""
    p.set(f"{side}_shoulder", (30, 95), (115, 168), (-50, 10))
    p.set(f"{side}_elbow", (5, 70), (0, 60))
    wrist(p, side, (-20, 10))
    hold(p, side, "open", "fist", "flat", "relaxed")


def sideways(p: Poser, side: str) -> None:
    """Stretch the arm out to the side."""
    p.set(f"{side}_shoulder", (75, 100), (60, 100), (-30, 20))
    p.set(f"{side}_elbow", (3, 35), (10, 70))
    wrist(p, side, (-15, 10))
    hold(p, side, "open", "flat", "relaxed")


def at_head(p: Poser, side: str) -> None:
    """Put a hand on the ear or the back of the head."""
    place = (p.between(0.075, 0.095), p.between(-0.02, 0.02), p.between(-0.03, 0.04))
    reach(p, side, "skull", place, (1.0, -p.between(0.0, 0.6), p.between(-0.3, 0.3)))
    pronate(p, side, 0, 50)
    wrist(p, side, (-20, 10))
    hold(p, side, "relaxed", "grip", "flat")


def before_chest(p: Poser, side: str) -> None:
    """Bend the forearm up before the chest, as with a phone or in conversation."""
    place = (p.between(0.02, 0.14), p.between(0.05, 0.16), p.between(0.14, 0.24))
    reach(p, side, "thorax", place, (0.7, -1.0, -0.2))
    pronate(p, side, -40, 40)
    wrist(p, side, (-20, 20))
    hold(p, side, "grip", "relaxed", "open", "point")


def on_thigh(p: Poser, side: str) -> None:
    """Lay a hand on the thigh of the same side, for sitting and crouching."""
    along, above = p.between(0.55, 0.85) * p.body.thigh / p.body.height, p.between(0.062, 0.070)
    reach(
        p,
        side,
        f"{side}_hip",
        (p.between(-0.01, 0.015), -along, above + 0.010 * p.body.fat),
        (1.0, -0.2, -0.5),
    )
    pronate(p, side, 45, 80)
    wrist(p, side, (-20, 5))
    hold(p, side, "flat", "relaxed", "fist")


# For each stance: gestures of both arms together, then those of a single arm, with their weights.
BOTH: dict[str, dict[Gesture, float]] = {
    "standing": {
        down: 4,
        on_hip: 1.2,
        crossed: 1.5,
        clasped: 1.2,
        raised: 0.7,
        sideways: 0.5,
        before_chest: 0.8,
    },
    "walking": {swinging: 6},
    "running": {pumping: 6},
    "sitting": {on_thigh: 4, clasped: 0.5, crossed: 0.8, before_chest: 1, down: 0.7, raised: 0.3},
    "crouching": {on_thigh: 2, before_chest: 1.5, stretched: 1, clasped: 0.5},
    "bending": {down: 1, stretched: 1.5, on_thigh: 1.2, before_chest: 0.7},
}
SINGLE: dict[str, dict[Gesture, float]] = {
    "standing": {
        stretched: 2,
        pointing: 1.2,
        waving: 1.5,
        at_head: 1,
        before_chest: 1.5,
        on_hip: 1,
        raised: 0.7,
    },
    "walking": {waving: 1, before_chest: 1, pointing: 0.5},
    "running": {},
    "sitting": {stretched: 1.5, pointing: 0.7, waving: 1, at_head: 0.7, before_chest: 1.5},
    "crouching": {stretched: 2, pointing: 1},
    "bending": {stretched: 1.5, pointing: 1},
}
REACHING: dict[Gesture, float] = {stretched: 3, pointing: 1.5, waving: 1.5, raised: 1, sideways: 0.7}


def gesture(p: Poser, stance: str, reaching: bool) -> None:
    """Pose both arms.

    Args:
        p: the poser.
        stance: the stance that they suit.
        reaching: at least one arm reaches, points or waves.
    """
    for side in SIDES:
        p.set(f"{side}_clavicle", (-2, 5), (-4, 6))
    both = _draw(p, BOTH[stance])
    single = REACHING if reaching else SINGLE[stance]
    alone = p.coin()[0] if single and (reaching or p.rng.random() < 0.4) else None
    for side in SIDES:
        act = _draw(p, single) if side == alone else both
        if alone is not None and act in (crossed, clasped):
            act = down if stance != "sitting" else on_thigh
        act(p, side)
    for side in SIDES:
        if p.angles[f"{side}_shoulder"][1] > 95:  # a high arm lifts the shoulder
            p.set(f"{side}_clavicle", (10, 28), (-5, 8))


def _draw(p: Poser, weighted: dict[Gesture, float]) -> Gesture:
    choices = list(weighted)
    chances = np.array([weighted[choice] for choice in choices])
    return choices[int(p.rng.choice(len(choices), p=chances / chances.sum()))]
