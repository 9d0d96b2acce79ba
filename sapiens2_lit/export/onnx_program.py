"""Predict on an image with the model.onnx beside this program; it needs numpy, pillow and onnxruntime alone.

    python predict.py image.jpg                       the whole picture
    python predict.py image.jpg --box 10 20 80 200    one person: x, y, width and height in pixels

Writes image.npz with an array for every result, of the picture's size and in its pixels. Keypoints need a box around
one person, unless the person fills the picture. Pixel centres are integers.

This program is licensed under the Apache License 2.0, as sapiens2-lit is; the weights beside it have a licence of
their own.

Legend: B batch, K keypoints, C channels, H and W pixels of the network's input, h and w pixels of a heatmap, P side of
a patch around a heatmap's peak.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

Array = np.ndarray[Any, Any]

BOX_PADDING = 1.25
CANONICAL_FOCAL = 768 / (1024 * 768) ** 0.5  # of the camera that point maps are for, at an input of one pixel
SMALLEST_SCALE = 0.05
RELEASED_MAP_AREA = 256 * 192  # the heatmap on which `sigma` counts
BLUR_KERNEL, BLUR_SIGMA = 11, 2.0
FLOOR, WINDOW, STIFFNESS, WIDEST = 0.2, 1.5, 0.01, 4.0  # of the fit at borders


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("--box", type=float, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"))
    options = parser.parse_args()
    session, facts = open_model(Path(__file__).with_name("model.onnx"))
    image = ImageOps.exif_transpose(Image.open(options.image)).convert("RGB")
    results: Any = predict(session, facts, image, options.box)
    np.savez_compressed(options.image.with_suffix(".npz"), **results)
    for name, value in results.items():
        print(name, value.shape, value.dtype)  # noqa: T201 (a program for a terminal)


def open_model(path: Path) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """The network, and the facts about its input and its heads that the file holds."""
    session = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    return session, json.loads(session.get_modelmeta().custom_metadata_map["sapiens2_lit"])


def predict(
    session: onnxruntime.InferenceSession,
    facts: dict[str, Any],
    image: Image.Image,
    box: list[float] | None = None,
) -> dict[str, Array]:
    """Results of all heads on one RGB image, by HEAD.RESULT, in its pixels."""
    height, width = facts["image_size"]
    pixels, affine = whole(image, (height, width)) if box is None else crop(image, box, (height, width))
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"image": pixels[None]}), strict=True))
    results: dict[str, Array] = {}
    for head, about in facts["heads"].items():
        answers = read_head(head, about, outputs, (height, width))
        for key, value in answers.items():
            results[f"{head}.{key}"] = to_original(key, value[0], affine, image.size)
    return results


# ----------------------------------------------------------------------------------------------- before the network


def whole(image: Image.Image, size: tuple[int, int]) -> tuple[Array, Array]:
    """RGB uint8 (3, H, W) that shows the whole image on black, and the affine (2, 3) from image to input pixels."""
    height, width = size
    scale = min(height / image.height, width / image.width)
    shown = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    left, top = (width - shown[0]) // 2, (height - shown[1]) // 2
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image.resize(shown, Image.Resampling.BILINEAR), (left, top))
    return channels_first(canvas), affine_of(shown[0] / image.width, shown[1] / image.height, left, top)


def crop(image: Image.Image, box: list[float], size: tuple[int, int]) -> tuple[Array, Array]:
    """RGB uint8 (3, H, W) that shows a padded box, grown to the input's aspect, and the affine to its pixels."""
    height, width = size
    x, y, w, h = box
    center_x, center_y = x + w / 2, y + h / 2
    w, h = w * BOX_PADDING, h * BOX_PADDING
    w = max(w, h * width / height)
    h = w * height / width
    left, top = round(center_x - w / 2), round(center_y - h / 2)
    right, bottom = max(left + 1, round(center_x + w / 2)), max(top + 1, round(center_y + h / 2))
    view = image.crop((left, top, right, bottom)).resize((width, height), Image.Resampling.BILINEAR)
    scale_x, scale_y = width / (right - left), height / (bottom - top)
    return channels_first(view), affine_of(scale_x, scale_y, -left * scale_x, -top * scale_y)


