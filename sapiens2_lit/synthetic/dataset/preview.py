"""Labels as pictures: one row per sample, the image beside all its labels."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.synthetic.dataset.frame import Frame
from sapiens2_lit.synthetic.dataset.layout import TASKS
from sapiens2_lit.visualization.draw import contact_sheet, draw_keypoints, side_by_side
from sapiens2_lit.vocabularies import load_classes, load_skeleton

Picture = npt.NDArray[np.uint8]
TALLEST, WIDEST, NARROWEST = 320, 320, 96  # pixels of a view
EMPTY = 40  # gray level of pixels without label
SQUARE = 12  # pixels of a checkerboard's side


def preview(frames: Sequence[Frame], tasks: Sequence[str] = TASKS) -> Picture:
    """Return a sheet of all `frames`, RGB uint8 (H, W, 3): one row per frame with its image and its labels."""
    rows = [views(frame, tasks) for frame in frames]
    return contact_sheet([side_by_side(list(row.values()), titles=list(row)) for row in rows], columns=1)


def views(frame: Frame, tasks: Sequence[str] = TASKS) -> dict[str, Picture]:
    """Return the image and each label of the tasks as a picture by title, RGB uint8 with at most 320 rows."""
    found = {"image": frame.image}
    if "pose" in tasks:
        found["308 keypoints"] = keypoints_view(frame)
    if "segmentation" in tasks:
        found["segmentation"] = segmentation_view(frame)
    if "normal" in tasks:
        found["normal"] = normal_view(frame)
    if "depth" in tasks:
        found["depth"] = depth_view(frame)
    if "pointmap" in tasks:
        found["point map"] = pointmap_view(frame)
    if "albedo" in tasks:
        found["albedo"] = on_grey(to_bytes(frame.albedo), frame.valid)
    if "matting" in tasks:
        found["alpha"] = np.repeat(to_bytes(frame.alpha)[..., None], 3, axis=2)
        found["foreground"] = foreground_view(frame)
    return {title: fit(view) for title, view in found.items()}


def keypoints_view(frame: Frame) -> Picture:
    """Return the 308 keypoints: visible ones in full, occluded ones faint."""
    skeleton = load_skeleton("sociopticon308")
    every, seen = frame.image, frame.image
    for person in frame.people:
        points = person.keypoints["sociopticon308"]
        every = draw_keypoints(every, points, skeleton, threshold=1)
        seen = draw_keypoints(seen, points, skeleton, threshold=2)
    return np.asarray(cv2.addWeighted(every, 0.35, seen, 0.65, 0), dtype=np.uint8)


def segmentation_view(frame: Frame) -> Picture:
    """Return the segmentation with one color per class."""
    return on_grey(load_classes("body29").palette()[frame.segmentation], frame.valid)


def normal_view(frame: Frame) -> Picture:
    """Return normals in the usual colors of OpenGL's axes: x right red, y up green, z to the viewer blue."""
    normal = frame.normal * np.array([1, -1, -1], dtype=np.float32)
    return on_grey(to_bytes((normal + 1) / 2), frame.valid)


def depth_view(frame: Frame) -> Picture:
    """Return depth in colors, bright for near, scaled to the range in the picture."""
    share = 1 - stretched(frame.depth[..., None], frame.valid)[..., 0]
    colors = cv2.applyColorMap(to_bytes(share), cv2.COLORMAP_INFERNO)
    return on_grey(np.asarray(colors[..., ::-1], dtype=np.uint8), frame.valid)


def pointmap_view(frame: Frame) -> Picture:
    """Return x, y, z as red, green, blue, each scaled to its range in the picture."""
    return on_grey(to_bytes(stretched(frame.pointmap, frame.valid)), frame.valid)


def foreground_view(frame: Frame) -> Picture:
    """Return the people on a checkerboard."""
    row, column = np.indices(frame.alpha.shape) // SQUARE
    board = np.where((row + column) % 2, 0.75, 0.5)[..., None]
    blended = frame.foreground + (1 - frame.alpha[..., None]) * board
    return to_bytes(blended)


def stretched(values: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Scale channels (H, W, C) to 0..1 over `valid` pixels; others are 0."""
    result = np.zeros_like(values)
    if valid.any():
        seen = values[valid]
        low, high = seen.min(0), seen.max(0)
        result[valid] = (seen - low) / np.maximum(high - low, 1e-6)
    return result


def to_bytes(shares: npt.NDArray[np.floating]) -> Picture:
    """Convert numbers of any shape in 0..1 to uint8; others are clipped."""
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


def on_grey(colors: Picture, valid: npt.NDArray[np.bool_]) -> Picture:
    """Return RGB (H, W, 3) with gray outside `valid` (H, W)."""
    return np.where(valid[..., None], colors, EMPTY).astype(np.uint8)


def fit(view: Picture) -> Picture:
    """Return the view resized to fit a sheet, and wide enough for its title."""
    height, width = view.shape[:2]
    scale = max(min(TALLEST / height, WIDEST / width, 1.0), NARROWEST / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale <= 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(view, size, interpolation=method), dtype=np.uint8)
