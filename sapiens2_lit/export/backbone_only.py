"""Write a pretrained backbone without a head as a folder that others can load and distribute."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.backbones.sizes import BackboneSize
from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.checkpoints.pretraining_file import NAME, ORIGIN, read_origin
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.errors import ExportError, SettingError
from sapiens2_lit.export.folder import MANIFEST, write_json
from sapiens2_lit.export.licence import write_licence
from sapiens2_lit.export.provenance import Provenance
from sapiens2_lit.export.released import size_name
from sapiens2_lit.export.transformers_config import backbone_config
from sapiens2_lit.inference.from_released import backbone_size

FORMATS = ("released", "transformers")
FILE = "model.safetensors"
CARD = """\
---
library_name: {library}
license: {licence}
---

# {name}

A Sapiens2 {size} backbone without a head, pretrained by sapiens2-lit without labels: {objective}, {steps:,} steps,
{begun}; these are the weights of the {whose}. A probe tells whether it is better than its start:
`sapiens2-lit probe --backbones {name} ...`.

    sapiens2-lit fit --config segmentation_29.yaml --config size/{size}.yaml --model.backbone.weights {name}
"""


def pretrained_file(model: str) -> Path | None:
    """Return the backbone file of a pretraining that `--model` names: the file itself, or the one in a run.

    None if it names neither.
    """
    path = Path(model).expanduser()
    run = path.parents[1] if path.parent.name == "checkpoints" else path
    for place in (path, run / NAME):
        if place.is_file() and read_origin(place) is not None:
            return place
    return None


def write_backbone_folder(source: Path, folder: Path, form: str, name: str, check: bool) -> str:
    """Write `model.safetensors`, config.json, license and card; return a line on the comparison.

    Args:
        source: File of a pretraining.
        folder: To write.
        form: `released` or `transformers`, which have the same names of tensors.
        name: Of the model, for its card.
        check: Whether to read the file back and compare.

    Raises:
        SettingError: The format needs a head.
        ExportError: The tensors read back differ.
    """
    if form not in FORMATS:
        raise SettingError(
            f"--format {form}: {source} is a backbone without a head; expected one of {', '.join(FORMATS)}, or a "
            "run of `fit` on it"
        )
    origin = read_origin(source)
    assert origin is not None
    tensors = read_weights(source).tensors
    with torch.device("meta"):
        backbone = Sapiens2(
            known_size(tensors, source), window_tokenizer=any(one.startswith("tokenizer.") for one in tensors)
        )
    write_weights(tensors, folder / FILE, metadata={ORIGIN: json.dumps(dict(origin))})
    write_json(folder / "config.json", config_of(backbone))
    write_json(
        folder / MANIFEST, {"format": form, "derived_from": {"base": origin.get("base"), "hub_id": None}}
    )
    started = origin.get("started_from")
    places = [str(source), *([started] if started else [])]
    write_licence(folder, FILE, Provenance(origin.get("base"), None, places, origin.get("licence")))
    (folder / "README.md").write_text(card(name, backbone, origin, form), encoding="utf-8")
    return compared(tensors, folder / FILE) if check else "not checked"


def known_size(tensors: Mapping[str, Any], source: Path) -> Any:
    """Return the name of a backbone's size, or its dimensions if it has no name."""
    found = backbone_size(dict(tensors), str(source))
    return found if isinstance(found, str) else BackboneSize(**found)


def config_of(backbone: Sapiens2) -> dict[str, Any]:
    """Return the content of config.json."""
    if backbone.tokenizer is not None:  # `transformers` has no window tokenizer
        return {"model_type": "sapiens2_lit", "size": size_name(backbone)}
    return {"architectures": ["Sapiens2Model"], **backbone_config(backbone)}


def card(name: str, backbone: Sapiens2, origin: Mapping[str, Any], form: str) -> str:
    """Return the content of README.md.

    Args:
        name: Of the model.
        backbone: The network.
        origin: What the pretraining recorded.
        form: Name of the format.
    """
    base = origin.get("base")
    return CARD.format(
        library="transformers" if form == "transformers" else "sapiens2-lit",
        licence="other" if base else "unknown",
        name=name,
        size=size_name(backbone),
        objective=origin.get("objective"),
        steps=int(origin.get("steps", 0)),
        begun=f"from {base}" if base else "from random values",
        whose=origin.get("whose"),
    )


def compared(tensors: Mapping[str, torch.Tensor], file: Path) -> str:
    """Compare tensors (of any shape) with those of a file; return a line on the result.

    Raises:
        ExportError: Some differ.
    """
    found = read_weights(file).tensors
    wrong = [
        key
        for key in tensors.keys() | found.keys()
        if key not in found or not torch.equal(tensors[key], found[key])
    ]
    if wrong:
        raise ExportError(f"{file}: read back, {len(wrong)} tensors differ: {', '.join(sorted(wrong)[:5])}")
    return f"read back, all {len(found)} tensors equal"
