"""Whether the weights of a run were trained on images shown in another way than its data show them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sapiens2_lit.checkpoints import open_weights, read_meta
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.inference.from_released import config_of, find_folder, find_task
from sapiens2_lit.inference.trained_view import configured_view, released_view
from sapiens2_lit.training.module import SapiensModule

log = logging.getLogger(__name__)


def warn_of_other_views(
    module: SapiensModule, data: Any, heads: Mapping[str, Any], checkpoint: str | None
) -> None:
    """Name the heads whose weights saw whole images in another way than the data of this run show them.

    Args:
        module: of the run, whose networks need not be made yet.
        data: the datamodule; one without `view`, as of people's crops, does not stretch.
        heads: settings of the heads by name.
        checkpoint: what is resumed or tested, if anything; else the task file that the module starts from counts.
    """
    source = checkpoint or module.factory.weights
    if not source or not (Path(source).expanduser().exists() or is_hub_id(source)):
        return  # nothing is loaded, or the loading will say what is missing
    shown = getattr(data, "view", "letterbox")
    fresh = () if checkpoint else module.factory.reinitialize
    names = [
        name
        for name, settings in heads.items()
        if f"heads.{name}" not in fresh and not str(settings.get("class_path")).endswith("PoseHead")
    ]
    trained = trained_view(source) if names else None
    if trained not in (None, shown):
        log.warning(
            "The weights of %s (%s) were trained with data.view %s, and this run has %s: they see images of another "
            "shape than they know until they have learned it. Set data.view to %s to keep what they were trained with.",
            ", ".join(f"the head {name}" for name in names), source, trained, shown, trained,
        )  # fmt: skip


def trained_view(source: str) -> str | None:
    """The view that the heads of a checkpoint, a task file, a folder or a hub id were trained with; None if unknown."""
    place = find_folder(source)
    if (place.suffix in (".ckpt", ".pt", ".pth") or (place / "meta.pt").is_file()) and (
        meta := read_meta(place)
    ):
        return configured_view(meta.get("config") or {})
    if config := config_of(place):
        return configured_view(config)
    tensors = open_weights(place).tensors
    if not any(name.startswith("decode_head.") for name in tensors):
        return None  # a backbone alone, or weights of ours without a word about their making
    return released_view(find_task(tensors, str(Path(source))), place)
