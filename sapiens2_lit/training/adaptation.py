"""Which part of the backbone is trained, and from which step: nothing, its last blocks, all, or low-rank adapters."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.format import BACKBONE
from sapiens2_lit.checkpoints.renames import translate_adapt
from sapiens2_lit.errors import SettingError
from sapiens2_lit.lora import LoRA, inject_lora, is_lora
from sapiens2_lit.training.data_contract import datamodule_of, train_samples
from sapiens2_lit.training.half_precision_weights import hold_in_bfloat16

Mode = Literal["auto", "frozen", "last_blocks", "full", "lora"]
Extra = Literal["norms", "tokens"]

# What older checkpoints hold if no target was chosen: all linear layers of Sapiens2's blocks.
OLD_TARGETS = {"wq", "wk", "wv", "proj", "w12", "w3"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adapt:
    """How the backbone is trained; heads are always trained.

    Args:
        mode: `frozen` (nothing is trained; the backbone is in eval mode and has no gradients), `last_blocks` (and the
            final norm), `full`, `lora` (adapters beside frozen linear layers), or `auto`: `frozen` if weights were
            loaded and there are fewer than `auto_freeze_below` training samples, else `full`.
        last: Number of blocks that `mode: last_blocks` trains.
        lora: The adapters of `mode: lora`.
        also_train: What is trained in addition: `norms` (weights of all norms) and `tokens` (class token and
            registers).
        unfreeze_at: From an optimizer step on, how many of the last blocks are trained in addition, or `all`; such as
            {1000: 4, 3000: all}.
        auto_freeze_below: Number of samples below which `auto` freezes.
        frozen_dtype: Dtype of linear and convolutional layers that are never trained. `bfloat16` takes half the memory
            and is for `trainer.precision: bf16-mixed`, which computes with such values anyway.

    Raises:
        SettingError: A setting is out of range, or has no effect in this mode.
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
            if self.last is None:
                raise SettingError(
                    "model.adapt.mode last_blocks needs the number of blocks: set model.adapt.last, such as to 4"
                )
            raise SettingError(
                f"model.adapt.last: found {self.last} with mode {self.mode}, expected it with last_blocks only"
            )
        if self.last is not None and self.last < 1:
            raise SettingError(
                f"model.adapt.last: found {self.last}, expected 1 block or more; else mode frozen"
            )
        if self.lora.targets is not None and set(self.lora.targets) == OLD_TARGETS:
            object.__setattr__(self, "lora", replace(self.lora, targets=None))
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
        """Return the settings with `auto` decided.

        Args:
            pretrained: Weights were loaded into the backbone.
            samples: Number of training samples, None if it is not known.
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
        """Return the settings as a dictionary."""
        return asdict(self)


def adapt_from_dict(values: dict[str, Any]) -> Adapt:
    """Return the inverse of `Adapt.to_dict`; names in older checkpoints are translated."""
    return Adapt(**{**translate_adapt(values), "lora": LoRA(**values["lora"])})


def difference(here: Adapt, before: Adapt) -> str:
    """Describe how a run's settings differ from those of the checkpoint that it continues, for a message."""
    now, then = here.to_dict(), before.to_dict()
    found = [f"{name} is {now[name]}, but was {then[name]}" for name in now if now[name] != then[name]]
    return "; ".join(found) + " when the checkpoint was trained"


def choose_adapt(adapt: Adapt, saved: Mapping[str, Any], pretrained: bool, trainer: Trainer | None) -> Adapt:
    """Return the settings with `auto` decided, by the checkpoint if there is one.

    Args:
        adapt: The settings of this run.
        saved: What the checkpoint holds besides tensors; empty for a new run.
        pretrained: Weights were loaded into the backbone.
        trainer: The Trainer in use, if any; without a checkpoint its data decide.

    Raises:
        SettingError: The checkpoint's backbone was adapted in another way.
    """
    if "adapt" not in saved:
        return adapt.resolve(pretrained, train_samples(datamodule_of(trainer)))
    before = adapt_from_dict(saved["adapt"])
    fitting = trainer is not None and trainer.state.fn == "fit"
    if fitting and adapt.mode != "auto" and adapt != before:
        raise SettingError(
            f"model.adapt: {difference(adapt, before)}. Continue with the old settings, or start a new run from its "
            "weights: --model.weights CKPT instead of --ckpt_path"
        )
    return before


