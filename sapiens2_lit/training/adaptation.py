"""What of the backbone is trained, and from which step on: nothing, its last blocks, all, or low-rank adapters."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from torch import nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.renames import translate_adapt
from sapiens2_lit.errors import SettingError
from sapiens2_lit.lora import LoRA, inject_lora, is_lora
from sapiens2_lit.training.half_precision_weights import hold_in_bfloat16

Mode = Literal["auto", "frozen", "last_blocks", "full", "lora"]
Extra = Literal["norms", "tokens"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapt:
    """How the backbone learns; heads always do.

    Args:
        mode: `frozen` (nothing of it, in eval mode and without gradients), `last_blocks` (and the final norm),
            `full`, `lora` (adapters beside frozen linear layers), or `auto`: `frozen` where weights were loaded and
            there are fewer than `auto_freeze_below` training samples, else `full`.
        last: number of blocks that `mode: last_blocks` trains.
        lora: the adapters of `mode: lora`.
        also_train: what is trained besides, of `norms` (all norms' weights) and `tokens` (class token and registers).
        unfreeze_at: from optimizer step on: how many of the last blocks are trained besides, or `all`; such as
            {1000: 4, 3000: all}.
        auto_freeze_below: samples below which `auto` freezes.
        frozen_dtype: in which linear and convolutional layers that are never trained are held. `bfloat16` takes half
            the memory and is for `trainer.precision: bf16-mixed`, which computes with such values anyway.

    Raises:
        SettingError: a setting is out of range, or has no effect in this mode.
    """

    mode: Mode = "auto"
    last: int | None = None
    lora: LoRA = field(default_factory=LoRA)
    also_train: list[Extra] = field(default_factory=list)
    unfreeze_at: dict[int, int | Literal["all"]] = field(default_factory=dict)
    auto_freeze_below: int = 1000
    frozen_dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if (self.mode == "last_blocks") != (self.last is not None):
            found = "not given" if self.last is None else f"{self.last} with mode {self.mode}"
            raise SettingError(
                f"model.adapt.last: found {found}, expected a number of blocks with mode last_blocks alone"
            )
        if self.last is not None and self.last < 1:
            raise SettingError(
                f"model.adapt.last: found {self.last}, expected 1 block or more; else mode frozen"
            )
        if self.lora != LoRA() and self.mode != "lora":
            raise SettingError(
                f"model.adapt.lora has no effect with mode {self.mode}; set model.adapt.mode to lora"
            )
        for setting in ("also_train", "unfreeze_at"):
            if getattr(self, setting) and self.mode in ("full", "auto"):
                raise SettingError(
                    f"model.adapt.{setting} has no effect with mode {self.mode}; expected frozen, last_blocks or lora"
                )
        if self.frozen_dtype not in ("float32", "bfloat16"):
            raise SettingError(
                f"model.adapt.frozen_dtype: found {self.frozen_dtype}, expected float32 or bfloat16"
            )
        if self.frozen_dtype != "float32" and self.mode == "full":
            raise SettingError("model.adapt.frozen_dtype has no effect with mode full, which freezes nothing")
        if self.unfreeze_at and self.mode == "lora":
            raise SettingError(
                "model.adapt.unfreeze_at: found with mode lora, expected mode frozen or last_blocks"
            )
        for step, blocks in self.unfreeze_at.items():
            if step < 1 or (blocks != "all" and blocks < 1):
                raise SettingError(
                    f"model.adapt.unfreeze_at: found {step}: {blocks}, expected steps of 1 or more, each with a "
                    "number of blocks or `all`"
                )

    def resolve(self, pretrained: bool, samples: int | None) -> "Adapt":
        """With `auto` decided.

        Args:
            pretrained: weights were loaded into the backbone.
            samples: to train on, None where that is not known.
        """
        if self.mode != "auto":
            return self
        frozen = pretrained and samples is not None and samples < self.auto_freeze_below
        if frozen:
            _log.info(
                "model.adapt.mode: auto froze the backbone, because there are %d training samples, fewer than %d.",
                samples, self.auto_freeze_below,
            )  # fmt: skip
        return replace(self, mode="frozen" if frozen else "full")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def adapt_from_dict(values: dict[str, Any]) -> Adapt:
    """The inverse of `Adapt.to_dict`; what older checkpoints hold has other names."""
    return Adapt(**{**translate_adapt(values), "lora": LoRA(**values["lora"])})


def difference(here: Adapt, before: Adapt) -> str:
    """The settings in which a run differs from the checkpoint that it goes on from, for a message."""
    now, then = here.to_dict(), before.to_dict()
    found = [f"{name} is {now[name]}, but was {then[name]}" for name in now if now[name] != then[name]]
    return "; ".join(found) + " when the checkpoint was trained"


class Adaptation:
    """A resolved `Adapt` on one backbone, into which it puts the adapters.

    Attributes:
        starts: for each parameter of the backbone that is ever trained, by name, the optimizer step from which on.
        rounded: whether frozen layers were brought to bfloat16.

    Raises:
        SettingError: more blocks are asked for than there are, or `peft` is not installed.
    """

    def __init__(self, adapt: Adapt, backbone: Backbone) -> None:
        assert adapt.mode != "auto", "resolve() first"
        self.adapt = adapt
        for setting, blocks in (
            ("last", adapt.last),
            *((f"unfreeze_at.{k}", v) for k, v in adapt.unfreeze_at.items()),
        ):
            if isinstance(blocks, int) and blocks > backbone.depth:
                raise SettingError(
                    f"model.adapt.{setting}: found {blocks} blocks, but the backbone has {backbone.depth}"
                )
        if adapt.mode == "lora":
            inject_lora(backbone, adapt.lora)
        starts = {name: start_of(name, backbone, adapt) for name, _ in backbone.named_parameters()}
        starts |= dict.fromkeys(named_extras(backbone, adapt.also_train), 0)
        self.starts = {name: start for name, start in starts.items() if start is not None}
        self.rounded = adapt.frozen_dtype == "bfloat16" and bool(hold_in_bfloat16(backbone, self.starts))

    @property
    def learns(self) -> bool:
        """Whether anything of the backbone is ever trained."""
        return bool(self.starts)

    def apply(self, backbone: nn.Module, step: int) -> bool:
        """Let the parameters that train at this optimizer step, and no others, take gradients; returns if any changed.

        It depends on the step alone, so that a run that is resumed goes on exactly.
        """
        changed = False
        for name, parameter in backbone.named_parameters():
            trains = self.starts.get(name, step + 1) <= step
            changed |= parameter.requires_grad != trains
            parameter.requires_grad_(trains)
        return changed


def start_of(name: str, backbone: Backbone, adapt: Adapt) -> int | None:
    """The step from which the parameter is trained by mode and schedule; None if never."""
    if adapt.mode == "full":
        return 0
    if is_lora(name):
        return 0
    steps = {0: adapt.last or 0, **adapt.unfreeze_at}
    depth = backbone.layer_depth(name)
    for step, blocks in sorted(steps.items()):
        if blocks == "all" or (blocks and depth > backbone.depth - blocks):
            return step
    return None


def named_extras(backbone: nn.Module, extra: list[Extra]) -> Iterator[str]:
    """Names of the parameters that `extra` means."""
    for prefix, module in backbone.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            token = parameter.ndim == 3 and parameter.shape[0] == 1
            if ("norms" in extra and "Norm" in type(module).__name__) or ("tokens" in extra and token):
                yield f"{prefix}.{name}" if prefix else name


def set_mode(module: nn.Module, training: bool) -> None:
    """`module.train(training)`, but for the parts whose parameters are all frozen: these stay in eval mode."""
    own = list(module.parameters())
    if own and not any(parameter.requires_grad for parameter in own):
        module.eval()
        return
    module.training = training
    for child in module.children():
        set_mode(child, training)
