"""Find out where exported weights come from."""

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
    """The origin of weights.

    Attributes:
        base: The weights that training started from, for people to read; None if it started from random values.
        hub_id: The same as a repository of the hub; None if it is none.
        places: Where a license may lie beside weights.
        licence: Of these weights, as the hub names it; None if unknown, or if they started from random values.
    """

    base: str | None
    hub_id: str | None
    places: list[str]
    licence: str | None


def provenance(model: InferenceModel, source: str, backbone: str | None = None) -> Provenance:
    """Return what the model was derived from: `own_provenance`, and the teachers that it learned from.

    A student is derived from its teacher and follows its license; the license of its own weights stands beside their
    name.

    Args:
        model: That is exported.
        source: It was read from.
        backbone: Place of the pretrained backbone, if it was moved.
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
    """Return the start of the model's weights, by its configuration, or the source itself if it has none.

    The manifest of an export names its origin. Weights of a Sapiens2 model whose origin is unknown are treated as
    derived from Sapiens2, so that their license is not lost.

    Args:
        model: That is exported.
        source: It was read from.
        backbone: Place of the pretrained backbone, if it was moved.
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
    # The resolved setting: the backbone translates short names.
    own = model.backbone.weights if settings_of_backbone.get("weights") else None
    named = [str(place) for place in (settings.get("weights"), own) if place]
    checkpoint = source.endswith(".ckpt") and bool(settings)
    if not named and checkpoint:
        return Provenance(None, None, [], None)
    if named and (made := read_origin(named[0])) is not None:  # a pretraining records what it started from
        return Provenance(made.get("base"), None, [source, *named], made.get("licence"))
    places = [source, *([backbone] if backbone else []), *named]
    first = named[0] if named else source
    hub_id = first if is_hub_id(first) and not Path(first).expanduser().exists() else None
    usual = model.backbone.released_licence
    licence = usual or (SAPIENS2 if first.startswith(RELEASED) else model.backbone.licence)
    base = hub_id or f"{family(model.backbone)} weights ({Path(first).name})"
    return Provenance(base, hub_id, places, licence)


def called(backbone: Backbone) -> str:
    """Return a backbone's name: that of timm, or its size, or its class."""
    if isinstance(backbone, TimmBackbone):
        return backbone.name
    if isinstance(backbone, Sapiens1):
        return f"Sapiens v1 {v1_size_name(backbone)}"
    return f"Sapiens2 {size_name(backbone)}" if isinstance(backbone, Sapiens2) else type(backbone).__name__


def family(backbone: Backbone) -> str:
    """Return a name for the weights that a backbone started from."""
    if isinstance(backbone, Sapiens1):
        return "Sapiens v1"
    return "Sapiens2" if isinstance(backbone, Sapiens2) else called(backbone)
