"""Add low-rank adapters to the linear layers of a backbone (LoRA, arXiv:2106.09685), through `peft`.

An adapted layer computes W x + b + (alpha / rank) B A x, where A (rank, in) and B (out, rank) are trained and B starts
at zero. In state dicts `NAME.weight` becomes `NAME.base_layer.weight`, next to `NAME.lora_A.default.weight` and B.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sapiens2_lit.errors import SettingError
from sapiens2_lit.parallel.seeded_init import init_sharded, rng_for

BASE = ".base_layer."
_PAIR = re.compile(r"(?P<layer>.+)\.lora_(?P<side>A|B)\.default\.weight")


@dataclass(frozen=True)
class LoRA:
    """Settings of the adapters.

    Args:
        rank: Rank of the product B A.
        alpha: The product is multiplied by alpha / rank.
        dropout: Share of the adapters' inputs that is dropped in training.
        targets: Names, or last parts of names, of the linear layers with adapters; null for all in the backbone's
            blocks.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: list[str] | None = None

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1 or self.targets == []:
            raise SettingError(
                f"model.adapt.lora: found {self}, expected rank of 1 or more, alpha above 0, dropout from 0 to below 1 "
                "and at least one target"
            )

    @property
    def scale(self) -> float:
        """The factor alpha / rank."""
        return self.alpha / self.rank


def inject_lora(backbone: nn.Module, lora: LoRA, targets: Sequence[str]) -> None:
    """Put adapters beside the target layers, in place, and freeze every other parameter.

    Args:
        backbone: The network.
        lora: Settings of the adapters.
        targets: Layers of the backbone, used if `lora` names none.

    Raises:
        SettingError: `peft` is not installed, or a target names no linear layer.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise SettingError(
            "model.adapt.mode: lora needs the package peft: pip install 'sapiens2-lit[lora]'"
        ) from error
    names = [name for name, module in backbone.named_modules() if isinstance(module, nn.Linear)]
    targets = targets if lora.targets is None else lora.targets
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            known = ", ".join(sorted({name.rpartition(".")[2] for name in names}))
            raise SettingError(
                f"model.adapt.lora.targets: found {target!r}, which is not a linear layer of the backbone; expected "
                f"some of {known}"
            )
    settings: dict[str, Any] = {"lora_alpha": lora.alpha}  # declared as an integer, used as a number
    config = LoraConfig(r=lora.rank, lora_dropout=lora.dropout, target_modules=list(targets), **settings)
    inject_adapter_in_model(config, backbone)
    reset_adapters(backbone)


def reset_adapters(backbone: nn.Module) -> None:
    """Initialize the adapters in place, sharded or not; the values depend only on the run's seed."""

    def reset() -> None:
        for layer in backbone.modules():
            if callable(reset_layer := getattr(layer, "reset_lora_parameters", None)):
                reset_layer("default", True)

    with rng_for("adapters"):
        init_sharded(reset)


def is_lora(name: str) -> bool:
    """Return whether a parameter of this name belongs to an adapter."""
    return ".lora_" in name


def plain_name(name: str) -> str:
    """Return the name that a parameter has without adapters."""
    return name.replace(BASE, ".")


def merge_state(tensors: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """Return a state dict without adapters: their products are added to the weights beside them.

    Args:
        tensors: By name, of any shape, of a model with adapters; those of base layers under either name.
        scale: alpha / rank.

    Raises:
        KeyError: An adapter lacks its other half, or the weight that it belongs to.
    """
    merged = {plain_name(name): tensor for name, tensor in tensors.items() if not is_lora(name)}
    for name, down in tensors.items():
        pair = _PAIR.fullmatch(name)
        if pair and pair["side"] == "A":
            up = tensors[f"{pair['layer']}.lora_B.default.weight"]
            weight = merged[f"{pair['layer']}.weight"]
            merged[f"{pair['layer']}.weight"] = (weight.float() + scale * (up.float() @ down.float())).to(
                weight.dtype
            )
    return merged
