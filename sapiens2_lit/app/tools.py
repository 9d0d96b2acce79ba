"""Build parts of the page that run in the browser (`app.js`), with their data in the HTML."""

import base64

import cv2
import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Prediction, known
from sapiens2_lit.inference.writers.base import in_axes
from sapiens2_lit.inference.writers.matte import straight
from sapiens2_lit.inference.writers.mesh import JUMP, triangulate
from sapiens2_lit.transforms.fields import box_of

RGB = npt.NDArray[np.uint8]
_GRID = 200  # vertices along the longer side of a surface: fewer than 65,536 in all, which WebGL counts in 16 bits
_SIDE = 720  # pixels of the longer side, so that the light follows a dragged lamp at once


def box_canvas(image: RGB) -> str:
    """Return a picture to draw boxes of people on by dragging.

    Args:
        image: RGB uint8 (H, W, 3).
    """
    height, width = image.shape[:2]
    return (
        f'<div class="tool boxes" data-tool="boxes" data-width="{width}" data-height="{height}"><div class="stage">'
        f'<img alt="the picture" src="{_url(_shrink(image), ".jpg")}"><svg preserveAspectRatio="none"></svg></div>'
        '<div class="row"><span>Drag to draw a box around each person.</span>'
        '<button type="button" class="clear">remove all boxes</button></div></div>'
    )


def relight_canvas(image: RGB, normals: npt.NDArray[np.floating]) -> str:
    """Return a picture lit by a lamp that visitors drag over it.

    Args:
        image: RGB uint8 (H, W, 3).
        normals: (H, W, 3) unit vectors in the camera's frame (y down, z forward), NaN where unknown.
    """
    small = _shrink(image)
    size = small.shape[1::-1]
    there = known(normals)
    field = cv2.resize(
        np.where(there[..., None], normals, 0).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    length = np.linalg.norm(field, axis=2, keepdims=True)
    unit = field / np.maximum(length, 1e-6) * [1, -1, -1]  # right, up, towards the camera
    coded = np.rint(unit * 127.5 + 127.5).astype(np.uint8)
    alpha = np.where(length > 1e-3, 255, 0).astype(np.uint8)
    source, map_ = _url(small, ".jpg"), _url(np.concatenate([coded, alpha], axis=2), ".png")
    return (
        f'<div class="tool" data-tool="relight" data-image="{source}" data-normals="{map_}"><div class="stage relit">'
        '<canvas></canvas><button type="button" class="lamp" aria-label="lamp, moved by dragging or arrow keys">'
        '</button></div><div class="row"><label>lamp <input type="range" class="strength" min="0" max="4" step=".1" '
        'value="2"></label><label>room light <input type="range" class="room" min="0" max="1" step=".05" value=".25">'
        '</label><label>color <input type="color" class="tint" value="#fff1d6"></label>'
        '<button type="button" class="save">download</button></div></div>'
    )


def matte_canvas(image: RGB, prediction: Prediction, head: str) -> str:
    """Return a cut-out in front of a color or of the visitor's picture.

    Args:
        image: RGB uint8 (H, W, 3).
        prediction: With the maps `alpha`, and `foreground` if the head has one.
        head: Name of the head that predicts them.
    """
    maps = prediction.maps[head]
    alpha = np.where(np.isfinite(maps["alpha"]), maps["alpha"], 0)  # unknown pixels are transparent
    colors = straight(maps["foreground"], maps["alpha"]) * 255 if "foreground" in maps else image
    cutout = np.concatenate([np.rint(np.asarray(colors, np.float32)), np.rint(alpha * 255)], axis=2)
    source = _url(_shrink(np.clip(cutout, 0, 255).astype(np.uint8)), ".png")
    return (
        f'<div class="tool" data-tool="matte" data-cutout="{source}"><div class="stage"><canvas></canvas></div>'
        '<div class="row"><label>background <input type="color" class="color" value="#2f6f4f"></label>'
        '<label>or a picture <input type="file" class="scene" accept="image/*"></label>'
        '<button type="button" class="save">download</button></div></div>'
    )


def surface_canvas(image: RGB, points: npt.NDArray[np.floating]) -> str:
    """Return a surface in the colors of the picture, turned by dragging.

    Args:
        image: RGB uint8 (H, W, 3).
        points: (H, W, 3) in the camera's frame (y down, z forward), NaN where unknown.
    """
    rows, columns = box_of(known(points) & (points[..., 2] > 0))
    image, points = image[rows, columns], points[rows, columns]
    step = max(1, -(-max(points.shape[:2]) // _GRID))
    grid = np.array(points[::step, ::step], np.float32)
    there = grid[known(grid) & (grid[..., 2] > 0)]
    if len(there):
        low, high = np.percentile(there, [1, 99], axis=0).astype(np.float32)
        center, radius = (low + high) / 2, max(0.6 * float((high - low).max()), 1e-6)
        far = np.abs(grid - center).max(axis=2) > radius  # single points, which would shrink the rest
        grid[far] = np.nan
    else:
        center, radius = np.zeros(3, np.float32), 1.0
    triangles, used = triangulate(grid, step * JUMP)
    inside = in_axes((grid.reshape(-1, 3)[used] - center) / radius, "opengl")
    data = {
        "positions": np.rint(inside * 32767).astype("<i2"),
        "colors": np.ascontiguousarray(image[::step, ::step].reshape(-1, 3)[used]),
        "triangles": triangles.astype("<u2"),
    }
    coded = " ".join(f'data-{key}="{base64.b64encode(one.tobytes()).decode()}"' for key, one in data.items())
    return (
        f'<div class="tool" data-tool="surface" {coded}><div class="stage solid"><canvas width="720" height="520" '
        'tabindex="0" aria-label="surface, turned by dragging or arrow keys"></canvas></div>'
        '<div class="row"><span>Drag to turn, scroll to zoom.</span>'
        '<button type="button" class="reset">as the camera sees it</button></div></div>'
    )


def _shrink(image: RGB) -> RGB:
    scale = _SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.uint8, copy=False)


def _url(image: RGB, kind: str) -> str:
    """Return RGB or RGBA uint8 as a data URL."""
    order = [2, 1, 0, 3][: image.shape[2]]
    done, data = cv2.imencode(kind, image[..., order])
    assert done, f"a picture of {image.shape} cannot be encoded"
    form = "jpeg" if kind == ".jpg" else "png"
    return f"data:image/{form};base64,{base64.b64encode(data.tobytes()).decode()}"
