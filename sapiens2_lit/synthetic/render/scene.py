"""Scenes: the places of people, the camera, the light and the background."""

import numpy as np

from sapiens2_lit.synthetic.body.parts import Array, Person
from sapiens2_lit.synthetic.body.people import sample_person
from sapiens2_lit.synthetic.dataset.frame import FIELDS_OF_VIEW
from sapiens2_lit.synthetic.render.background import sample_background
from sapiens2_lit.synthetic.render.camera import Camera, frame_points
from sapiens2_lit.synthetic.render.light import sample_light
from sapiens2_lit.synthetic.render.render import Scene

# Framing of the main person, by its lowest visible landmarks, and its probability.
SHOTS: dict[str, tuple[tuple[str, ...], float]] = {
    "whole": ((), 0.7),
    "knees": (("left_knee", "right_knee"), 0.12),
    "waist": (("left_hip", "right_hip"), 0.12),
    "head": (("left_shoulder", "right_shoulder"), 0.06),
}


FEET = ("left_ankle", "right_ankle", "left_big_toe", "right_big_toe")
APART = 0.8  # meters between two people's middles


def sample_scene(
    seed: int,
    index: int,
    size: tuple[int, int],
    people: tuple[int, int] = (1, 1),
    field_of_view: tuple[float, float] = FIELDS_OF_VIEW,
) -> Scene:
    """Return a scene that depends only on its arguments.

    Args:
        seed: of the dataset.
        index: of the scene.
        size: (height, width) of the image in pixels.
        people: least and greatest number of people; the camera frames the first, the others stand around.
        field_of_view: least and greatest vertical field of view, in degrees.
    """
    rng = np.random.default_rng((seed, index))
    count = int(rng.integers(people[0], people[1] + 1))
    crowd = [(sample_person(rng), facing(rng)) for _ in range(count)]
    spots = sample_places(rng, count)
    group = [placed(person, angle, spot) for (person, angle), spot in zip(crowd, spots, strict=True)]
    camera = sample_camera(rng, group[0], size, field_of_view)
    light = sample_light(rng)
    feet = np.stack([person.landmarks[name].position for person in group for name in FEET])
    return Scene(group, camera, light, sample_background(rng, camera, light, feet))


def sample_places(rng: np.random.Generator, count: int) -> list[Array]:
    """Return places (3,) for people on the floor: the first at the origin, the others beside and mostly behind."""
    places, reach = [np.zeros(3)], 1.0
    while len(places) < count:
        place = np.array([rng.uniform(-1.3, 1.3), 0.0, rng.uniform(-1.8, 0.7)]) * reach
        if min(np.linalg.norm(place - other) for other in places) > APART:
            places.append(place)
        else:
            reach *= 1.02  # there is room for any number
    return places


def sample_camera(
    rng: np.random.Generator, person: Person, size: tuple[int, int], field_of_view: tuple[float, float]
) -> Camera:
    """Return a camera that frames a whole person or the upper part.

    Args:
        rng: source of the choices.
        person: in the world's frame.
        size: (height, width) of the image in pixels.
        field_of_view: least and greatest vertical field of view, in degrees.
    """
    names, chances = zip(*((name, chance) for name, (_, chance) in SHOTS.items()), strict=True)
    lowest, _ = SHOTS[str(rng.choice(names, p=chances))]
    points = outline(person)
    if lowest:
        bound = min(person.landmarks[name].position[1] for name in lowest)
        points = points[points[:, 1] >= bound]
    return frame_points(
        points,
        size,
        rng,
        field_of_view=np.radians(np.exp(rng.uniform(*np.log(field_of_view)))),
        fill=rng.uniform(0.7, 0.97),
        elevation=np.radians(rng.normal(6, 10)),
        roll=np.radians(rng.normal(0, 4) + (rng.uniform() < 0.1) * rng.normal(0, 15)),
    )


def outline(person: Person) -> Array:
    """Return the most distant points (N, 3) of the spheres at every part's ends, along the world's axes."""
    frames = np.stack([part.frame for part in person.parts])
    reach = np.sqrt((frames[:, :3, :3] ** 2).sum(2))
    ends = []
    for end, lengths in ((0, np.zeros(len(frames))), (1, np.array([part.length for part in person.parts]))):
        radii = np.array([part.radii[end] for part in person.parts])
        centres = frames[:, :3, 3] + frames[:, :3, 1] * lengths[:, None]
        spread = np.eye(3) * (reach * radii[:, None])[:, None]
        ends += [centres[:, None] + spread, centres[:, None] - spread]
    return np.concatenate(ends).reshape(-1, 3)


def facing(rng: np.random.Generator) -> float:
    """Return radians by which a person is turned from the camera: mostly few, sometimes any."""
    return float(rng.normal(0, 0.6) if rng.uniform() < 0.7 else rng.uniform(-np.pi, np.pi))


def placed(person: Person, angle: float, place: Array) -> Person:
    """Return a person turned and moved.

    Args:
        person: facing the viewer at the origin.
        angle: radians by which the person turns away from the viewer.
        place: (3,).
    """
    cos, sin = np.cos(angle), np.sin(angle)
    transform = np.eye(4)
    transform[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    transform[:3, 3] = place
    return person.moved(transform)
