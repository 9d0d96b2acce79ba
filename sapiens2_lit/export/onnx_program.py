"""Predict on an image with the model.onnx beside this program; it needs only numpy, pillow and onnxruntime.

    python predict.py image.jpg                       the whole picture
    python predict.py image.jpg --box 10 20 80 200    one person: x, y, width and height in pixels; heads of classes,
                                                      normals and so on still see the whole picture

Writes image.npz with an array for every result, in the picture's size and pixels. Keypoints need a box around one
person, unless the person fills the picture. Pixel centers are integers.

This program is licensed under the Apache License 2.0, like sapiens2-lit; the weights beside it have a license of their
own.

Legend: B batch, K keypoints, C channels, H and W pixels of the network's input, h and w pixels of a heatmap, P side of
a patch around a heatmap's peak.
"""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

Array = np.ndarray[Any, Any]

BOX_PADDING = 1.25
MOST_SHRINK, SQUARE = (
    2.0,
    1.02,
)  # largest shrinking at which linear sampling skips no pixel; largest ratio of sides of a square pixel
CANONICAL_FOCAL = 768 / (1024 * 768) ** 0.5  # focal length that point maps assume, for an input of one pixel
SMALLEST_SCALE = 0.05
RELEASED_MAP_AREA = 256 * 192  # size of the heatmaps that `sigma` refers to
BLUR_KERNEL, BLUR_SIGMA = 11, 2.0
FLOOR, WINDOW, STIFFNESS, WIDEST = 0.2, 1.5, 0.01, 4.0  # of the fit at borders


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("--box", type=float, nargs=4, metavar=("X", "Y", "WIDTH", "HEIGHT"))
    options = parser.parse_args()
    session, facts = open_model(Path(__file__).with_name("model.onnx"))
    try:
        image = ImageOps.exif_transpose(Image.open(options.image)).convert("RGB")
    except OSError as error:
        parser.error(f"{options.image} cannot be read: {error}")
    results: Any = predict(session, facts, image, options.box)
    np.savez_compressed(options.image.with_suffix(".npz"), **results)
    for name, value in results.items():
        print(name, value.shape, value.dtype)  # noqa: T201 (a program for a terminal)


def open_model(path: Path) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
    """Return the network, and the facts in the file about its input and its heads."""
    session = onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    return session, json.loads(session.get_modelmeta().custom_metadata_map["sapiens2_lit"])


def predict(
    session: onnxruntime.InferenceSession,
    facts: dict[str, Any],
    image: Image.Image,
    box: list[float] | None = None,
) -> dict[str, Array]:
    """Return the results of all heads on one RGB image, by HEAD.RESULT, in its pixels.

    Heads of people see the box, others the whole image; without a box, all see the whole image.

    Args:
        session: Of the network.
        facts: About its input and heads.
        image: The picture.
        box: x, y, width, height of a person; None for none.
    """
    heads, size = facts["heads"], (facts["image_size"][0], facts["image_size"][1])
    people = [name for name, about in heads.items() if about["top_down"]]
    others = [name for name in heads if name not in people]
    if box is not None and not people:
        warnings.warn("no head sees people one by one: the box has no effect", stacklevel=2)
    shown = whole(image, size, facts["view"])
    if box is not None:
        groups = [(people, crop(image, box, size, facts["box_padding"]), False), (others, shown, True)]
    elif not others or facts["view"] == "stretch":  # people are never stretched
        person = crop(image, [0, 0, image.width, image.height], size, padding=1.0)
        groups = [(people, person, True), (others, shown, True)]
    else:
        groups = [([*people, *others], shown, True)]
    results: dict[str, Array] = {}
    for names, (pixels, affine), all_of_it in groups:
        outputs = run(session, names, pixels)
        for head in names:
            for key, value in read_head(head, heads[head], outputs, size).items():
                if heads[head]["task"] is None:
                    results[f"{head}.{key}"] = value[0]  # of unknown meaning
                    continue
                if key == "segmentation":
                    value = resized(outputs[head], size)  # classes are resampled by their logits
                results[f"{head}.{key}"] = to_original(key, value[0], affine, image.size, all_of_it)
    return results