def affine_of(scale_x: float, scale_y: float, left: float, top: float) -> Array:
    """From the corner of one picture to that of another, where pixel centres are integers."""
    return np.array([[scale_x, 0, left + (scale_x - 1) / 2], [0, scale_y, top + (scale_y - 1) / 2]])


def channels_first(image: Image.Image) -> Array:
    return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


# ------------------------------------------------------------------------------------------------ after the network


def read_head(
    head: str, about: dict[str, Any], outputs: dict[str, Array], size: tuple[int, int]
) -> dict[str, Array]:
    """What a head's raw outputs (B, ...) mean, in input pixels; outputs of an unknown task as they are."""
    task = about["task"]
    if task == "pose":
        return {"keypoints": keypoints(outputs[head], size, about["sigma"])}
    if task == "pointmap":
        scale = np.maximum(outputs[f"{head}.scale"], SMALLEST_SCALE)
        points = resized(outputs[f"{head}.pointmap"], size) / scale[:, :, None, None]
        return {"pointmap": points, "focal": CANONICAL_FOCAL * (size[0] * size[1]) ** 0.5 / scale[:, 0]}
    if not about.get("maps"):
        return {
            key.removeprefix(f"{head}."): value for key, value in outputs.items() if key.split(".")[0] == head
        }
    field = resized(outputs[head], size)
    return {key: read_map(field, how["function"], *how["channels"]) for key, how in about["maps"].items()}


def read_map(field: Array, function: str, start: int, stop: int) -> Array:
    """One map from the raw output (B, C, H, W) of a dense head."""
    if function == "argmax":
        return np.asarray(field.argmax(axis=1).astype(np.uint8))
    part = field[:, start:stop]
    if function == "normalize":
        return part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
    if function == "clip":
        return np.clip(part, 0, 1)
    return np.exp(part) if function == "exp" else sigmoid(part)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def resized(field: Array, size: tuple[int, int]) -> Array:
    """(B, C, h, w) to (B, C, H, W), where the network's stride is not the usual one."""
    if field.shape[2:] == size:
        return field
    return np.stack(
        [
            [np.asarray(Image.fromarray(c).resize(size[::-1], Image.Resampling.BILINEAR)) for c in one]
            for one in field
        ]
    )


def to_original(key: str, value: Array, affine: Array, size: tuple[int, int]) -> Array:
    """One result in pixels of the image of `size` (width, height): points moved, maps (H, W, C) resampled."""
    scale, shift = affine[[0, 1], [0, 1]], affine[:, 2]
    if key == "keypoints":
        return np.concatenate([(value[:, :2] - shift) / scale, value[:, 2:]], axis=1)
    if key == "focal":
        return np.asarray(value / np.sqrt(scale.prod()))
    classes = key == "segmentation"
    if value.ndim != (2 if classes else 3):
        return value
    # pillow counts from the corner of a picture, and asks where each pixel of the result comes from
    corner = shift + (1 - scale) / 2
    data = (scale[0], 0, corner[0], 0, scale[1], corner[1])
    how = Image.Resampling.NEAREST if classes else Image.Resampling.BILINEAR
    unknown = 255 if classes else float("nan")
    layers = [
        np.asarray(Image.fromarray(c).transform(size, Image.Transform.AFFINE, data, how, fillcolor=unknown))
        for c in (value[None] if classes else value.astype(np.float32))
    ]
    return layers[0] if len(layers) == 1 else np.stack(layers, axis=-1)


# ---------------------------------------------------------------------------------------------------- keypoints


