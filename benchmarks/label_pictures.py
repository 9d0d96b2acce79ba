"""The pictures of the docs: what labels of every dense task look like, on a synthetic person.

    python benchmarks/label_pictures.py [--output docs]

Writes segmentation.jpg, normal.jpg, pointmap.jpg, depth.jpg, albedo.jpg and matting.jpg: the same files every time.
"""

from argparse import ArgumentParser
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.generate import generate
from sapiens2_lit.visualization.draw import draw_segmentation, side_by_side
from sapiens2_lit.visualization.draw_dense import draw_depth, draw_matte, draw_normals, draw_points, to_bytes
from sapiens2_lit.vocabularies import load_classes

Picture = npt.NDArray[np.uint8]
SEED, INDEX, SIZE = 0, 11, (384, 288)
RED, GREEN, BLUE, DARK = (255, 70, 70), (60, 210, 60), (80, 140, 255), (0, 0, 0)
QUALITY = 85


def axes(picture: Picture, frame: str) -> Picture:
    """The axes of a frame in the lower left corner: red x, green y, blue z, which points into or out of the picture."""
    picture = picture.copy()
    up = frame == "opengl"
    origin = (26, len(picture) - 26) if up else (26, len(picture) - 66)
    for color, end in (
        (RED, (origin[0] + 40, origin[1])),
        (GREEN, (origin[0], origin[1] + (-40 if up else 40))),
    ):
        cv2.arrowedLine(picture, origin, end, DARK, 4, cv2.LINE_AA, tipLength=0.3)
        cv2.arrowedLine(picture, origin, end, color, 2, cv2.LINE_AA, tipLength=0.3)
    cv2.circle(picture, origin, 9, DARK, -1, cv2.LINE_AA)
    cv2.circle(picture, origin, 7, BLUE, 1, cv2.LINE_AA)
    if up:  # the point of an arrow that comes
        cv2.circle(picture, origin, 3, BLUE, -1, cv2.LINE_AA)
    else:  # the feathers of one that goes
        for slope in (-1, 1):
            first, last = (origin[0] - 5, origin[1] - 5 * slope), (origin[0] + 5, origin[1] + 5 * slope)
            cv2.line(picture, first, last, BLUE, 1, cv2.LINE_AA)
    return picture


def segmentation(frame: Frame) -> dict[str, Picture]:
    classes = load_classes("body29")
    mask = frame.segmentation
    swapped = classes.swap_table()[mask[:, ::-1]]
    return {
        "image": frame.image,
        "mask, in colors": draw_segmentation(frame.image, mask, classes, opacity=0.8, legend=False),
        "mirrored: left and right swap": draw_segmentation(
            frame.image[:, ::-1], swapped, classes, opacity=0.8, legend=True
        ),
    }


def normal(frame: Frame) -> dict[str, Picture]:
    as_opencv = np.where(frame.valid[..., None], to_bytes((frame.normal + 1) / 2), 0)
    black = np.zeros_like(frame.image)
    return {
        "image": frame.image,
        "png of frame: opencv": axes(as_opencv, "opencv"),
        "png of frame: opengl": axes(draw_normals(black, frame.normal), "opengl"),
    }


def channel(values: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> Picture:
    """Grey from the least to the greatest value; dark where nothing counts."""
    low, high = values[valid].min(), values[valid].max()
    grey = to_bytes(0.15 + 0.85 * (values - low) / (high - low))
    return np.repeat(np.where(valid, grey, 24)[..., None], 3, axis=2).astype(np.uint8)


def pointmap(frame: Frame) -> dict[str, Picture]:
    x, y, z = (channel(frame.pointmap[..., i], frame.valid) for i in range(3))
    return {
        "image": axes(frame.image, "opencv"),
        "x grows right": x,
        "y grows down": y,
        "z grows away": z,
        "points from the side": draw_points(frame.image, frame.pointmap),
    }


def depth(frame: Frame) -> dict[str, Picture]:
    return {
        "image": frame.image,
        "the file, in gray": channel(frame.depth, frame.valid),
        "pictures: meters along z": draw_depth(frame.image, frame.depth, bar=True),
    }


def albedo(frame: Frame) -> dict[str, Picture]:
    light = np.where(frame.valid, frame.image.mean(-1) / 255 / np.maximum(frame.albedo.mean(-1), 0.02), 0)
    return {
        "image": frame.image,
        "albedo": to_bytes(frame.albedo),
        "image over albedo: the light": np.repeat(
            to_bytes(light / np.percentile(light, 99))[..., None], 3, axis=2
        ),
    }


def matting(frame: Frame) -> dict[str, Picture]:
    alpha = frame.alpha[..., None]
    return {
        "image": frame.image,
        "alpha": np.repeat(to_bytes(alpha), 3, axis=2),
        "foreground, times alpha": to_bytes(frame.foreground),
        "on another background": draw_matte(frame.foreground, alpha),
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs")
    output = parser.parse_args().output
    frame = generate(SEED, INDEX, SIZE)
    for make in (segmentation, normal, pointmap, depth, albedo, matting):
        views = make(frame)
        sheet = side_by_side(list(views.values()), titles=list(views))
        path = output / f"{make.__name__}.jpg"
        cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        print(f"{path}: {sheet.shape[1]} x {sheet.shape[0]}, {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
