"""Where exported weights came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.checkpoints.pretraining_file import read_origin
from sapiens2_lit.export.folder import MANIFEST
from sapiens2_lit.inference.model import InferenceModel


@dataclass(frozen=True)
class Provenance:
    """Attributes:
    base: the weights that training started from, for people to read; None where it started from random values.
    hub_id: the same as a repository of the hub, where it is one.
    places: where a licence may lie beside weights.
    """

    base: str | None
    hub_id: str | None
    places: list[str]


def provenance(model: InferenceModel, source: str, backbone: str | None = None) -> Provenance:
    """What the model was derived from: by its configuration, or where it has none, the source itself.

    An export of ours says in its manifest where it came from. Weights that nobody knows the origin of count as derived
    from Sapiens2: then their licence is not lost.

    Args:
        model: that is exported.
        source: it was read from.
        backbone: where the pretrained backbone was read from, if it was moved.
    """
    place = Path(source).expanduser()
    manifest = (place if place.is_dir() else place.parent) / MANIFEST
    if manifest.is_file():
        said = json.loads(manifest.read_text(encoding="utf-8")).get("derived_from", {})
        return Provenance(said.get("base"), said.get("hub_id"), [source])
    settings: Mapping[str, Any] = model.config.get("model") or {}
    settings_of_backbone = (settings.get("backbone") or {}).get("init_args") or {}
    named = [str(place) for place in (settings.get("weights"), settings_of_backbone.get("weights")) if place]
    checkpoint = source.endswith(".ckpt") and bool(settings)
    if not named and checkpoint:
        return Provenance(None, None, [])
    if (
        named and (made := read_origin(named[0])) is not None
    ):  # by a pretraining, which says what that began with
        return Provenance(made.get("base"), None, [source, *named])
    places = [source, *([backbone] if backbone else []), *named]
    first = named[0] if named else source
    hub_id = first if is_hub_id(first) and not Path(first).expanduser().exists() else None
    base = hub_id or f"Sapiens2 weights ({Path(first).name})"
    return Provenance(base, hub_id, places)