class Adaptation:
    """Applies an `Adapt` to one backbone: its adapters, which parameters get gradients, and what stays in eval mode.

    The backbone may have no values yet. At first, every parameter that will ever be trained gets gradients, since the
    optimizer must know it.

    Args:
        adapt: The settings, with `auto` decided.
        backbone: The backbone, changed in place.
        training: Whether it is in training mode.

    Attributes:
        starts: The optimizer step from which each parameter of the backbone is trained, by name; parameters that are
            never trained are left out.
        rounded: Whether frozen layers were converted to bfloat16.
        learns_now: Whether anything of the backbone is trained at this step.

    Raises:
        SettingError: More blocks are asked for than there are, or `peft` is not installed.
    """

    def __init__(self, adapt: Adapt, backbone: Backbone, training: bool = True) -> None:
        assert adapt.mode != "auto", "resolve() first"
        self.adapt = adapt
        self.backbone = backbone
        self.training = training
        check_depth(adapt, backbone.depth)
        if adapt.mode == "lora":
            inject_lora(backbone, adapt.lora, backbone.lora_targets())
        starts = {name: start_of(name, backbone, adapt) for name, _ in backbone.named_parameters()}
        starts |= dict.fromkeys(named_extras(backbone, adapt.also_train), 0)
        self.starts = {name: start for name, start in starts.items() if start is not None}
        self.rounded = adapt.frozen_dtype == "bfloat16" and bool(hold_in_bfloat16(backbone, self.starts))
        self.learns_now = True
        self.set_step(max([0, *adapt.unfreeze_at]))

    @property
    def learns(self) -> bool:
        """Whether anything of the backbone is ever trained."""
        return bool(self.starts)

    def frozen(self) -> dict[str, nn.Parameter]:
        """Return the parameters that are never trained, by name."""
        return {name: p for name, p in self.backbone.named_parameters() if name not in self.starts}

    def trained(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """Return every parameter of a module's `backbone` and `heads` that is ever trained, by name."""
        return {
            name: parameter
            for name, parameter in module.named_parameters()
            if name.startswith("heads.") or name.removeprefix(BACKBONE) in self.starts
        }

    def set_step(self, step: int) -> None:
        """Let only the parameters that are trained at this optimizer step get gradients.

        This depends only on the step, so that a resumed run continues exactly.
        """
        changed = False
        for name, parameter in self.backbone.named_parameters():
            trains = self.starts.get(name, step + 1) <= step
            changed |= parameter.requires_grad != trains
            parameter.requires_grad_(trains)
        if changed:
            set_mode(self.backbone, self.training)
        self.learns_now = any(parameter.requires_grad for parameter in self.backbone.parameters())

    def start_step(self, step: int) -> None:
        """Call `set_step` before a training step, if a schedule may change what is trained."""
        if self.adapt.unfreeze_at:
            self.set_step(step)

    def set_mode(self, training: bool) -> None:
        """Set training or eval mode of the backbone; parts without gradients stay in eval mode."""
        self.training = training
        set_mode(self.backbone, training)

    def check_precision(self, trainer: Trainer | None) -> None:
        """Raise SettingError if `trainer.precision` does not compute in the dtype of frozen layers."""
        if self.rounded and trainer is not None and trainer.precision != "bf16-mixed":
            raise SettingError(
                f"model.adapt.frozen_dtype: found bfloat16 with trainer.precision "
                f"{trainer.precision}, expected bf16-mixed"
            )

    def check_strategy(self, strategy: Strategy) -> None:
        """Raise SettingError if the schedule changes what is trained, but `trainer.strategy` cannot."""
        fixed = isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters")
        if self.adapt.unfreeze_at and (fixed or isinstance(strategy, ModelParallelStrategy)):
            raise SettingError(
                "model.adapt.unfreeze_at: over several processes it needs "
                "--trainer.strategy ddp_find_unused_parameters_true; sharded strategies cannot change what trains"
            )


def check_depth(adapt: Adapt, depth: int) -> None:
    """Raise SettingError if more blocks are to be trained than the backbone has."""
    scheduled = ((f"unfreeze_at.{step}", blocks) for step, blocks in adapt.unfreeze_at.items())
    for setting, blocks in (("last", adapt.last), *scheduled):
        if isinstance(blocks, int) and blocks > depth:
            raise SettingError(f"model.adapt.{setting}: found {blocks} blocks, but the backbone has {depth}")


def start_of(name: str, backbone: Backbone, adapt: Adapt) -> int | None:
    """Return the step from which a parameter is trained by mode and schedule; None if never.

    Args:
        name: Name of the parameter.
        backbone: The backbone.
        adapt: The settings.
    """
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
    """Yield the names of the parameters that `also_train` adds."""
    for prefix, module in backbone.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            token = parameter.ndim == 3 and parameter.shape[0] == 1
            if ("norms" in extra and "Norm" in type(module).__name__) or ("tokens" in extra and token):
                yield f"{prefix}.{name}" if prefix else name


def set_mode(module: nn.Module, training: bool) -> None:
    """Call `module.train(training)`, but keep parts whose parameters are all frozen in eval mode."""
    own = list(module.parameters())
    if own and not any(parameter.requires_grad for parameter in own):
        module.eval()
        return
    module.training = training
    for child in module.children():
        set_mode(child, training)