def run(session: onnxruntime.InferenceSession, heads: list[str], pixels: Array) -> dict[str, Array]:
    """Return the raw outputs of some heads on one input.

    Args:
        session: Of the network.
        heads: Their names.
        pixels: The input, (3, H, W).
    """
    names = [output.name for output in session.get_outputs()]
    wanted = [name for name in names if any(name == head or name.startswith(f"{head}.") for head in heads)]
    return dict(zip(wanted, session.run(wanted, {"image": pixels[None]}), strict=True)) if wanted else {}


# ----------------------------------------------------------------------------------------------- before the network


def whole(image: Image.Image, size: tuple[int, int], view: str = "letterbox") -> tuple[Array, Array]:
    """Return an input that shows the whole image, and the affine (2, 3) from image to input pixels.

    Args:
        image: The picture.
        size: (H, W) of the input.
        view: `letterbox` keeps the aspect on black, `stretch` fills the input.

    Returns:
        RGB uint8 (3, H, W), and the affine.
    """
    (height, width), scale = size, np.array([size[1] / image.width, size[0] / image.height])
    scale = scale if view == "stretch" else np.full(2, scale.min())
    middle = np.array([image.width - 1, image.height - 1]) / 2
    affine = affine_of(scale, np.array([width - 1, height - 1]) / 2 - scale * middle)
    return rendered(image, affine, size), affine


def crop(
    image: Image.Image, box: list[float], size: tuple[int, int], padding: float = BOX_PADDING
) -> tuple[Array, Array]:
    """Return an input that shows a padded box, grown to the input's aspect, and the affine (2, 3) to its pixels.

    Args:
        image: The picture.
        box: x, y, width, height in its pixels.
        size: (H, W) of the input.
        padding: Factor on the box's sides.

    Returns:
        RGB uint8 (3, H, W), and the affine.
    """
    height, width = size
    x, y, w, h = box
    middle = np.array([x + w / 2, y + h / 2])
    w = max(w * padding, h * padding * width / height)
    last = np.array([width - 1, height - 1])  # the box's edges lie on the centers of the outermost pixels
    scale = last / (w, w * height / width)
    affine = affine_of(scale, last / 2 - scale * middle)
    return rendered(image, affine, size), affine


def affine_of(scale: Array, shift: Array) -> Array:
    """Return the affine (2, 3) of a scale and a shift in x and y, with integer pixel centers."""
    return np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])


def rendered(image: Image.Image, affine: Array, size: tuple[int, int]) -> Array:
    """Resample the image once, black outside.

    Args:
        image: The picture.
        affine: (2, 3) from its pixels to those of the result.
        size: (H, W) of the result.

    Returns:
        RGB uint8 (3, H, W).
    """
    pixels = resampled(np.asarray(image.convert("RGB")), affine, size, outside="black")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def resampled(values: Array, affine: Array, size: tuple[int, int], outside: str = "repeat") -> Array:
    """Resample values linearly by an affine.

    If pixels shrink by more than 2 along a side, they are averaged first, and the affine is adapted.

    Args:
        values: (h, w, C), uint8 or float32.
        affine: (2, 3) from their pixels to those of the result.
        size: (H, W) of the result.
        outside: `repeat` the border, or `black`.

    Returns:
        (H, W, C) of the same type.
    """
    scale, shift = affine[[1, 0], [1, 0]], affine[::-1, 2]  # rows first, as in arrays
    shrink = 1 / scale
    if shrink.max() <= SQUARE * shrink.min():
        shrink = np.full(2, np.sqrt(shrink.prod()))
    elif shrink.max() > MOST_SHRINK:
        shrink = np.where(shrink > MOST_SHRINK, shrink, 1.0)
    if shrink.max() > MOST_SHRINK:
        values, scale, shift = averaged(values, scale, shift, shrink, size)
    kind = values.dtype
    for axis in (0, 1):
        at = (np.arange(size[axis]) - shift[axis]) / scale[axis]
        low, last = np.floor(at).astype(int), values.shape[axis] - 1
        part = (at - low).astype(np.float32)
        ends = [(low, 1 - part), (low + 1, part)]
        if outside == "black":
            ends = [(place, weight * ((place >= 0) & (place <= last))) for place, weight in ends]
        side = (-1, 1, 1) if axis == 0 else (1, -1, 1)
        parts = [np.take(values, place.clip(0, last), axis) for place, _ in ends]
        values = parts[0] * ends[0][1].reshape(side) + parts[1] * ends[1][1].reshape(side)
    return np.rint(values).astype(np.uint8) if kind == np.uint8 else values.astype(np.float32)


