"""Joints: forward kinematics, limits and inverse kinematics agree with one another."""

import numpy as np
import pytest

from sapiens2_lit.synthetic.body.bones import (
    BODY,
    HANDS,
    JOINTS,
    ankle_angles,
    forward,
    frame_of,
    limb_angles,
    mirrored,
    rotation,
    swing,
    turn,
    within_limits,
)
from sapiens2_lit.synthetic.body.physique import rest_pose, sample_physique


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def rest(rng):
    return rest_pose(sample_physique(rng))


def random_angles(rng):
    return {
        name: tuple(rng.uniform(low, high) for low, high in joint.limits) for name, joint in JOINTS.items()
    }


def test_posing_keeps_the_lengths_of_all_bones(rng, rest):
    frames = forward(rest, random_angles(rng), JOINTS)
    for name, joint in JOINTS.items():
        if joint.parent is not None:
            length = np.linalg.norm(frames[name][:3, 3] - frames[joint.parent][:3, 3])
            assert length == pytest.approx(np.linalg.norm(rest[name][:3, 3]), abs=1e-9)


def test_frames_are_right_handed_rotations_on_both_sides(rng, rest):
    for frame in forward(rest, random_angles(rng), JOINTS).values():
        np.testing.assert_allclose(frame[:3, :3] @ frame[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(frame[:3, :3]) > 0


def test_equal_angles_on_both_sides_are_mirror_images(rng, rest):
    angles = random_angles(rng)
    for name in JOINTS:
        if name.startswith("right_"):
            angles[name] = angles[name.replace("right_", "left_")]
    middle = {name: (0.0,) * len(BODY[name].axes) for name in BODY if "_" not in name}
    frames = forward(rest, angles | middle, JOINTS)
    for name in JOINTS:
        if name.startswith("left_"):
            other = frames[name.replace("left_", "right_")]
            np.testing.assert_allclose(frames[name][:3, 3] * (-1, 1, 1), other[:3, 3], atol=1e-12)
            np.testing.assert_allclose(mirrored(frames[name][:3, :3]), other[:3, :3], atol=1e-12)


def test_one_joint_is_where_all_joints_put_it(rng, rest):
    angles = random_angles(rng)
    body = forward(rest, angles)
    whole = body | forward(rest, angles, HANDS, body)
    for name in ("skull", "right_ankle", "left_pinky_finger3"):
        np.testing.assert_allclose(frame_of(name, rest, angles), whole[name], atol=1e-12)


@pytest.mark.parametrize(("plane", "elevation"), [(0.0, 90.0), (90.0, 60.0), (-140.0, 35.0)])
def test_swing_is_a_turn_into_the_plane_and_back(plane, elevation):
    expected = turn("y", plane) @ turn("-x", elevation) @ turn("-y", plane)
    np.testing.assert_allclose(swing(plane, elevation), expected, atol=1e-12)


@pytest.mark.parametrize(("joint", "bend"), [("shoulder", 1.0), ("hip", -1.0)])
def test_inverse_kinematics_reaches_its_target(rng, joint, bend):
    lengths = (0.3, 0.26)
    second = "-x" if bend > 0 else "x"
    for _ in range(30):
        direction = rng.normal(size=3)
        target = direction / np.linalg.norm(direction) * rng.uniform(0.1, 0.55)
        pole = np.cross(target, rng.normal(size=3))
        first, flexion = limb_angles(target, lengths, pole, bend)
        upper = rotation(JOINTS[f"left_{joint}"], first)
        middle = upper @ (0.0, -lengths[0], 0.0)
        end = middle + upper @ turn(second, flexion) @ (0.0, -lengths[1], 0.0)
        np.testing.assert_allclose(end, target, atol=1e-9)
        assert middle @ pole > 0, "the elbow or knee goes to the side of the pole"
        assert flexion >= 0


def test_ankle_angles_give_the_foot_the_wanted_rotation(rng):
    shank = turn("x", 30) @ turn("z", 10) @ turn("y", 20)
    foot = turn("y", 12) @ turn("x", 8)
    angles = ankle_angles(shank, foot)
    np.testing.assert_allclose(shank @ rotation(BODY["left_ankle"], angles), foot, atol=1e-12)


@pytest.mark.parametrize(
    ("joint", "possible", "impossible"),
    [
        ("left_elbow", (120.0, 0.0), (-20.0, 0.0)),
        ("right_knee", (130.0,), (-15.0,)),
        ("left_shoulder", (0.0, 170.0, 0.0), (180.0, 120.0, 0.0)),
        ("right_hip", (0.0, 110.0, 0.0), (180.0, 70.0, 0.0)),
        ("left_forefinger2", (100.0,), (-40.0,)),
    ],
)
def test_limits_are_anatomical(joint, possible, impossible):
    assert within_limits(joint, possible)
    assert not within_limits(joint, impossible)
