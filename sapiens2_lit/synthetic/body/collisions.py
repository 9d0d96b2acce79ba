"""Test whether a posed body passes through itself, by the center lines of its limbs."""

from collections.abc import Mapping

import numpy as np

from sapiens2_lit.synthetic.body.bones import SIDES
from sapiens2_lit.synthetic.body.parts import Array
from sapiens2_lit.synthetic.body.physique import Physique


def torso_ellipsoids(body: Physique) -> tuple[tuple[str, Array, Array], ...]:
    """Return for pelvis, belly and chest its carrying joint, its center (3,) and its semi-axes (3,) in meters."""
    h, t, girth = body.height, body.trunk, body.girth
    return (
        ("pelvis", np.array((0.0, 0.02 * t, -0.006 * h)), np.array((girth(0.092), 0.085 * h, girth(0.064)))),
        ("lumbar", np.array((0.0, 0.06 * t, 0.006 * h)), np.array((girth(0.080), 0.090 * h, girth(0.060)))),
        ("thorax", np.array((0.0, 0.22 * t, 0.0)), np.array((girth(0.086), 0.105 * h, girth(0.064)))),
    )


def limb_points(frames: Mapping[str, Array], body: Physique) -> tuple[Array, Array]:
    """Return centers (N, 3) and radii (N,) of elbows, forearms, wrists, hands, fingertips and knees, in meters."""
    points, radii = [], []
    for side in SIDES:
        elbow, wrist, knee = (frames[f"{side}_{joint}"] for joint in ("elbow", "wrist", "knee"))
        hand = wrist[:3, :3] @ (0.0, -body.hand, 0.0)
        middle = (elbow[:3, 3] + wrist[:3, 3]) / 2
        start = wrist[:3, 3]
        points += [elbow[:3, 3], middle, start, start + 0.4 * hand, start + 0.75 * hand, knee[:3, 3]]
        radii += [body.limb(fraction) for fraction in (0.022, 0.021, 0.015, 0.010, 0.008, 0.028)]
    return np.array(points), np.array(radii)


def in_torso(frames: Mapping[str, Array], body: Physique, points: Array, radii: Array) -> bool:
    """Whether a ball around one of the points is in the torso by more than 40 % of its radius.

    Args:
        frames: (4, 4) of each joint.
        body: gives the size of the torso.
        points: (N, 3) centers of the balls.
        radii: (N,) in meters.
    """
    for bone, center, axes in torso_ellipsoids(body):
        frame = frames[bone]
        own = (points - frame[:3, 3]) @ frame[:3, :3] - center
        grown = axes + 0.6 * radii[:, None]
        if (((own / grown) ** 2).sum(axis=1) < 1).any():
            return True
    return False


def collides(frames: Mapping[str, Array], body: Physique) -> bool:
    """Whether arms or knees pass through the torso, arms through head, legs or each other, or hands touch the floor."""
    points, radii = limb_points(frames, body)
    if in_torso(frames, body, points, radii):
        return True
    arms = np.array([0, 1, 2, 3, 4, 6, 7, 8, 9, 10])
    starts, ends, thick = _capsules(frames, body)
    gap = _distances(points[arms], starts, ends) - thick - 0.6 * radii[arms, None]
    if (gap[:, :5] < 0).any() or (gap[5:, 5] < 0).any() or (gap[:5, 6] < 0).any():
        return True
    ankles = [frames[f"{side}_ankle"] for side in SIDES]
    if np.linalg.norm(ankles[0][:3, 3] - ankles[1][:3, 3]) < 0.055 * body.height:
        return True
    floor = min(ankle[1, 3] for ankle in ankles) - body.ankle
    return bool((points[arms, 1] < floor + 0.04).any())


def _capsules(frames: Mapping[str, Array], body: Physique) -> tuple[Array, Array, Array]:
    """Return head, thighs, shanks, and the left then the right forearm with its hand: ends (N, 3) and radii (N,)."""
    skull = frames["skull"]
    h = body.height * (1 + 0.25 * body.child)
    segments = [(skull[:3, 3], skull[:3, 3] + skull[:3, :3] @ (0.0, 0.03 * h, 0.008 * h), 0.052 * h)]
    for first, second, radius in (("hip", "knee", 0.037), ("knee", "ankle", 0.025)):
        for side in SIDES:
            ends = frames[f"{side}_{first}"][:3, 3], frames[f"{side}_{second}"][:3, 3]
            segments.append((*ends, body.limb(radius)))
    for side in SIDES:
        wrist = frames[f"{side}_wrist"]
        tip = wrist[:3, 3] + wrist[:3, :3] @ (0.0, -0.6 * body.hand, 0.0)
        segments.append((frames[f"{side}_elbow"][:3, 3], tip, body.limb(0.013)))
    starts, ends, radii = zip(*segments, strict=True)
    return np.array(starts), np.array(ends), np.array(radii)


def _distances(points: Array, starts: Array, ends: Array) -> Array:
    """Return the distances (N, M) from points (N, 3) to segments (M, 3)."""
    along = ends - starts
    offset = points[:, None] - starts
    share = np.clip((offset * along).sum(-1) / (along * along).sum(-1), 0, 1)
    return np.linalg.norm(offset - share[..., None] * along, axis=-1)
