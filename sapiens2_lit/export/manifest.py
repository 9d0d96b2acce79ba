"""sapiens2_lit.json: how to use the file beside it, for programs that have no sapiens2-lit."""

from importlib.metadata import version
from typing import Any

from sapiens2_lit.export.plan import Exported
from sapiens2_lit.export.tasks import task_of
from sapiens2_lit.heads import DepthHead, Head, PoseHead
from sapiens2_lit.heads.segmentation import ClassHead
from sapiens2_lit.inference.model import InferenceModel


def manifest(model: InferenceModel, exported: Exported) -> dict[str, Any]:
    """The format, the input, and of each head its outputs and what reading them takes."""
    return {
        "sapiens2_lit": version("sapiens2-lit"),
        "format": exported.form,
        "weights": exported.weights,
        **exported.facts,
        "image_size": list(model.image_size),
        "heads": {name: describe_head(head, model.image_size) for name, head in exported.heads.items()},
    }


def describe_head(head: Head, image_size: tuple[int, int]) -> dict[str, Any]:
    """Task, class and vocabulary of a head."""
    facts: dict[str, Any] = {"class": type(head).__name__, "task": task_of(head)}
    if isinstance(head, PoseHead):
        facts |= {
            "keypoints": list(head.skeleton.keypoints),
            "swap": list(head.skeleton.swap),
            "links": [list(link) for link in head.skeleton.links],
            "sigma": head.sigma,
        }
    if isinstance(head, ClassHead):
        facts |= {
            "task": "seg",
            "classes": list(head.classes.names),
            "colors": [list(color) for color in head.classes.colors],
            "background": head.classes.background,
        }
    if isinstance(head, DepthHead):
        facts["relative"] = head.relative
    return facts
