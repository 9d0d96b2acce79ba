"""Generate images of synthetic people by seed and index."""

from sapiens2_lit.errors import SettingError
from sapiens2_lit.synthetic.dataset.frame import ANGLES, FIELDS_OF_VIEW, MOST_PEOPLE, Frame
from sapiens2_lit.synthetic.render.render import render
from sapiens2_lit.synthetic.render.scene import sample_scene


def generate(
    seed: int,
    index: int,
    size: tuple[int, int],
    people: tuple[int, int] = (1, 1),
    field_of_view: tuple[float, float] = FIELDS_OF_VIEW,
) -> Frame:
    """Generate one image with all its labels; the same arguments give the same image.

    Args:
        seed: of the dataset, 0 or more.
        index: of the image, 0 or more.
        size: (height, width) in pixels.
        people: least and greatest number of people, 20 at most; the camera frames the first one.
        field_of_view: least and greatest vertical field of view of the camera, in degrees.

    Raises:
        SettingError: an argument is out of its range.
    """
    if seed < 0 or index < 0:
        raise SettingError(f"seed {seed}, index {index}: expected 0 or more")
    if min(size) < 1:
        raise SettingError(f"size is {size}, expected (height, width) in pixels")
    if not 1 <= people[0] <= people[1] <= MOST_PEOPLE:
        raise SettingError(
            f"people is {people}, expected the least and the greatest number, from 1 to {MOST_PEOPLE}"
        )
    if not ANGLES[0] <= field_of_view[0] <= field_of_view[1] <= ANGLES[1]:
        raise SettingError(
            f"field_of_view is {field_of_view}, expected the least and the greatest angle, from {ANGLES[0]} to "
            f"{ANGLES[1]} degrees"
        )
    return render(sample_scene(seed, index, size, people, field_of_view))
