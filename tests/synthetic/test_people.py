"""Bodies: complete, anatomical, on the floor, and not passing through themselves."""

import numpy as np
import pytest

from sapiens2_lit.synthetic.body.bones import FINGERS, HANDS, JOINTS, SIDES, forward, within_limits
from sapiens2_lit.synthetic.body.clothes import sample_outfit
from sapiens2_lit.synthetic.body.collisions import collides, torso_ellipsoids
from sapiens2_lit.synthetic.body.gestures import BOTH, SINGLE
from sapiens2_lit.synthetic.body.parts import paint_points
from sapiens2_lit.synthetic.body.people import ACTIVITIES, build_body, lowest, sample_person, sample_pose
from sapiens2_lit.synthetic.body.physique import phalanges, rest_pose, sample_physique
from sapiens2_lit.synthetic.body.poses import STANCES
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.render.camera import look_at
from sapiens2_lit.synthetic.render.raycast import cast_points
from sapiens2_lit.synthetic.render.shapes import Quadrics
from sapiens2_lit.vocabularies import load_skeleton

VOCABULARIES = ("coco17", "coco_wholebody133", "sociopticon308")
OF_THE_HEAD = {
    BodyClass.BACKGROUND,
    BodyClass.EYEGLASS,
    BodyClass.HAIR,
    BodyClass.LOWER_LIP,
    BodyClass.UPPER_LIP,
    BodyClass.LOWER_TEETH,
    BodyClass.UPPER_TEETH,
    BodyClass.TONGUE,
}


# The rest pose, but with the hands away from the legs and the legs from each other.
ARMS_AWAY = {
    f"{side}_{joint}": (90.0, angle, 0.0) for side in SIDES for joint, angle in (("shoulder", 35), ("hip", 8))
}


def dressed(seed, activity=None):
    """A body without a head, its physique, angles and parts."""
    rng = np.random.default_rng(seed)
    body = sample_physique(rng)
    angles = sample_pose(rng, body, activity) if activity else ARMS_AWAY
    outfit = sample_outfit(rng, body, np.array([0.8, 0.6, 0.5]))
    return body, angles, build_body(body, angles, outfit)[0]


def surface(part, count, rng):
    """Points (count, 3) on the two balls of a part, in its own frame."""
    points = rng.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    low = points[:, 1] < (part.radii[0] - part.radii[1]) / max(part.length, 1e-9)
    if part.length == 0:
        low[:] = True
    points *= np.where(low, part.radii[0], part.radii[1])[:, None]
    points[:, 1] += np.where(low, 0.0, part.length)
    return points


def test_every_landmark_of_every_vocabulary_is_there():
    person = sample_person(np.random.default_rng(0))
    for vocabulary in VOCABULARIES:
        assert set(load_skeleton(vocabulary).keypoints) <= set(person.landmarks)
    for name, landmark in person.landmarks.items():
        assert np.isfinite(landmark.position).all(), name
        assert landmark.depth > 0, name
        assert landmark.labels <= set(BodyClass), name