def keypoints(heatmaps: Array, size: tuple[int, int], sigma: float) -> Array:
    """(B, K, 3) x, y in input pixels and score from heatmaps (B, K, h, w): UDP, and DARK between the pixels."""
    height, width = heatmaps.shape[2:]
    sigma = max(1.0, sigma * float(np.sqrt(height * width / RELEASED_MAP_AREA)))
    place = heatmaps.reshape(*heatmaps.shape[:2], -1).argmax(axis=2)
    row, column = np.divmod(place, width)
    radius = BLUR_KERNEL // 2 + 1
    reach = np.arange(-radius, radius + 1)
    rows, columns = row[..., None, None] + reach[:, None], column[..., None, None] + reach
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows.clip(0, height - 1) * width + columns.clip(0, width - 1)
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1).astype(np.float64)
    patch = np.take_along_axis(flat, index.reshape(*index.shape[:2], -1), axis=2).reshape(index.shape)
    interior = inside.all(axis=(2, 3))[..., None] & (sigma >= BLUR_SIGMA)
    step = np.where(interior, newton_step(patch), fit_gaussian(patch, inside, sigma))
    limit = min(float(radius), 3 * sigma)
    step = step.clip(-limit, limit)
    x = (column + step[..., 0]) * (size[1] - 1) / (width - 1)
    y = (row + step[..., 1]) * (size[0] - 1) / (height - 1)
    return np.stack([x, y, patch[..., radius, radius]], axis=2)


def newton_step(patch: Array) -> Array:
    """Offset (..., 2) of the peak from the middle of (..., P, P): one Newton step on the blurred map's logarithm."""
    half = BLUR_KERNEL // 2
    distance = np.arange(BLUR_KERNEL + 2) - half - 1 - np.array([[-1], [0], [1]])
    blur = np.where(np.abs(distance) > half, 0.0, np.exp(-(distance**2) / (2 * BLUR_SIGMA**2)))
    blurred = blur @ patch @ blur.T
    floor = np.maximum(blurred.max(axis=(-2, -1), keepdims=True), np.finfo(np.float32).tiny) * 1e-3
    log = np.log(np.maximum(blurred, floor))
    middle, left, right, above, below = (log[..., i, j] for i, j in ((1, 1), (1, 0), (1, 2), (0, 1), (2, 1)))
    dx, dy = (right - left) / 2, (below - above) / 2
    dxx, dyy = right - 2 * middle + left, below - 2 * middle + above
    dxy = (log[..., 2, 2] + log[..., 0, 0] + 2 * middle - left - right - above - below) / 2
    determinant = dxx * dyy - dxy**2
    concave = (determinant > 1e-8) & (dxx < 0)
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1)
    return np.where(concave[..., None], step / np.where(concave, determinant, 1)[..., None], 0)


def fit_gaussian(patch: Array, inside: Array, sigma: float) -> Array:
    """The same at a map's border: a Gaussian through the logarithms of the pixels that exist, by least squares."""
    side = patch.shape[-1]
    reach = (np.arange(side) - side // 2) / sigma
    v, u = (axis.ravel() for axis in np.meshgrid(reach, reach, indexing="ij"))
    square = (u**2 + v**2) / 2
    value = patch.reshape(*patch.shape[:-2], -1)
    tiny = np.finfo(np.float32).tiny
    value = value / np.maximum(value[..., side**2 // 2, None], tiny)
    counts = inside.reshape(value.shape) & (value > FLOOR)
    value = np.maximum(value, FLOOR)
    weight = np.where(counts, value**2 * np.exp(-square / WINDOW**2), 0)
    weight = weight / np.maximum(weight.sum(axis=-1, keepdims=True), tiny)
    columns = np.stack([u, v, -square], axis=-1)
    centred = columns - weight[..., None, :] @ columns
    residual = np.log(value) + square
    residual = residual - (weight * residual).sum(axis=-1, keepdims=True)
    weighted = np.swapaxes(centred * weight[..., None], -1, -2)
    normal = weighted @ centred
    normal[..., 2, 2] += normal[..., 2, 2] * STIFFNESS
    solution = np.linalg.solve(normal + 1e-7 * np.eye(3), weighted @ residual[..., None])[..., 0]
    curvature = 1 + solution[..., 2:]
    wide = curvature > WIDEST**-2
    return np.where(wide, sigma * solution[..., :2] / np.where(wide, curvature, 1), 0)


if __name__ == "__main__":
    main()
