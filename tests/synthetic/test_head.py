"""Heads: every point of the face, on the surface, where the paint shows it; mirrored, deterministic, in proportion."""

from dataclasses import replace

import numpy as np
import pytest

from sapiens2_lit.synthetic.body.parts import Array, Part, Person
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.face_landmarks import chart_points, lift
from sapiens2_lit.synthetic.head.face_paint import SkinPaint
from sapiens2_lit.synthetic.head.head import HeadShape, assemble, head_height, sample_head, sample_shape
from sapiens2_lit.synthetic.render.shapes import intersect
from sapiens2_lit.vocabularies import load_skeleton

SKIN = np.array([0.8, 0.6, 0.5])
CLASSES = {
    BodyClass.APPAREL,
    BodyClass.EYEGLASS,
    BodyClass.FACE_NECK,
    BodyClass.HAIR,
    BodyClass.UPPER_LIP,
    BodyClass.LOWER_LIP,
    BodyClass.UPPER_TEETH,
    BodyClass.LOWER_TEETH,
    BodyClass.TONGUE,
}


def head(seed: int, *, feminine: float = 0.5, child: bool = False) -> Person:
    rng = np.random.default_rng(seed)
    return sample_head(rng, height=1.2 if child else 1.7, skin=SKIN, feminine=feminine, child=child)


def bare(seed: int, asymmetry: float = 1.0) -> HeadShape:
    """A beardless head."""
    return sample_shape(np.random.default_rng(seed), skin=SKIN, feminine=0.8, asymmetry=asymmetry)


def with_mouth(shape: HeadShape, **changes: float) -> HeadShape:
    return replace(shape, face=replace(shape.face, mouth=replace(shape.face.mouth, **changes)))


def with_eyes(shape: HeadShape, **changes: float) -> HeadShape:
    eyes = tuple(replace(eye, **changes) for eye in shape.face.eyes)
    return replace(shape, face=replace(shape.face, eyes=eyes))


def painted(shape: HeadShape, xy: Array) -> tuple[Array, Array]:
    """Colors and classes of the skin at points (N, 2) of the frontal chart."""
    paint = SkinPaint(shape.face, shape.complexion, None)
    return paint(np.column_stack([xy, np.full(len(xy), 0.4)]))


def surface_samples(part: Part, rng: np.random.Generator, count: int = 300) -> Array:
    """Points on a part's two spheres, in its own frame."""
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ends = rng.integers(0, 2, count)
    return directions * np.array(part.radii)[ends, None] + (ends * part.length)[:, None] * np.array([0, 1, 0])


def test_every_point_of_face_and_ears_has_a_landmark() -> None:
    body = load_skeleton("sociopticon308")
    expected = {body.keypoints[index] for index in body.groups["face"]}
    assert len(expected) == 238
    expected |= {f"face-{number}" for number in range(68)}
    expected |= set(load_skeleton("coco17").keypoints[:5])
    for seed in range(5):
        assert set(head(seed).landmarks) == expected


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_lie_on_the_skin_that_their_chart_sees(seed: int) -> None:
    shape = bare(seed)
    skin, points = shape.skin(), chart_points(shape.face, shape.ear)
    origins = np.array([point.origin for point in points.values()])
    directions = np.array([point.direction for point in points.values()])
    distance = np.min([intersect(part, origins, directions) for part in skin], axis=0)
    landmarks = lift(points, skin, np.ones(3))
    positions = np.array([landmark.position for landmark in landmarks.values()])
    np.testing.assert_allclose(positions, origins + distance[:, None] * directions, atol=0.001 / 0.22)


@pytest.mark.parametrize("vocabulary", ["sociopticon308", "coco_wholebody133", "coco17"])
def test_a_symmetric_head_mirrors_under_the_vocabularys_swap(vocabulary: str) -> None:
    skeleton = load_skeleton(vocabulary)
    landmarks = assemble(bare(3, asymmetry=0.0), [], np.full(3, 0.22)).landmarks
    for index, name in enumerate(skeleton.keypoints):
        if name in landmarks:
            partner = landmarks[skeleton.keypoints[skeleton.swap[index]]].position * (-1, 1, 1)
            np.testing.assert_allclose(landmarks[name].position, partner, atol=1e-9, err_msg=name)


