"""Facts about intrinsics, and checks of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sapiens2_lit.data.checks.check import Check, Sampling
from sapiens2_lit.data.checks.finding import Finding
from sapiens2_lit.data.checks.label_files import LabelFiles

_MOST_STRETCHED = 1.6  # fx to fy, or fy to fx: a picture of 16:9 squeezed to a square has 1.78


@dataclass(frozen=True)
class CameraFacts:
    """The intrinsics of one image.

    Attributes:
        fx, fy: focal lengths in pixels.
        size: (height, width) of the image.
    """

    fx: float
    fy: float
    size: tuple[int, int]


class CameraLabels(LabelFiles[CameraFacts]):
    """The intrinsics of one split."""


class StretchedPixels(Check[CameraLabels]):
    """Focal lengths that make pixels far from square, as if width and height were exchanged."""

    name = "stretched_pixels"
    looks_at = CameraLabels

    def look(self, subject: CameraLabels, sampling: Sampling) -> Iterator[Finding]:
        looked = subject.looked(sampling)
        odd = [
            one for one in looked if not 1 / _MOST_STRETCHED <= one.facts.fx / one.facts.fy <= _MOST_STRETCHED
        ]
        if not odd or 2 * len(odd) < len(looked):
            return
        ratio = float(np.median([one.facts.fx / one.facts.fy for one in odd]))
        yield self.finding(
            subject,
            f"fx is {ratio:.2g} times fy: pixels would be far from square; perhaps width and height were exchanged "
            "when focal lengths were scaled",
            "check the camera files: fx is in pixels of the width, fy of the height; both are about equal, unless the "
            "image was stretched",
            count=len(odd),
            total=len(looked),
            examples=(one.example(f"fx {one.facts.fx:g}, fy {one.facts.fy:g}") for one in odd),
        )
