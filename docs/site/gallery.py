"""Generate the pictures of the gallery: small ones of synthetic people, the same every time."""

from pathlib import Path

import cv2
import numpy as np

from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.synthetic.dataset.preview import views
from sapiens2_lit.visualization.draw import contact_sheet, side_by_side

SEED, SIZE, LARGE, WIDE, QUALITY = 7, (192, 144), (256, 192), (192, 288), 82
TEXT = """\
## People
Bodies, clothes, poses, faces, light and places are drawn at random; a picture is a function of its seed and its index.

![twelve generated people](gallery/people.jpg)

## One picture, every label
All labels come from the same rays, so they agree to the pixel.

![one person with all labels](gallery/labels.jpg)

## Groups
Several people in a picture, each with a box and keypoints of their own, occluded ones too.

![three groups of people beside their classes](gallery/groups.jpg)

## Cameras
The same person through a long, a normal and a wide lens.

![one person, three fields of view](gallery/cameras.jpg)
"""


def write_gallery(source: Path) -> None:
    """Write the pictures into `gallery/`, and add them to the page in the folder that Sphinx reads."""
    folder = source / "gallery"
    folder.mkdir(exist_ok=True)
    save(
        folder / "people.jpg",
        contact_sheet([generate(SEED, index, SIZE).image for index in range(12)], columns=6),
    )
    save(folder / "labels.jpg", labels(generate(SEED, 20, LARGE)))
    groups = [generate(SEED, index, WIDE, (3, 5)) for index in (108, 109, 110)]
    save(
        folder / "groups.jpg", contact_sheet([picture for one in groups for picture in both(one)], columns=2)
    )
    angles = [generate(SEED, 60, SIZE, field_of_view=(angle, angle)).image for angle in (18.0, 40.0, 75.0)]
    save(folder / "cameras.jpg", side_by_side(angles, titles=["18 degrees", "40 degrees", "75 degrees"]))
    with (source / "gallery.md").open("a", encoding="utf-8") as page:
        page.write(TEXT)


def labels(frame: Frame) -> np.ndarray:
    """Return one picture beside all its labels, in two rows."""
    pictures = views(frame)
    return contact_sheet(
        [side_by_side([view], titles=[title]) for title, view in pictures.items()], columns=5
    )


def both(frame: Frame) -> list[np.ndarray]:
    """Return a picture of several people, and its classes with their keypoints."""
    found = views(frame, ("pose", "segmentation"))
    return [found["308 keypoints"], found["segmentation"]]


def save(path: Path, picture: np.ndarray) -> None:
    """Write a picture, RGB uint8, as a small file."""
    written = cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert written, path
