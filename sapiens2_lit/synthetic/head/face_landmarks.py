"""Named points of the face and the ears, on the same curves as the paint, lifted to the surface.

For points between the ends of a curve the vocabulary gives only number and mirror partner. The partners fit one
reading, used everywhere: the curve is halved again and again, from the image's left to its right. The order from left
to right is 3, 1, 4, the center, 5, 2, 6 if the center has a name of its own, and 2, 1, 3 otherwise (1 is then the
center). In an image of a person facing it, left is the person's right: the right eye's outer corner, the left eye's
inner one. The borders of iris and pupil are read like a clock in that image: midpoint 1 is between 3 and 12, 2 between
6 and 3, 3 between 9 and 6, 4 between 12 and 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Landmark, Part
from sapiens2_lit.synthetic.dataset.classes import BodyClass
from sapiens2_lit.synthetic.head.ears import Ear, ear_points
from sapiens2_lit.synthetic.head.face import Brow, Eye, Face
from sapiens2_lit.synthetic.render.shapes import Quadrics
from sapiens2_lit.vocabularies import load_skeleton

DEPTH = 0.007  # meters
SKIN = frozenset({BodyClass.FACE_NECK})
UPPER = SKIN | {BodyClass.UPPER_LIP}
LOWER = SKIN | {BodyClass.LOWER_LIP}
CORNER = UPPER | LOWER
BETWEEN = CORNER | {BodyClass.UPPER_TEETH, BodyClass.LOWER_TEETH, BodyClass.TONGUE}
HIDDEN: frozenset[BodyClass] = frozenset()  # behind an eyelid: no surface shows it

Labels = frozenset[BodyClass]
# Numbers of midpoints from the image's left to its right, and their s
AROUND_CENTER = dict(zip((3, 1, 4, 5, 2, 6), (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75), strict=True))
HALVES = {1: 0.0, 2: -0.5, 3: 0.5}
CLOCK = ("3", "midpoint_1", "12", "midpoint_4", "9", "midpoint_3", "6", "midpoint_2")


@dataclass(frozen=True)
class ChartPoint:
    """A point where a ray from `origin` (3,) along `direction` (3,), in the head frame, first meets the skin."""

    origin: tuple[float, float, float]
    direction: tuple[float, float, float]
    labels: Labels


def chart_points(face: Face, ear: Ear) -> dict[str, ChartPoint]:
    """Return all head points of the three vocabularies, by name; lengths in head heights."""
    points = {**_middle(face), **_mouth(face), **_jaw(), **_ears(ear), **_contours(face)}
    for side, letter, sign in ((0, "r", -1), (1, "l", 1)):
        points |= _brow(face.brows[side], letter, sign)
        points |= _lids(face.eyes[side], letter, sign)
        points |= _iris(face.eyes[side], letter, sign)
        points |= _nose_side(face, letter, sign)
        eye, name = face.eyes[side], "left_eye" if sign > 0 else "right_eye"
        middle = 0.5 * (eye.upper_lid(np.zeros(1))[0] + eye.lower_lid(np.zeros(1))[0])
        points[name] = _front(sign * eye.x, middle)
    return points


def lift(points: dict[str, ChartPoint], skin: list[Part], size: Array) -> dict[str, Landmark]:
    """Return landmarks on the surface of the skin, in meters.

    Args:
        points: by name, in head heights.
        skin: parts in head heights.
        size: (3,) meters of one head height along x, y, z.
    """
    origins = np.array([point.origin for point in points.values()])
    directions = np.array([point.direction for point in points.values()])
    distance = first_hits(skin, origins, directions)
    assert np.isfinite(distance).all(), "a point of the face is beside the face"
    positions = (origins + distance[:, None] * directions) * size
    return {
        name: Landmark(position, DEPTH, point.labels)
        for (name, point), position in zip(points.items(), positions, strict=True)
    }


def first_hits(parts: list[Part], origins: Array, directions: Array) -> Array:
    """Return how far rays go until they enter the nearest part; inf for a miss.

    Args:
        parts: of the head.
        origins: (N, 3) of the rays.
        directions: (N, 3) of the rays; the result (N,) is in their lengths.
    """
    all_ = Quadrics.of(parts)
    turned, placed = directions @ all_.matrix, origins @ all_.matrix
    a = (turned * directions).sum(-1)
    b = (turned * origins).sum(-1) + all_.vector @ directions.T
    c = (placed * origins).sum(-1) + 2 * all_.vector @ origins.T + all_.constant[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -(b + np.sqrt(b * b - a * c)) / a
        own = all_.axis[:, :3] @ origins.T + all_.axis[:, 3:] + found * (all_.axis[:, :3] @ directions.T)
        there = (found > 0) & (own >= all_.low[:, None]) & (own <= all_.high[:, None])
    return np.where(there, found, np.inf).min(0)


def _front(x: float, y: float, labels: Labels = SKIN) -> ChartPoint:
    return ChartPoint((float(x), float(y), 2.0), (0.0, 0.0, -1.0), labels)


def _curve(names: Sequence[str], x: Array, y: Array, labels: Sequence[Labels]) -> dict[str, ChartPoint]:
    return {name: _front(*place) for name, *place in zip(names, x.tolist(), y.tolist(), labels, strict=True)}


def _even(start: float, end: float, count: int) -> list[float]:
    return [start + (end - start) * i / (count - 1) for i in range(count)]


def _middle(face: Face) -> dict[str, ChartPoint]:
    nose, mouth = face.nose, face.mouth
    bridge = nose.tip + 0.22 * (nose.root - nose.tip)
    groove = mouth.y - mouth.dropped - mouth.lower - 0.028
    eyes = 0.5 * (face.eyes[0].y + face.eyes[1].y)
    heights = {
        "nose": nose.tip,
        "tip_of_nose": nose.tip,
        "center_of_glabella": eyes + 0.085,
        "center_of_nose_root": nose.root,
        "tip_of_nose_bridge": bridge,
        **{
            f"midpoint_{n}_of_nose_bridge": nose.root + 0.5 * (s + 1) * (bridge - nose.root)
            for n, s in HALVES.items()
        },
        "bottom_center_of_nose": nose.base,
        "center_of_labiomental_groove": groove,
        "tip_of_chin": groove - 0.55 * (groove + 0.40),
    }
    return {name: _front(0.0, height) for name, height in heights.items()}


def _brow(brow: Brow, letter: str, sign: int) -> dict[str, ChartPoint]:
    tail = f"of_{letter}_eyebrow"
    s = np.array([-1.0, *(sign * place for place in HALVES.values())])
    x = sign * brow.across(s)
    points = {f"end_{tail}": _front(sign * brow.outer[0], float(brow.upper(np.ones(1))[0]))}
    for edge, y in (("upper", brow.upper(s)), ("lower", brow.lower(s))):
        names = [f"{edge}_startpoint_{tail}", *(f"{edge}_midpoint_{n}_{tail}" for n in HALVES)]
        points |= _curve(names, x, y, [SKIN] * 4)
    return points


def _lids(eye: Eye, letter: str, sign: int) -> dict[str, ChartPoint]:
    numbers = [f"midpoint_{n}" for n in AROUND_CENTER]
    inner = sign * np.array(list(AROUND_CENTER.values()))
    points: dict[str, ChartPoint] = {}
    for lid, lash, edge in (
        ("upper", eye.upper_lash, eye.upper_lid),
        ("lower", eye.lower_lash, eye.lower_lid),
    ):
        for line, across, height, ends, at in (
            ("lash", eye.lash_across, lash, ["inner_end", "outer_end"], [-1.0, 1.0]),
            ("eyelid", eye.across, edge, ["outer_end"], [1.0]),
        ):
            s = np.array([*at, 0.0, *inner])
            names = [f"{letter}_{name}_of_{lid}_{line}_line" for name in (*ends, "centerpoint", *numbers)]
            points |= _curve(names, sign * across(s), height(s), [SKIN] * len(s))
    s = np.array([0.0, *inner])
    names = [f"{letter}_{name}_of_upper_crease_line" for name in ("centerpoint", *numbers)]
    return points | _curve(names, sign * eye.across(s), eye.upper_crease(s), [SKIN] * len(s))


def _iris(eye: Eye, letter: str, sign: int) -> dict[str, ChartPoint]:
    x0, y0 = eye.iris_center
    points: dict[str, ChartPoint] = {}
    for ring, radius in (("iris", eye.iris), ("pupil", eye.pupil)):
        names = [f"{letter}_center_of_{ring}", *(f"{letter}_border_of_{ring}_{hour}" for hour in CLOCK)]
        angle = np.arange(8) * np.pi / 4  # from 3 o'clock, the person's left, over 12
        x = np.array([0.0, *np.cos(angle)]) * radius + sign * x0
        y = np.array([0.0, *np.sin(angle)]) * radius + y0
        shown = eye.shows(sign * x, y)
        points |= _curve(names, x, y, [SKIN if seen else HIDDEN for seen in shown])
    return points


def _nose_side(face: Face, letter: str, sign: int) -> dict[str, ChartPoint]:
    nose = face.nose
    x, y, half_width, half_height = nose.nostril
    return {
        f"{letter}_outer_corner_of_nose": _front(sign * nose.half_width, nose.tip - 0.018),
        f"inner_corner_of_{letter}_nostril": _front(sign * (x - half_width), y),
        f"outer_corner_of_{letter}_nostril": _front(sign * (x + half_width), y),
        f"upper_corner_of_{letter}_nostril": _front(sign * x, y + half_height),
    }


def _mouth(face: Face) -> dict[str, ChartPoint]:
    mouth = face.mouth
    s = np.array([-1.0, 1.0])
    points = _curve(
        ["r_outer_corner_of_mouth", "l_outer_corner_of_mouth"],
        mouth.across(s),
        mouth.line(mouth.across(s)),
        [CORNER] * 2,
    )
    x = mouth.inner_across(s)
    points |= _curve(["r_inner_corner_of_mouth", "l_inner_corner_of_mouth"], x, mouth.line(x), [BETWEEN] * 2)
    s = np.array([0.0, *AROUND_CENTER.values()])
    centers = {"upper_outer": "center_of_cupid_bow", "lower_outer": "center_of_lower_outer_lip"}
    for border, height, across, labels in (
        ("upper_outer", mouth.upper_outer, mouth.across, UPPER),
        ("lower_outer", mouth.lower_outer, mouth.across, LOWER),
        ("upper_inner", mouth.upper_inner, mouth.inner_across, BETWEEN),
        ("lower_inner", mouth.lower_inner, mouth.inner_across, BETWEEN),
    ):
        center = centers.get(border, f"center_of_{border}_lip")
        names = [center, *(f"midpoint_{n}_of_{border}_lip" for n in AROUND_CENTER)]
        points |= _curve(names, across(s), height(s), [labels] * len(s))
    return points


@lru_cache
def _jaw() -> dict[str, ChartPoint]:
    """Return the outline from the right ear over the chin to the left: rays that fan out from the face's axis."""
    points = {}
    for number, angle in enumerate(_even(0.0, np.pi, 17)):
        low = np.sin(angle)
        direction = np.array([-np.cos(angle), -0.75 * low, 0.28 + 0.1 * low])
        origin = np.array([0.0, 0.06 - 0.22 * low, 0.03 + 0.16 * low]) + 2 * direction
        points[f"face-{number}"] = ChartPoint(tuple(origin), tuple(-direction), SKIN)
    return points


