"""Draw one sample with its labels, each kind by a title; all pictures are RGB uint8."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from sapiens2_lit.visualization.draw import draw_keypoints, draw_segmentation
from sapiens2_lit.visualization.draw_dense import (
    channels_last,
    draw_depth,
    draw_matte,
    draw_normals,
    to_bytes,
)
from sapiens2_lit.visualization.draw_surface import draw_lit, draw_surface
from sapiens2_lit.vocabularies.tasks import map_kinds

Picture = npt.NDArray[np.uint8]
Sample = Mapping[str, Any]

_ASSUMED_ANGLE = 50.0  # degrees of view, if no camera is known
_VISIBLE, _OCCLUDED = 2, 1
_GREEN = (0.05, 0.35, 0.2)  # second background of mattes, beside the checkerboard
_RED = (200, 30, 30)
_STRIPES = 12  # pixels, over invalid pixels


def label_views(sample: Sample, skeleton: Any, classes: Any) -> dict[str, Picture]:
    """Return the labels of an unbatched sample with the keys of a batch, as pictures of the sample's size.

    Args:
        sample: Image (3, H, W) uint8 and its labels.
        skeleton: Vocabulary of its keypoints, or None.
        classes: Vocabulary of its segmentation, or None.
    """
    image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).cpu().numpy())
    views: dict[str, Picture] = {}
    if "keypoints" in sample and skeleton is not None:
        views["keypoints"] = keypoints_view(image, sample["keypoints"].cpu().numpy(), skeleton)
    if "segmentation" in sample and classes is not None:
        views["classes"] = draw_segmentation(image, sample["segmentation"].cpu().numpy(), classes)
    if "normal" in sample:
        normals = channels_last(sample["normal"])
        views["normals"] = draw_normals(image, normals)
        views["normals, lit from the upper left"] = draw_lit(normals)
    views |= _distances(image, sample)
    for kind in map_kinds():
        if kind.values == "color" and kind.key in sample:
            views[kind.key] = to_bytes(channels_last(sample[kind.key]))
    if "alpha" in sample:
        views |= _mattes(image, sample)
    return views


def _distances(image: Picture, sample: Sample) -> dict[str, Picture]:
    views = {}
    if "depth" in sample:
        views["depth"] = draw_depth(image, channels_last(sample["depth"])[..., 0])
    if "pointmap" in sample:
        points = channels_last(sample["pointmap"])
        views["distance of the points"] = draw_depth(image, points[..., 2])
        views["points, lit and turned by 30°"] = draw_surface(points)
    elif "depth" in sample:
        surface = unproject(channels_last(sample["depth"])[..., 0], sample.get("intrinsics"))
        camera = "" if "intrinsics" in sample else f", by a view of {_ASSUMED_ANGLE:.0f}°"
        views[f"depth, lit and turned by 30°{camera}"] = draw_surface(surface)
    return views


def _mattes(image: Picture, sample: Sample) -> dict[str, Picture]:
    alpha = channels_last(sample["alpha"])
    if "foreground" in sample:
        people, whose = channels_last(sample["foreground"]), ""
    else:
        people, whose = image / 255 * alpha, ", colors of the photograph"
    grey = to_bytes(np.repeat(alpha, 3, axis=2))
    on_green = to_bytes(people + (1 - alpha) * np.array(_GREEN))
    return {"alpha": grey, f"on squares{whose}": draw_matte(people, alpha), f"on green{whose}": on_green}


def keypoints_view(image: Picture, points: npt.NDArray[np.floating], skeleton: Any) -> Picture:
    """Draw the points of one person: visible ones in full, occluded ones faint.

    Args:
        image: RGB (H, W, 3).
        points: (K, 3) x, y in its pixels and visibility.
        skeleton: Vocabulary of the points.
    """
    every = draw_keypoints(image, points, skeleton, threshold=_OCCLUDED)
    seen = draw_keypoints(image, points, skeleton, threshold=_VISIBLE)
    return np.asarray(cv2.addWeighted(every, 0.4, seen, 0.6, 0), dtype=np.uint8)


def valid_view(sample: Sample) -> tuple[Picture, float] | None:
    """Return the image with red stripes over invalid pixels, and the share of valid ones.

    None if the sample does not tell.
    """
    if "valid" in sample:
        counts = sample["valid"][0].cpu().numpy().astype(bool)
    elif "segmentation" in sample:
        counts = sample["segmentation"].cpu().numpy() != 255
    elif "alpha" in sample:
        counts = np.isfinite(sample["alpha"][0].cpu().numpy())
    else:
        return None
    image = sample["image"].permute(1, 2, 0).cpu().numpy()
    rows, columns = np.indices(counts.shape)
    striped = ~counts & ((rows + columns) // _STRIPES % 2 == 0)
    return np.where(striped[..., None], np.array(_RED, dtype=np.uint8), image), float(counts.mean())


def unproject(depth: npt.NDArray[np.floating], intrinsics: Tensor | None) -> npt.NDArray[np.floating]:
    """Return points (H, W, 3) of depth (H, W) along the rays of a camera (3, 3), or of an assumed one."""
    height, width = depth.shape
    if intrinsics is None:
        focal = max(height, width) / 2 / np.tan(np.radians(_ASSUMED_ANGLE) / 2)
        matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    else:
        matrix = intrinsics.double().cpu().numpy()
    rows, columns = np.indices((height, width))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=2).astype(np.float64)
    points: npt.NDArray[np.floating] = depth[..., None] * (pixels @ np.linalg.inv(matrix).T)
    return points


def miss_of_camera(sample: Sample) -> float | None:
    """Return the median distance between points' pixels and their projections by the camera, in pixels.

    None for samples without points and camera.
    """
    if "pointmap" not in sample or "intrinsics" not in sample:
        return None
    points = channels_last(sample["pointmap"]).astype(np.float64)
    known = np.isfinite(points).all(axis=2) & (points[..., 2] > 0)
    if not known.any():
        return None
    seen = points[known] @ sample["intrinsics"].double().cpu().numpy().T
    rows, columns = np.nonzero(known)
    return float(np.median(np.hypot(seen[:, 0] / seen[:, 2] - columns, seen[:, 1] / seen[:, 2] - rows)))


def shrink_to(picture: Picture, height: int, width: int) -> Picture:
    """Return the picture (H, W, 3), at most this high and wide.

    Args:
        picture: RGB (H, W, 3).
        height: In pixels.
        width: In pixels.
    """
    scale = min(height / picture.shape[0], width / picture.shape[1])
    if scale >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
