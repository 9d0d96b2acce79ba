"""Whole people: a body, a pose, clothes and a head."""

from collections.abc import Mapping

import numpy as np

from sapiens2_lit.synthetic.body.bones import HANDS, SIDES, Angles, forward, within_limits
from sapiens2_lit.synthetic.body.clothes import Outfit, sample_outfit
from sapiens2_lit.synthetic.body.collisions import collides
from sapiens2_lit.synthetic.body.feet import add_feet
from sapiens2_lit.synthetic.body.gestures import gesture
from sapiens2_lit.synthetic.body.hands import add_hand, finger_angles
from sapiens2_lit.synthetic.body.limbs import add_limbs
from sapiens2_lit.synthetic.body.parts import Array, Part, Person
from sapiens2_lit.synthetic.body.physique import Physique, rest_pose, sample_physique
from sapiens2_lit.synthetic.body.poses import STANCES, Poser
from sapiens2_lit.synthetic.body.sculpt import Sculptor
from sapiens2_lit.synthetic.body.textures import sample_skin
from sapiens2_lit.synthetic.body.trunk import add_neck, add_skirt, add_trunk
from sapiens2_lit.synthetic.head.head import sample_head

# What people do, and how often; "reaching" is any stance with an arm that reaches, points or waves.
ACTIVITIES: dict[str, float] = {
    "standing": 0.36,
    "walking": 0.18,
    "running": 0.07,
    "sitting": 0.14,
    "reaching": 0.15,
    "crouching": 0.05,
    "bending": 0.05,
}
_TRIES = 200


def sample_person(rng: np.random.Generator, activity: str | None = None) -> Person:
    """Return a person with a random body, pose, outfit and head.

    The person faces +z, with the pelvis above the origin and a foot on y = 0.

    Args:
        rng: source of all choices.
        activity: one of `ACTIVITIES`; None draws it.
    """
    assert activity is None or activity in ACTIVITIES, f"{activity} is none of {', '.join(ACTIVITIES)}"
    body = sample_physique(rng)
    tone = sample_skin(rng)
    angles = sample_pose(rng, body, activity)
    outfit = sample_outfit(rng, body, tone, bent=_sits(angles))
    trunk, pivot = build_body(body, angles, outfit)
    head = sample_head(rng, height=body.height, skin=tone, feminine=body.feminine, child=body.child > 0)
    placed = head.moved(pivot)
    return Person(trunk.parts + placed.parts, {**trunk.landmarks, **placed.landmarks})


def sample_pose(rng: np.random.Generator, body: Physique, activity: str | None = None) -> dict[str, Angles]:
    """Return the angles of all joints in degrees, within their limits, without a limb that passes through the body.

    Args:
        rng: source of all choices.
        body: its lengths decide about collisions.
        activity: one of `ACTIVITIES`; None draws it.

    Raises:
        AssertionError: all tries collide.
    """
    if activity is None:
        chances = np.array(list(ACTIVITIES.values()))
        activity = str(rng.choice(list(ACTIVITIES), p=chances / chances.sum()))
    reaching = activity == "reaching"
    stance = str(rng.choice(("standing", "standing", "walking", "sitting"))) if reaching else activity
    rest = rest_pose(body)
    for _ in range(_TRIES):
        poser = Poser(rng, body, rest)
        STANCES[stance](poser)
        gesture(poser, stance, reaching)
        possible = all(within_limits(name, angles) for name, angles in poser.angles.items())
        if possible and not collides(poser.frames(), body):
            for side in SIDES:
                poser.angles |= finger_angles(rng, side, poser.grips[side])
            return poser.angles
    raise AssertionError(f"no pose of {activity} without a collision in {_TRIES} tries")


def build_body(body: Physique, angles: Mapping[str, Angles], outfit: Outfit) -> tuple[Person, Array]:
    """Return a posed and dressed body without its head, a foot on y = 0, and the (4, 4) frame of the skull's pivot.

    Args:
        body: its size and shape.
        angles: of the joints, in degrees; missing ones are zero, as in the rest pose.
        outfit: its clothes.
    """
    rest = rest_pose(body)
    bones = forward(rest, angles)
    bones |= forward(rest, angles, HANDS, bones)
    sculptor = Sculptor(bones, rest)
    add_feet(sculptor, body, outfit)
    sculptor.lower(min(lowest(part) for part in sculptor.parts))
    add_trunk(sculptor, body, outfit)
    add_limbs(sculptor, body, outfit)
    add_skirt(sculptor, body, outfit)
    add_neck(sculptor, body, outfit)
    for side in SIDES:
        add_hand(sculptor, body, side, outfit.skin[f"{side}_HAND"])
    return sculptor.person(), bones["skull"]


def lowest(part: Part) -> float:
    """Return the least y of a part's surface."""
    reach = float(np.linalg.norm(part.frame[1, :3]))
    ends = (0.0, part.radii[0]), (part.length, part.radii[1])
    return min(float(part.frame[1, 3] + along * part.frame[1, 1]) - reach * radius for along, radius in ends)


def _sits(angles: Mapping[str, Angles]) -> bool:
    """Whether a thigh points far to the front."""
    return any(angles[f"{side}_hip"][1] > 40 and abs(angles[f"{side}_hip"][0]) < 100 for side in SIDES)
