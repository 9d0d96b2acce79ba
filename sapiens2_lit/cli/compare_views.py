"""Compare how images were shown to the weights of a run with how the run's data show them."""

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
    """Warn of heads whose weights were trained on whole images shown in another way than the data show them.

    Args:
        module: Of the run; its networks need not exist yet.
        data: The datamodule; one without `view`, such as of person crops, does not stretch images.
        heads: Settings of the heads by name.
        checkpoint: The one that is resumed or tested; None for the task file that the module starts from.
    """
    source = checkpoint or module.factory.weights
    if not source or not (Path(source).expanduser().exists() or is_hub_id(source)):
        return  # nothing is loaded, or loading will name the missing file
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
            "The weights of %s (%s) were trained with data.view %s, but this run has %s: they must first learn images "
            "of another shape. Set data.view to %s to keep what they were trained with.",
            ", ".join(f"the head {name}" for name in names), source, trained, shown, trained,
        )  # fmt: skip


def trained_view(source: str) -> str | None:
    """Return the view that the heads of a checkpoint, task file, folder or hub id were trained with.

    None if unknown.
    """
    place = find_folder(source)
    if (place.suffix in (".ckpt", ".pt", ".pth") or (place / "meta.pt").is_file()) and (
        meta := read_meta(place)
    ):
        return configured_view(meta.get("config") or {})
    if config := config_of(place):
        return configured_view(config)
    tensors = open_weights(place).tensors
    if not any(name.startswith("decode_head.") for name in tensors):
        return None  # a backbone alone, or weights without a record of their training
    return released_view(find_task(tensors, str(Path(source))), place)
