"""Many scenes, crowds and odd framings among them: nothing fails, and what must hold of every image holds."""

import cv2
import numpy as np
import pytest

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.body.people import lowest
from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.dataset.labels import sight
from sapiens2_lit.synthetic.render.scene import APART, sample_places, sample_scene
from sapiens2_lit.synthetic.render.shapes import Quadrics
from sapiens2_lit.vocabularies import load_skeleton

SIZE = (96, 72)
BEHIND_THE_CAMERA = [(12, 35), (12, 93)]  # seed and index of crowds of which one stands behind the camera


def check(labels: Frame) -> None:
    """What holds of every image, whatever it shows."""
    for name in ("normal", "pointmap", "depth", "albedo", "alpha", "foreground", "intrinsics"):
        assert np.isfinite(getattr(labels, name)).all(), name
    for other in (labels.segmentation > 0, labels.instance > 0, labels.alpha >= 0.5, labels.depth > 0):
        np.testing.assert_array_equal(other, labels.valid)
    assert {person.number for person in labels.people} == set(np.unique(labels.instance)) - {0}
    for person in labels.people:
        least, extent = person.box[:2], person.box[2:]
        assert (least >= -0.5).all()
        assert (least + extent <= np.array(labels.valid.shape[::-1]) - 0.5).all()
        for points in person.keypoints.values():
            assert set(points[:, 2]) <= {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_one_person_is_always_seen_and_holds_its_visible_keypoints(seed: int) -> None:
    for index in range(20):
        labels = generate(seed, index, SIZE)
        check(labels)
        (person,) = labels.people
        assert person.area > 0.02 * labels.valid.size
        for points in person.keypoints.values():
            seen = points[points[:, 2] == 2, :2]
            beside = np.maximum(person.box[:2] - seen, seen - person.box[:2] - person.box[2:])
            assert beside.max(initial=0) < 3, "fingertips are smaller than a pixel"


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "index"), [*BEHIND_THE_CAMERA, *((6, index) for index in range(8))])
def test_crowds_around_the_camera(seed: int, index: int) -> None:
    scene = sample_scene(seed, index, SIZE, (2, 5))
    if (seed, index) in BEHIND_THE_CAMERA:
        necks = [person.moved(scene.camera.pose).landmarks["neck"] for person in scene.people]
        assert min(neck.position[2] for neck in necks) < 0, "the case that this test is about"
    labels = generate(seed, index, SIZE, (2, 5))
    check(labels)
    assert 1 <= len(labels.people) <= len(scene.people)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (16, 160), (160, 16)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    for index in range(4):
        check(generate(2, index, size, (1, 2)))


def test_left_and_right_of_the_body_fit_the_way_it_faces() -> None:
    """From the places of landmarks alone, without the classes: a body with its sides swapped faces backwards."""
    for index in range(30):
        (person,) = sample_scene(8, index, SIZE).people
        place = {name: landmark.position for name, landmark in person.landmarks.items()}
        up = np.array([0.0, 1.0, 0.0])
        for joint in ("shoulder", "hip"):
            front = np.cross(place[f"left_{joint}"] - place[f"right_{joint}"], up)
            back_of_head = 0.5 * (place["left_ear"] + place["right_ear"])
            assert (place["nose"] - back_of_head) @ front > 0, (index, joint)
            for side in ("left", "right"):
                assert (place[f"{side}_big_toe"] - place[f"{side}_heel"]) @ front > 0, (index, joint, side)
        for side, other in (("left", "right"), ("right", "left")):
            across = place[f"{side}_hip"] - place[f"{other}_hip"]
            outwards = place[f"{side}_small_toe"] - place[f"{side}_big_toe"]
            assert outwards @ across > 0, (index, side)


