"""Show a predictor's results for a picture in a browser, one view for each head."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapiens2_lit.app.tools import matte_canvas, relight_canvas, surface_canvas
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.base import encode_png
from sapiens2_lit.inference.writers.mesh import MeshGlb
from sapiens2_lit.inference.writers.overlay import draw_overlay
from sapiens2_lit.inference.writers.pose import people_of
from sapiens2_lit.visualization.draw import draw_keypoints
from sapiens2_lit.visualization.draw_dense import color_map, depth_range, draw_depth, to_bytes

RGB = npt.NDArray[np.uint8]
_FIELD_OF_VIEW = 55.0  # degrees of the longer side, if no head predicts the camera


@dataclass(frozen=True)
class View:
    """The results of one head.

    Attributes:
        overlay: RGB uint8 (H, W, 3), of the picture's size.
        legend: HTML with the meaning of the colors, and numbers.
        tool: HTML of an interactive tool; empty for none.
        surface: A GLB file, or None.
    """

    overlay: RGB
    legend: str
    tool: str = ""
    surface: Path | None = None


def view(
    predictor: Predictor, name: str, prediction: Prediction, image: RGB, threshold: float | None, file: Path
) -> View:
    """Return one head's results.

    Args:
        predictor: The model.
        name: Of the head.
        prediction: For the image.
        image: RGB uint8 (H, W, 3).
        threshold: Keypoints with a lower score are not drawn; None for the head's threshold.
        file: For a surface.
    """
    head = dict(predictor.model.named_heads())[name]
    maps = prediction.maps.get(name, {})
    tool = ""
    if "normal" in maps:
        tool = relight_canvas(image, maps["normal"])
    elif "alpha" in maps:
        tool = matte_canvas(image, prediction, name)
    surface = None
    if maps.keys() & {"pointmap", "depth"}:
        points = maps["pointmap"] if "pointmap" in maps else points_of(maps["depth"], head.relative)
        tool, surface = surface_canvas(image, points), write_surface(prediction, image, name, points, file)
    return View(
        overlay_of(head, name, prediction, image, threshold), legend_of(head, name, prediction), tool, surface
    )


def overlay_of(
    head: Head, name: str, prediction: Prediction, image: RGB, threshold: float | None = None
) -> RGB:
    """Draw a head's results pixel by pixel on the picture, without a legend.

    Args:
        head: The head.
        name: Its name.
        prediction: For the image.
        image: RGB uint8 (H, W, 3).
        threshold: Keypoints with a lower score are not drawn; None for the head's threshold.

    Returns:
        RGB uint8 (H, W, 3).
    """
    maps = prediction.maps.get(name, {})
    if "pointmap" in maps:
        return draw_depth(image, maps["pointmap"][..., 2], bar=False)
    if "depth" in maps:
        return draw_depth(image, maps["depth"], bar=False)
    if "albedo" in maps:
        return to_bytes(maps["albedo"])
    if maps or head.skeleton is None or threshold is None:
        drawn: RGB = draw_overlay(head, name, prediction, image)[: image.shape[0], : image.shape[1]]
        return drawn
    picture = image
    for person in people_of(prediction, name):
        if person.doubt is None:
            picture = draw_keypoints(picture, person.keypoints, head.skeleton, threshold)
    return picture


def legend_of(head: Head, name: str, prediction: Prediction) -> str:
    """Return the colors of classes, the range of depth, and people with their scores, as HTML.

    Args:
        head: The head.
        name: Its name.
        prediction: For the image.
    """
    maps = prediction.maps.get(name, {})
    parts = []
    if head.classes is not None and "segmentation" in maps:
        counts = np.bincount(maps["segmentation"].ravel(), minlength=256)[: head.classes.num_classes]
        for place in np.argsort(-counts):
            if counts[place] and place != head.classes.background:
                share = 100 * counts[place] / maps["segmentation"].size
                color = head.classes.colors[place]
                parts.append(
                    f"<span>{_swatch(color)}{escape(head.classes.names[place].replace('_', ' '))} {share:.1f} %</span>"
                )
    depth = maps["pointmap"][..., 2] if "pointmap" in maps else maps.get("depth")
    if depth is not None:
        low, high = depth_range(depth[np.isfinite(depth) & (depth > 0)])
        unit = "" if head.relative else " m"
        colors = color_map(np.linspace(1, 0, 12)[None])[0]
        ramp = ", ".join(f"rgb({r},{g},{b})" for r, g, b in colors.tolist())
        parts.append(
            f'<span>near {low:.3g}{unit}</span><span class="ramp" style="background:linear-gradient(90deg,{ramp})">'
        )
        parts.append(f"</span><span>far {high:.3g}{unit}</span>")
    return f'<div class="legend">{"".join(parts)}</div>' + _numbers(numbers_of(prediction, name))


def numbers_of(prediction: Prediction, head: str) -> list[str]:
    """Return lines of text: people with their scores, the focal length."""
    lines = []
    for number, person in enumerate(people_of(prediction, head), start=1):
        doubt = f", doubtful ({person.doubt}), not drawn" if person.doubt is not None else ""
        lines.append(f"person {number}: score {person.score:.3f}, {len(person.keypoints)} keypoints{doubt}")
    if prediction.focal is not None and "pointmap" in prediction.maps.get(head, {}):
        lines.append(f"focal length: {prediction.focal:.0f} pixels")
    return lines


def write_surface(
    prediction: Prediction, image: RGB, head: str, points: npt.NDArray[np.floating], file: Path
) -> Path:
    """Write points as a textured surface (GLB).

    Args:
        prediction: of the image.
        image: RGB uint8 (H, W, 3).
        head: that predicts them.
        points: (H, W, 3) in the camera's frame.
        file: is written.
    """
    shown = replace(prediction, maps={head: {"pointmap": points}})
    file.write_bytes(MeshGlb(head, "pointmap").encode(shown, Frame(image, head)))
    return file


def points_of(depth: npt.NDArray[np.floating], relative: bool) -> npt.NDArray[np.float32]:
    """Return depth (H, W) as points (H, W, 3) in the frame of a camera with 55 degrees along the longer side.

    Relative depth from 0 to 1 becomes 1 to 2.
    """
    height, width = depth.shape
    focal = max(height, width) / 2 / np.tan(np.deg2rad(_FIELD_OF_VIEW) / 2)
    z = depth + 1 if relative else depth
    rows, columns = np.mgrid[:height, :width]
    x, y = (columns - (width - 1) / 2) / focal * z, (rows - (height - 1) / 2) / focal * z
    return np.stack([x, y, z], axis=2).astype(np.float32)


def write_results(
    found: Mapping[str, tuple[Predictor, Prediction]], image: RGB, file: Path, threshold: float | None
) -> Path:
    """Write all results as one zip: overlays, maps as npy, people as JSON; a folder for each model.

    Args:
        found: Predictor and prediction of each model.
        image: RGB uint8 (H, W, 3).
        file: To write.
        threshold: Keypoints with a lower score are not drawn; None for the head's threshold.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for model, (predictor, prediction) in found.items():
            for name, head in predictor.model.named_heads():
                picture = overlay_of(head, name, prediction, image, threshold)
                archive.writestr(f"{model}/{name}.png", encode_png(picture))
                for key, values in prediction.maps.get(name, {}).items():
                    with archive.open(f"{model}/{name}_{key}.npy", "w", force_zip64=True) as stream:
                        np.lib.format.write_array(stream, np.asarray(values), allow_pickle=False)
            people = [
                {
                    "head": one.head,
                    "box": one.box.tolist(),
                    "score": one.score,
                    "keypoints": one.keypoints.tolist(),
                }
                for one in prediction.instances
            ]
            archive.writestr(f"{model}/people.json", json.dumps(people))
    return file


def _swatch(color: tuple[int, int, int]) -> str:
    return f'<i style="background:rgb{tuple(color)}"></i>'


def _numbers(lines: list[str]) -> str:
    rows = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="numbers">{rows}</ul>' if rows else ""
