"""Make the rows of the table: each backbone with the size of its pictures, and its costs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.fingerprint import fingerprint
from sapiens2_lit.memory.flops import inference_flops
from sapiens2_lit.probing.baselines import PATCH, PixelFeatures, PositionFeatures
from sapiens2_lit.probing.features import BackboneFeatures, Extractor
from sapiens2_lit.probing.sources import Source, check_input

_log = logging.getLogger(__name__)
SAME_GRID = " (same grid)"


@dataclass
class Row:
    """One row.

    Attributes:
        label: Its name.
        source: Its backbone; None for a baseline without one.
        size: (height, width) that pictures are resized to.
        facts: Weights, size and costs of its backbone.
        control: Whether it is also trained on exchanged labels.
    """

    label: str
    source: Source | None
    size: tuple[int, int]
    facts: dict[str, Any] = field(default_factory=dict)
    control: bool = True

    def extractor(self, device: torch.device) -> Extractor:
        """Return the function that makes its feature maps."""
        if self.source is None:
            return PixelFeatures() if self.label == "pixels" else PositionFeatures()
        backbone = self.source.load().to(device)
        about = {"backbone": type(backbone).__qualname__, "weights": self.facts["fingerprint"]}
        return BackboneFeatures(backbone, self.size, about)


def make_rows(sources: Sequence[Source], random: Source, size: tuple[int, int]) -> list[Row]:
    """Return all rows of the table, after every backbone was loaded once and found to accept the pictures.

    If patch sizes differ, a backbone whose patches differ from those of the first one gets two rows: with the same
    pixels, and with the same grid, for which pictures are resized.

    Args:
        sources: The backbones.
        random: The randomly initialized one.
        size: (height, width) of the pictures.

    Raises:
        SettingError, WeightsError: A backbone cannot be loaded, or does not accept pictures of this size.
    """
    rows, first = [], 0
    for source in [*sources, random]:
        backbone = source.load()
        check_input(source.label, backbone, size)
        if source is not random and (licence := backbone.licence_notice()) is not None:
            _log.info("%s: %s", source.label, licence)
        patch = backbone.patch_size
        first = first or patch
        rows.append(Row(source.label, source, size, facts_of(source, backbone, size)))
        if patch != first:
            grid = (size[0] // first * patch, size[1] // first * patch)
            label = source.label + SAME_GRID
            rows.append(Row(label, source, grid, facts_of(source, backbone, grid)))
    return [*rows, *(Row(name, None, size, baseline_facts(), False) for name in ("pixels", "position"))]


def facts_of(source: Source, backbone: Backbone, size: tuple[int, int]) -> dict[str, Any]:
    """Return the facts of a backbone: its weights, its size, and its cost for one picture.

    Args:
        source: Of the backbone.
        backbone: The network.
        size: (height, width) of the pictures.
    """
    return {
        "source": source.name,
        "class": type(backbone).__name__,
        "fingerprint": fingerprint({**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}),
        "parameters": count(backbone),
        "tflop": inference_flops(backbone, size) / 1e12,
        "input_size": list(size),
        "patch_size": backbone.patch_size,
        "channels": backbone.embed_dim,
        "licence": getattr(backbone, "licence", None),
    }


def baseline_facts() -> dict[str, Any]:
    """Return the facts of a baseline without a backbone."""
    return {"source": None, "parameters": 0, "tflop": 0.0, "patch_size": PATCH}


def count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