@pytest.mark.parametrize(("index", "people"), [(1, (1, 1)), (5, (1, 1)), (2, (2, 3)), (3, (2, 3))])
def test_keypoints_are_projected_and_hidden_as_the_other_labels_say(
    index: int, people: tuple[int, int]
) -> None:
    """Points by OpenCV from K; visibility by depth, class and person of the pixel, where its neighbours agree."""
    size = (384, 288)
    scene, labels = sample_scene(10, index, size, people), generate(10, index, size, people)
    names, found = load_skeleton("sociopticon308").keypoints, {1: 0, 2: 0}
    for person in labels.people:
        landmarks = scene.people[person.number - 1].moved(scene.camera.pose).landmarks
        places = np.array([landmarks[name].position for name in names])
        pixels = cv2.projectPoints(places, np.zeros(3), np.zeros(3), labels.intrinsics, None)[0][:, 0]
        points = person.keypoints["sociopticon308"]
        inside = points[:, 2] > 0
        np.testing.assert_allclose(points[inside, :2], pixels[inside], atol=1e-6)
        for name, place, (x, y, v) in zip(names, places, points, strict=True):
            row, column = round(y), round(x)
            around = (slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2))
            classes, depths = np.unique(labels.segmentation[around]), labels.depth[around]
            if v == 0 or len(classes) > 1 or np.ptp(depths) > 0.006 or not classes[0]:
                continue
            gap = (place[2] - depths.mean()) * np.linalg.norm(place) / place[2]
            if abs(gap - landmarks[name].depth) < 0.004:
                continue
            own = labels.instance[row, column] == person.number
            seen = own and gap < landmarks[name].depth and classes[0] in landmarks[name].labels
            assert v == (2 if seen else 1), name
            found[int(v)] += 1
    assert sum(found.values()) >= 15, found


def test_cameras_are_as_wide_as_they_are_asked_to_be() -> None:
    height = SIZE[0]
    for bounds in ((40.0, 40.0), (20.0, 30.0)):
        for index in range(6):
            focal = sample_scene(3, index, SIZE, field_of_view=bounds).camera.intrinsics[1, 1]
            angle = np.degrees(2 * np.arctan(height / 2 / focal))
            assert bounds[0] - 1e-9 <= angle <= bounds[1] + 1e-9


def test_everybody_stands_on_the_floor_and_apart() -> None:
    for index in range(12):
        for person in sample_scene(4, index, SIZE, (1, 3)).people:
            assert min(map(lowest, person.parts)) == pytest.approx(0, abs=1e-9)
    for count in (2, 20):
        places = np.array(sample_places(np.random.default_rng(0), count))
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(count)
        assert gaps.min() > APART


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"people": (0, 1)}, r"people is \(0, 1\)"),
        ({"people": (1, 21)}, r"people is \(1, 21\), .* from 1 to 20"),
        ({"field_of_view": (60, 40)}, r"field_of_view is \(60, 40\), .* from 1 to 150"),
        ({"size": (0, 9)}, r"size is \(0, 9\)"),
        ({"seed": -1}, "seed -1"),
        ({"index": -2}, "index -2"),
    ],
)
def test_arguments_out_of_range_are_named(settings: dict, expected: str) -> None:
    with pytest.raises(SettingError, match=expected):
        generate(**{"seed": 0, "index": 0, "size": SIZE, **settings})


def test_what_shows_a_landmark_is_the_persons_own() -> None:
    """A point beside its limb's outline is not shown by another person of the right class far behind it."""
    for index in (58, 65):
        scene = sample_scene(12, index, (64, 48), (2, 5))
        people = [person.moved(scene.camera.pose) for person in scene.people]
        quadrics = Quadrics.of([part for person in people for part in person.parts])
        owner = np.repeat(np.arange(len(people)), [len(person.parts) for person in people])
        number = np.repeat(np.arange(len(people)), [len(person.landmarks) for person in people])
        sights = sight(people, quadrics, scene.camera)
        np.testing.assert_array_equal(owner[sights.part], number[sights.hit])
