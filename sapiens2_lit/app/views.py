"""What a predictor says about a picture, as a browser can show it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame
from sapiens2_lit.inference.writers.mesh import MeshGlb
from sapiens2_lit.inference.writers.overlay import draw_overlay
from sapiens2_lit.inference.writers.pose import people_of

RGB = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """The results of one model.

    Attributes:
        pictures: RGB uint8 and a caption, one for each head.
        numbers: lines of text: people found, scores, focal length.
        surface: a GLB file of the point map, or None where no head predicts one.
    """

    pictures: list[tuple[RGB, str]]
    numbers: list[str]
    surface: Path | None


def view(predictor: Predictor, image: RGB, folder: Path, name: str) -> View:
    """Run all heads on a picture.

    Args:
        predictor: the model.
        image: RGB uint8 (H, W, 3).
        folder: where the surface is written, as NAME.glb.
        name: of the model.
    """
    prediction = predictor.predict(image)
    heads = dict(predictor.model.named_heads())
    pictures = [
        (draw_overlay(head, head_name, prediction, image), head_name) for head_name, head in heads.items()
    ]
    return View(pictures, numbers_of(prediction), write_surface(prediction, image, folder, name))


def numbers_of(prediction: Prediction) -> list[str]:
    lines = []
    for head in prediction.heads:
        for number, person in enumerate(people_of(prediction, head), start=1):
            doubt = f", doubtful ({person.doubt}), not drawn" if person.doubt is not None else ""
            lines.append(
                f"{head}, person {number}: score {person.score:.3f}, {len(person.keypoints)} keypoints{doubt}"
            )
    if prediction.focal is not None:
        lines.append(f"focal length: {prediction.focal:.0f} pixels")
    return lines


def write_surface(prediction: Prediction, image: RGB, folder: Path, name: str) -> Path | None:
    """The first point map as a textured surface."""
    head = next((head for head, maps in prediction.maps.items() if "pointmap" in maps), None)
    if head is None:
        return None
    path = folder / f"{name}.glb"
    path.write_bytes(MeshGlb(head, "pointmap").encode(prediction, Frame(image, name)))
    return path