def _contours(face: Face) -> dict[str, ChartPoint]:
    """Return points 17 to 67 of the 68 (300 W): brows, nose, eyes, lips, from the image's left to its right."""
    nose, mouth = face.nose, face.mouth
    x: list[float] = []
    y: list[float] = []
    labels: list[Labels] = []

    def add(more_x: Array, more_y: Array, label: Labels = SKIN) -> None:
        x.extend(more_x.tolist())
        y.extend(more_y.tolist())
        labels.extend([label] * len(more_x))

    for side, sign in ((0, -1), (1, 1)):
        s = sign * np.linspace(-1, 1, 5)
        add(sign * face.brows[side].across(s), face.brows[side].upper(s))
    add(np.zeros(4), np.linspace(nose.root, nose.tip, 4))
    wide = 0.62 * nose.half_width
    add(np.linspace(-wide, wide, 5), nose.base + np.array([0.012, 0.004, 0.0, 0.004, 0.012]))
    for side, sign in ((0, -1), (1, 1)):
        eye = face.eyes[side]
        over, under = sign * np.array([-1, -1 / 3, 1 / 3, 1]), sign * np.array([1 / 3, -1 / 3])
        add(sign * eye.across(over), eye.upper_lid(over))
        add(sign * eye.across(under), eye.lower_lid(under))
    over, under = np.linspace(-1, 1, 7), np.linspace(2 / 3, -2 / 3, 5)
    for s, height, label in ((over, mouth.upper_outer, UPPER), (under, mouth.lower_outer, LOWER)):
        add(mouth.across(s), height(s), label)
    labels[-12], labels[-6] = CORNER, CORNER
    over, under = np.linspace(-1, 1, 5), np.array([0.5, 0.0, -0.5])
    for s, height in ((over, mouth.upper_inner), (under, mouth.lower_inner)):
        add(mouth.inner_across(s), height(s), BETWEEN)
    return _curve([f"face-{number}" for number in range(17, 68)], np.array(x), np.array(y), labels)


def _ears(ear: Ear) -> dict[str, ChartPoint]:
    """Return the points of both ears; the right ear's names are the mirror partners of the left's."""
    named = ear_points()
    places = ear.side_view(np.array([*named.values(), (0.3, -0.1)]))
    names = [f"l_{name}" for name in named]
    points = {}
    for sign, own in ((1, [*names, "left_ear"]), (-1, [*map(mirrored, names), "right_ear"])):
        for name, (y, z) in zip(own, places.tolist(), strict=True):
            points[name] = ChartPoint((2.0 * sign, y, z), (-1.0 * sign, 0.0, 0.0), SKIN)
    return points


def mirrored(name: str) -> str:
    """Return the mirror partner of a point of sociopticon308."""
    return _partners()[name]


@lru_cache
def _partners() -> dict[str, str]:
    skeleton = load_skeleton("sociopticon308")
    return {
        name: skeleton.keypoints[index] for name, index in zip(skeleton.keypoints, skeleton.swap, strict=True)
    }
