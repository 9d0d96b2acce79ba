"""Where exported weights came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sapiens2_lit.backbones import Backbone, Sapiens1, Sapiens2, TimmBackbone
from sapiens2_lit.backbones.licences import SAPIENS2
from sapiens2_lit.checkpoints.hub_ids import RELEASED, is_hub_id
from sapiens2_lit.checkpoints.pretraining_file import read_origin
from sapiens2_lit.checkpoints.teachers import read_teachers
from sapiens2_lit.export.folder import MANIFEST
from sapiens2_lit.export.released import size_name
from sapiens2_lit.export.sapiens1 import v1_size_name
from sapiens2_lit.inference.model import InferenceModel


@dataclass(frozen=True)
class Provenance:
    """Attributes:
    base: the weights that training started from, for people to read; None where it started from random values.
    hub_id: the same as a repository of the hub, where it is one.
    places: where a licence may lie beside weights.
    licence: of these weights, as the hub names it; None where it is not known, or they started from random values.
    """

    base: str | None
    hub_id: str | None
    places: list[str]
    licence: str | None


def provenance(model: InferenceModel, source: str, backbone: str | None = None) -> Provenance:
    """Return what the model was derived from: `own_provenance`, and the teachers that it learned from.

    A student is derived from its teacher, whose licence it follows; its own weights' licence stands beside their name.
    """
    own = own_provenance(model, source, backbone)
    teacher = next((one for one in read_teachers(source) if one.base is not None), None)
    if teacher is None:
        return own
    if own.base is None:
        return Provenance(teacher.base, teacher.hub_id, [source, teacher.weights], teacher.licence)
    beside = f" ({own.licence})" if own.licence not in (None, teacher.licence) else ""
    return Provenance(
        f"{own.base}{beside}, taught by {teacher.base}",
        own.hub_id,
        [*([] if beside else own.places), teacher.weights],
        teacher.licence,
    )


def own_provenance(model: InferenceModel, source: str, backbone: str | None = None) -> Provenance:
    """Return what the model's weights began as: by its configuration, or where it has none, the source itself.

    An export of ours says in its manifest where it came from. Weights that nobody knows the origin of count as derived
    from Sapiens2, if the model is one: then their licence is not lost.

    Args:
        model: that is exported.
        source: it was read from.
        backbone: where the pretrained backbone was read from, if it was moved.
    """
    place = Path(source).expanduser()
    manifest = (place if place.is_dir() else place.parent) / MANIFEST
    if manifest.is_file():
        said = json.loads(manifest.read_text(encoding="utf-8")).get("derived_from", {})
        base = said.get("base")
        usual = SAPIENS2 if base is not None else None
        return Provenance(base, said.get("hub_id"), [source], said.get("licence", usual))
    settings: Mapping[str, Any] = model.config.get("model") or {}
    settings_of_backbone = (settings.get("backbone") or {}).get("init_args") or {}
    # What the setting means: the backbone resolves names that are no places.
    own = model.backbone.weights if settings_of_backbone.get("weights") else None
    named = [str(place) for place in (settings.get("weights"), own) if place]
    checkpoint = source.endswith(".ckpt") and bool(settings)
    if not named and checkpoint:
        return Provenance(None, None, [], None)
    if named and (made := read_origin(named[0])) is not None:  # a pretraining says what it began with
        return Provenance(made.get("base"), None, [source, *named], made.get("licence"))
    places = [source, *([backbone] if backbone else []), *named]
    first = named[0] if named else source
    hub_id = first if is_hub_id(first) and not Path(first).expanduser().exists() else None
    usual = model.backbone.released_licence
    licence = usual or (SAPIENS2 if first.startswith(RELEASED) else model.backbone.licence)
    base = hub_id or f"{family(model.backbone)} weights ({Path(first).name})"
    return Provenance(base, hub_id, places, licence)


def called(backbone: Backbone) -> str:
    """Return what to call a backbone: the name that timm has for it, or its size, or its class."""
    if isinstance(backbone, TimmBackbone):
        return backbone.name
    if isinstance(backbone, Sapiens1):
        return f"Sapiens v1 {v1_size_name(backbone)}"
    return f"Sapiens2 {size_name(backbone)}" if isinstance(backbone, Sapiens2) else type(backbone).__name__


def family(backbone: Backbone) -> str:
    """Return what to call the weights that a backbone began with."""
    if isinstance(backbone, Sapiens1):
        return "Sapiens v1"
    return "Sapiens2" if isinstance(backbone, Sapiens2) else called(backbone)