def test_the_generator_alone_decides():
    first, second = (sample_person(np.random.default_rng(7)) for _ in range(2))
    other = sample_person(np.random.default_rng(8))
    assert len(first.parts) == len(second.parts)
    for a, b in zip(first.parts, second.parts, strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
    same = [
        np.array_equal(first.landmarks[k].position, second.landmarks[k].position) for k in first.landmarks
    ]
    assert all(same)
    assert not np.allclose(first.landmarks["left_wrist"].position, other.landmarks["left_wrist"].position)


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_poses_keep_to_the_joints_limits_and_out_of_the_body(activity):
    for seed in range(12):
        rng = np.random.default_rng(seed)
        body = sample_physique(rng)
        angles = sample_pose(rng, body, activity)
        beyond = [name for name, values in angles.items() if not within_limits(name, values)]
        assert not beyond
        assert {f"{side}_{finger}{n}" for side in SIDES for finger in FINGERS for n in (1, 2, 3)} <= set(
            angles
        )
        frames = forward(rest_pose(body), angles)
        assert not collides(frames, body)
        for bone, center, axes in torso_ellipsoids(body):
            frame = frames[bone]
            for side in SIDES:
                for joint in ("elbow", "wrist", "knee"):
                    own = frame[:3, :3].T @ (frames[f"{side}_{joint}"][:3, 3] - frame[:3, 3]) - center
                    assert ((own / axes) ** 2).sum() > 1, f"{side} {joint} in the {bone}"


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_a_foot_is_on_the_floor_and_nothing_below_it(activity):
    for seed in range(3):
        person = sample_person(np.random.default_rng(seed), activity)
        heights = [lowest(part) for part in person.parts]
        assert min(heights) == pytest.approx(0, abs=1e-9)
        ankles = [person.landmarks[f"{side}_ankle"].position for side in SIDES]
        assert min(ankle[1] for ankle in ankles) < 0.25
        hips = sum(person.landmarks[f"{side}_hip"].position for side in SIDES) / 2
        np.testing.assert_allclose(hips[[0, 2]], 0, atol=0.1)


def test_bones_of_landmarks_have_the_bodys_lengths():
    body, _, person = dressed(3, "reaching")
    place = {name: landmark.position for name, landmark in person.landmarks.items()}
    for side in SIDES:
        pairs = {
            ("shoulder", "elbow"): body.upper_arm,
            ("elbow", "wrist"): body.forearm,
            ("hip", "knee"): body.thigh,
            ("knee", "ankle"): body.shank,
        }
        for finger in FINGERS:
            first, second, _ = (share * body.hand for share in phalanges(finger))
            pairs |= {(f"{finger}1", f"{finger}2"): first, (f"{finger}2", f"{finger}3"): second}
        for (a, b), length in pairs.items():
            assert np.linalg.norm(place[f"{side}_{a}"] - place[f"{side}_{b}"]) == pytest.approx(length)


def test_bodies_have_human_proportions():
    rng = np.random.default_rng(1)
    bodies = [sample_physique(rng) for _ in range(300)]
    heights = np.array([body.height for body in bodies])
    assert heights.min() >= 1.1
    assert heights.max() <= 2.0
    assert 0.05 < np.mean([body.child > 0 for body in bodies]) < 0.25
    for body in bodies[:50]:
        frames = forward(rest_pose(body), {}, JOINTS)
        middle_finger = frames["left_middle_finger3"][1, 3] - phalanges("middle_finger")[2] * body.hand
        knee = frames["left_knee"][1, 3]
        assert frames["left_hip"][1, 3] > middle_finger > knee, "hands reach to the middle of the thighs"
        breadth = 2 * frames["left_shoulder"][0, 3] / body.height
        assert 0.17 < breadth < 0.25
        legs = (body.thigh + body.shank + body.ankle) / body.height
        assert 0.44 < legs < 0.57


def test_left_is_the_persons_left():
    _, _, person = dressed(2)
    for name, landmark in person.landmarks.items():
        if name.startswith("left_"):
            assert landmark.position[0] > 0 > person.landmarks[name.replace("left_", "right_")].position[0]


@pytest.mark.parametrize("seed", range(6))
def test_paints_give_colors_and_classes_of_their_side(seed):
    rng = np.random.default_rng(seed)
    _, _, person = dressed(seed)
    seen = set()
    for part in person.parts:
        own = surface(part, 60, rng)
        colors, labels = part.paint(own @ part.chart[:3, :3].T + part.chart[:3, 3])
        assert colors.shape == (60, 3)
        assert labels.shape == (60,)
        assert labels.dtype == np.uint8
        assert colors.min() >= 0
        assert colors.max() <= 1
        seen |= set(labels.tolist())
        x = (own @ part.frame[:3, :3].T + part.frame[:3, 3])[:, 0]
        for label in set(labels.tolist()):
            side = BodyClass(label).name.split("_")[0]
            if side in ("LEFT", "RIGHT"):
                where = x[labels == label] * (1 if side == "LEFT" else -1)
                assert where.min() > -0.03, f"{BodyClass(label).name} on the other side"
                assert np.median(where) > 0
    assert not seen & OF_THE_HEAD
    assert {BodyClass.LEFT_HAND, BodyClass.RIGHT_HAND, BodyClass.FACE_NECK} <= seen


@pytest.mark.parametrize("seed", range(3))
def test_every_landmark_is_shown_by_its_classes_from_some_side(seed):
    _, _, person = dressed(seed)
    names = list(person.landmarks)
    shown = np.zeros(len(names), dtype=bool)
    middle = np.array([0.0, 0.9, 0.0])
    for angle in np.radians(np.arange(0, 360, 30)):
        for tilt in (-0.8, 0.1, 1.0):
            away = 5 * np.array([np.sin(angle), tilt, np.cos(angle)])
            turned = person.moved(look_at(middle + away, middle, 0.0))
            places = np.stack([turned.landmarks[name].position for name in names])
            quadrics = Quadrics.of(turned.parts)
            depth, which = cast_points(quadrics, places)
            hit = np.flatnonzero(np.isfinite(depth))
            points = places[hit] * (depth / places[:, 2])[hit, None]
            labels = paint_points(turned.parts, quadrics.part[which[hit]], points)[1]
            gaps = np.linalg.norm(places[hit], axis=1) - np.linalg.norm(points, axis=1)
            for index, gap, label in zip(hit, gaps, labels, strict=True):
                landmark = turned.landmarks[names[index]]
                shown[index] |= gap <= landmark.depth and int(label) in landmark.labels
    assert not [name for name, ok in zip(names, shown, strict=True) if not ok]


def test_landmarks_of_hands_have_the_same_place_in_both_vocabularies():
    person = sample_person(np.random.default_rng(4))
    for side in SIDES:
        for finger in FINGERS:
            knuckle, same = (person.landmarks[f"{side}_{finger}{end}"] for end in ("1", "_third_joint"))
            np.testing.assert_array_equal(knuckle.position, same.position)


def test_people_are_made_of_few_parts():
    counts = [len(dressed(seed)[2].parts) for seed in range(20)]
    assert max(counts) <= 110, "every part costs the ray caster time"


def test_hands_are_only_reached_through_the_body():
    assert all(HANDS[f"{side}_{finger}1"].parent == f"{side}_wrist" for side in SIDES for finger in FINGERS)


def test_every_stance_has_gestures():
    assert set(STANCES) == set(BOTH) == set(SINGLE)