def test_left_is_the_persons_left() -> None:
    for name, landmark in head(2).landmarks.items():
        if name.startswith(("l_", "left_")) or "_l_" in name:
            assert landmark.position[0] > 0, name
        if name.startswith(("r_", "right_")) or "_r_" in name:
            assert landmark.position[0] < 0, name


def test_the_68_points_and_the_308_agree_where_they_mean_the_same() -> None:
    landmarks = head(1).landmarks
    same = {
        "face-17": "end_of_r_eyebrow",
        "face-26": "end_of_l_eyebrow",
        "face-27": "center_of_nose_root",
        "face-30": "tip_of_nose",
        "face-33": "bottom_center_of_nose",
        "face-36": "r_outer_end_of_upper_eyelid_line",
        "face-45": "l_outer_end_of_lower_eyelid_line",
        "face-48": "r_outer_corner_of_mouth",
        "face-51": "center_of_cupid_bow",
        "face-54": "l_outer_corner_of_mouth",
        "face-57": "center_of_lower_outer_lip",
        "face-62": "center_of_upper_inner_lip",
        "face-66": "center_of_lower_inner_lip",
        "nose": "tip_of_nose",
    }
    for first, second in same.items():
        np.testing.assert_allclose(landmarks[first].position, landmarks[second].position, atol=1e-6)


@pytest.mark.parametrize(
    "curve", ["r_{}_of_upper_lash_line", "l_{}_of_lower_eyelid_line", "l_{}_of_upper_crease_line"]
)
def test_midpoints_stand_in_order_in_the_image(curve: str) -> None:
    names = [
        "midpoint_3",
        "midpoint_1",
        "midpoint_4",
        "centerpoint",
        "midpoint_5",
        "midpoint_2",
        "midpoint_6",
    ]
    landmarks = head(4).landmarks
    across = [landmarks[curve.format(name)].position[0] for name in names]
    assert np.all(np.diff(across) > 0)


def test_eyes_above_nose_above_mouth_above_chin() -> None:
    names = [
        "center_of_glabella",
        "center_of_nose_root",
        "tip_of_nose",
        "bottom_center_of_nose",
        "center_of_cupid_bow",
        "center_of_lower_outer_lip",
        "center_of_labiomental_groove",
        "tip_of_chin",
        "face-8",
    ]
    for seed in range(30):
        landmarks = head(seed, feminine=seed / 29, child=seed % 5 == 0).landmarks
        heights = [landmarks[name].position[1] for name in names]
        assert np.all(np.diff(heights) < 0), (seed, heights)


@pytest.mark.parametrize("ring", ["iris", "pupil"])
def test_the_painted_color_changes_at_the_border_of_iris_and_pupil(ring: str) -> None:
    shape = with_eyes(bare(5), openness=1.0, gaze=(0.0, 0.0))
    points = chart_points(shape.face, shape.ear)
    shown = 0
    for letter in "lr":
        centre = np.array(points[f"{letter}_center_of_{ring}"].origin[:2])
        names = [name for name in points if name.startswith(f"{letter}_border_of_{ring}")]
        assert len(names) == 8
        for name in names:
            if not points[name].labels:
                continue
            border = np.array(points[name].origin[:2])
            steps = centre + (border - centre) * np.array([[0.98], [1.02]])
            colors, _ = painted(shape, steps)
            assert np.abs(colors[0] - colors[1]).max() > 0.1, name
            shown += 1
    assert shown >= 10


def test_iris_behind_closed_lids_is_never_visible() -> None:
    shape = with_eyes(bare(5), openness=0.0)
    points = chart_points(shape.face, shape.ear)
    for name, point in points.items():
        if "iris" in name or "pupil" in name:
            assert not point.labels, name
    colors, _ = painted(shape, np.array([points["l_center_of_pupil"].origin[:2]]))
    assert colors.min() > 0.15  # skin, not pupil


