"""Write sapiens2_lit.json: how to use the file beside it, for programs without sapiens2-lit."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from sapiens2_lit.export.plan import Exported
from sapiens2_lit.export.provenance import Provenance
from sapiens2_lit.export.tasks import task_of
from sapiens2_lit.heads import DepthHead, Head, PoseHead
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.trained_view import trained_padding
from sapiens2_lit.vocabularies.tasks import TASKS


def manifest(model: InferenceModel, exported: Exported, source: Provenance) -> dict[str, Any]:
    """Return the format, the input, and each head's outputs with what is needed to read them.

    Args:
        model: The original.
        exported: What was written.
        source: Where the weights come from.
    """
    about = {"sapiens2_lit": version("sapiens2-lit"), "format": exported.form, "weights": exported.weights}
    origin = {"derived_from": {"base": source.base, "hub_id": source.hub_id, "licence": source.licence}}
    return about | origin | exported.facts | describe(model, exported.heads)


def describe(model: InferenceModel, heads: Mapping[str, Head]) -> dict[str, Any]:
    """Return the input's size, how it shows images and people, and a description of each head.

    `pixels` are the mean and deviation of RGB 0..255 by which the network normalizes its input.
    """
    return {
        "image_size": list(model.image_size),
        "view": model.view,
        "pixels": {"mean": list(model.backbone.mean), "std": list(model.backbone.std)},
        "box_padding": trained_padding(model.config),
        "heads": {name: describe_head(head) for name, head in heads.items()},
    }


def describe_head(head: Head) -> dict[str, Any]:
    """Return task, class and vocabulary of a head."""
    facts: dict[str, Any] = {"class": type(head).__name__, "task": task_of(head), "top_down": head.top_down}
    if isinstance(head, PoseHead):
        facts |= {
            "keypoints": list(head.skeleton.keypoints),
            "swap": list(head.skeleton.swap),
            "links": [list(link) for link in head.skeleton.links],
            "sigma": head.sigma,
        }
    if isinstance(head, SegmentationHeadBase):
        facts |= {
            "task": "seg",
            "classes": list(head.classes.names),
            "colors": [list(color) for color in head.classes.colors],
            "background": head.classes.background,
        }
    linear = isinstance(head, DepthHead) and head.linear
    if (task := facts["task"]) is not None:
        facts["maps"] = {
            kind.key: {
                "function": "identity" if linear else kind.function_of(head.relative),
                "channels": [kind.first_channel, kind.first_channel + kind.channels],
            }
            for kind in TASKS[task].maps
        }
    if isinstance(head, DepthHead):
        facts["relative"] = head.relative
    return facts