def averaged(
    values: Array, scale: Array, shift: Array, shrink: Array, size: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """Average the part of the values that the result shows by `shrink`; return it with the remaining scale and shift.

    Args:
        values: (h, w, C).
        scale: (2,) of rows and columns.
        shift: (2,) of rows and columns.
        shrink: (2,) factors to average over.
        size: (H, W) of the result.
    """
    kind, (scale, shift) = values.dtype, (scale.copy(), shift.copy())
    for axis in (0, 1):
        ends = (np.array([-0.5, size[axis] - 0.5]) - shift[axis]) / scale[axis] + 2 * shrink[axis] * np.array(
            [-1, 1]
        )
        start, stop = np.clip([np.floor(ends[0]), np.ceil(ends[1])], 0, values.shape[axis]).astype(int)
        if start >= stop:
            return values, scale, shift  # nothing is shown
        count = stop - start
        length = max(1, round(count / shrink[axis]))
        part = np.moveaxis(values, axis, 0)[start:stop].astype(np.float64)
        sums = np.concatenate([np.zeros_like(part[:1]), part.cumsum(axis=0)])
        edges = np.arange(length + 1) * (count / length)
        low = np.minimum(edges.astype(int), count - 1)
        at = sums[low] + (edges - low).reshape(-1, 1, 1) * part[low]
        values = np.moveaxis(np.diff(at, axis=0) * (length / count), 0, axis)
        ratio = length / count
        shift[axis] += scale[axis] * (start + (0.5 - 0.5 * ratio) / ratio)
        scale[axis] /= ratio
    return np.rint(values).astype(kind) if kind == np.uint8 else values.astype(kind), scale, shift


# ------------------------------------------------------------------------------------------------ after the network


def read_head(
    head: str, about: dict[str, Any], outputs: dict[str, Array], size: tuple[int, int]
) -> dict[str, Array]:
    """Return the results of a head's raw outputs, in input pixels; outputs of an unknown task are unchanged.

    Args:
        head: Its name.
        about: Facts about it.
        outputs: Of the network, (B, ...).
        size: (H, W) of the input.
    """
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
    """Return one map (B, c, H, W) from the raw output of a dense head.

    Args:
        field: (B, C, H, W).
        function: Name of the last function.
        start: First channel of the map.
        stop: End of its channels.
    """
    if function == "argmax":
        return np.asarray(field.argmax(axis=1).astype(np.uint8))
    part = field[:, start:stop]
    if function == "normalize":
        return part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
    if function == "identity":
        return part
    if function == "clip":
        return np.clip(part, 0, 1)
    return np.exp(part) if function == "exp" else sigmoid(part)


def sigmoid(x: Array) -> Array:
    """Return the logistic function, for an array of any shape."""
    return 1 / (1 + np.exp(-x))


def resized(field: Array, size: tuple[int, int]) -> Array:
    """Resize (B, C, h, w) to (B, C, H, W), if the network's stride is not the usual one."""
    if field.shape[2:] == size:
        return field
    scale = np.array(size[::-1]) / field.shape[:1:-1]
    affine = affine_of(scale, scale / 2 - 0.5)
    return np.stack([resampled(one.transpose(1, 2, 0), affine, size).transpose(2, 0, 1) for one in field])


def to_original(
    key: str, value: Array, affine: Array, size: tuple[int, int], all_of_it: bool = False
) -> Array:
    """Return one result in pixels of the image.

    Points are moved, maps (C, H, W) are resampled to (h, w, C), or (h, w) for one channel, logits to the largest class.
    Pixels that the input does not show are unknown (NaN, 255), unless it shows `all_of_it`.

    Args:
        key: Of the result.
        value: In input pixels.
        affine: (2, 3) from image to input pixels.
        size: (width, height) of the image.
        all_of_it: Whether the input shows the whole image.
    """
    scale, shift = affine[[0, 1], [0, 1]], affine[:, 2]
    if key == "keypoints":
        return np.concatenate([(value[:, :2] - shift) / scale, value[:, 2:]], axis=1)
    if key == "focal":
        return np.asarray(value / np.sqrt(scale.prod()))
    shown: list[slice] = []  # pixels of the input that lie on the image, x first
    region: list[slice] = []  # pixels of the image that the input shows
    for axis in (1, 0):
        inside, outside = value.shape[1 + axis], size[1 - axis]
        low, high = scale[1 - axis] * np.array([-0.5, outside - 0.5]) + shift[1 - axis]
        shown.append(between(low, high, inside) or nearest((low + high) / 2, inside))
        low, high = (np.array([-0.5, inside - 0.5]) - shift[1 - axis]) / scale[1 - axis]
        part = slice(0, outside) if all_of_it else between(low, high, outside)
        region += [] if part is None else [part]
    classes = key == "segmentation"
    result = np.full((*size[::-1], 1 if classes else len(value)), 255 if classes else np.nan, np.float32)
    if len(region) == 2:
        first, corner = np.array([part.start for part in shown]), np.array([part.start for part in region])
        back = affine_of(1 / scale, (first - shift) / scale - corner)
        view = (region[1], region[0])
        rows, columns = (part.stop - part.start for part in view)
        seen = value[:, shown[1], shown[0]].astype(np.float32)
        if classes:
            result[view] = best_class(seen, back, (rows, columns))[..., None]
        else:
            result[view] = resampled(seen.transpose(1, 2, 0), back, (rows, columns))
    if classes:
        return result[..., 0].astype(np.uint8)
    if key == "normal":
        result /= np.maximum(np.linalg.norm(result, axis=2, keepdims=True), np.finfo(np.float32).tiny)
    return result[..., 0] if result.shape[2] == 1 else result


def best_class(logits: Array, affine: Array, size: tuple[int, int]) -> Array:
    """Return the class with the largest resampled logit, (H, W), of the classes that are the largest anywhere.

    Args:
        logits: (C, h, w).
        affine: (2, 3) from their pixels to those of the result.
        size: (H, W) of the result.
    """
    present = np.unique(logits.argmax(axis=0))
    layers = [resampled(logits[index, :, :, None], affine, size)[..., 0] for index in present]
    return present[np.argmax(layers, axis=0)]


def between(low: float, high: float, length: int) -> slice | None:
    """Return the whole pixels i of 0 to length - 1 with low <= i < high; None if there are none.

    Args:
        low: First place.
        high: End.
        length: Of the axis.
    """
    start, stop = max(0, int(np.ceil(low))), min(length, int(np.ceil(high)))
    return slice(start, stop) if start < stop else None


def nearest(place: float, length: int) -> slice:
    """Return the pixel of an axis that is nearest to a place, as a slice."""
    start = min(max(round(float(place)), 0), length - 1)
    return slice(start, start + 1)


# ---------------------------------------------------------------------------------------------------- keypoints


def keypoints(heatmaps: Array, size: tuple[int, int], sigma: float) -> Array:
    """Return x, y in input pixels and score, (B, K, 3), by UDP, with DARK between the pixels.

    Args:
        heatmaps: (B, K, h, w).
        size: (H, W) of the input.
        sigma: Of the peaks, for the released size of heatmaps.
    """
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
    """Return the offset (..., 2) of the peak from the center of (..., P, P) by one Newton step.

    The step uses the logarithm of the blurred map.
    """
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
    """Return the peak's offset (..., 2) at a map's border: fit a Gaussian to the logarithms of existing pixels.

    Args:
        patch: (..., P, P) around the peak.
        inside: (..., P, P), which pixels exist.
        sigma: Of the peak in pixels.
    """
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