@pytest.mark.parametrize("dropped", [0.0, 0.04])
def test_lip_points_lie_on_the_painted_borders(dropped: float) -> None:
    shape = with_mouth(bare(6), raised=0.2 * dropped, dropped=dropped, smile=0.01)
    points = chart_points(shape.face, shape.ear)
    upper, lower = BodyClass.UPPER_LIP, BodyClass.LOWER_LIP
    for name, point in points.items():
        if "outer_lip" not in name and "inner_lip" not in name and name != "center_of_cupid_bow":
            continue
        lip = upper if "upper" in name or "bow" in name else lower
        towards_lip = 1 if (lip == upper) == ("inner" in name) else -1
        step = np.array([0.0, 0.001 * towards_lip])
        border = np.array(point.origin[:2])
        _, labels = painted(shape, np.stack([border + step, border - step]))
        assert labels[0] == lip != labels[1], name
        assert set(labels.tolist()) <= set(point.labels), name
    for letter, sign in (("l", 1), ("r", -1)):
        corner = np.array(points[f"{letter}_outer_corner_of_mouth"].origin[:2])
        _, labels = painted(shape, corner + np.array([[-0.002 * sign, 0.0], [0.002 * sign, 0.0]]))
        assert labels[0] in (upper, lower)
        assert labels[1] == BodyClass.FACE_NECK


def test_brow_points_lie_on_the_painted_borders() -> None:
    shape = bare(7)
    points = chart_points(shape.face, shape.ear)
    for name, point in points.items():
        if "midpoint" in name and "eyebrow" in name:
            inwards = -0.0015 if name.startswith("upper") else 0.0015
            border = np.array(point.origin[:2])
            colors, _ = painted(shape, border + np.array([[0.0, inwards], [0.0, -inwards]]))
            assert colors[0].mean() < colors[1].mean() - 0.05, name


def test_an_open_mouth_shows_teeth_and_tongue_between_the_lips() -> None:
    shape = with_mouth(bare(6), raised=0.01, dropped=0.06, teeth=(0.016, 0.01), tongue=0.03)
    heights = np.linspace(shape.face.mouth.y + 0.03, shape.face.mouth.y - 0.09, 400)
    _, labels = painted(shape, np.column_stack([np.zeros(400), heights]))
    changes = labels[np.flatnonzero(np.diff(labels, prepend=255))].tolist()
    names = [BodyClass(value).name for value in changes]
    inside = [name for name in names if name != "FACE_NECK"]
    assert inside == ["UPPER_LIP", "UPPER_TEETH", "TONGUE", "LOWER_TEETH", "LOWER_LIP"]


def test_paint_gives_colors_in_range_and_classes_of_heads() -> None:
    rng = np.random.default_rng(0)
    seen: set[int] = set()
    for seed in range(40):
        person = head(seed, feminine=seed / 39, child=seed % 6 == 0)
        assert len(person.parts) <= 52
        for part in person.parts:
            points = surface_samples(part, rng)
            colors, labels = part.paint(points @ part.chart[:3, :3].T + part.chart[:3, 3])
            assert colors.shape == points.shape
            assert labels.shape == (len(points),)
            assert labels.dtype == np.uint8
            assert colors.min() >= 0
            assert colors.max() <= 1
            seen |= set(labels.tolist())
    assert seen <= {int(label) for label in CLASSES}
    assert {BodyClass.HAIR, BodyClass.EYEGLASS, BodyClass.APPAREL, BodyClass.UPPER_TEETH} <= seen


def test_the_same_generator_gives_the_same_head() -> None:
    first, second, other = head(8), head(8), head(9)
    points = np.random.default_rng(0).normal(size=(200, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert len(first.parts) == len(second.parts)
    for one, two in zip(first.parts, second.parts, strict=True):
        np.testing.assert_array_equal(one.frame, two.frame)
        np.testing.assert_array_equal(one.paint(points)[0], two.paint(points)[0])
    for name, landmark in first.landmarks.items():
        np.testing.assert_array_equal(landmark.position, second.landmarks[name].position)
    assert not np.allclose(first.landmarks["left_eye"].position, other.landmarks["left_eye"].position)


def test_height_and_origin() -> None:
    for seed in range(5):
        shape = bare(seed)
        size = head_height(1.7)
        skin = assemble(shape, [], np.full(3, size)).parts
        reach = np.array(
            [np.linalg.norm(part.frame[1, :3] * max(part.radii)) for part in skin if not part.length]
        )
        middle = np.array([part.frame[1, 3] for part in skin if not part.length])
        assert size == pytest.approx(0.13 * 1.7)
        assert (middle + reach).max() == pytest.approx(0.6 * size, rel=0.01)
        assert (middle - reach).min() == pytest.approx(-0.4 * size, rel=0.02)


def test_childrens_heads_are_relatively_larger_and_absolutely_smaller() -> None:
    assert head_height(1.1, child=True) / 1.1 > 1.2 * head_height(1.7) / 1.7
    assert head_height(1.1, child=True) < head_height(1.7)
