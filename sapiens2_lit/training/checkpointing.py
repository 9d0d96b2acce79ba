"""What a module does about a backbone of which only a part is trained: gradients, modes, averages, checkpoints."""

import logging
from typing import Any

import lightning as L
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from torch import nn
from torch.optim import Optimizer

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.fingerprint import Identity, check_identity, identify
from sapiens2_lit.checkpoints.format import BACKBONE, META, average_name
from sapiens2_lit.checkpoints.format import EMA as AVERAGES
from sapiens2_lit.checkpoints.optimizer_states import with_own_states, with_plain_states
from sapiens2_lit.errors import SettingError
from sapiens2_lit.lora import plain_name
from sapiens2_lit.models.build import match_state
from sapiens2_lit.training.adaptation import Adapt, Adaptation, adapt_from_dict, difference, set_mode
from sapiens2_lit.training.ema import EMA, WeightAverage

_log = logging.getLogger(__name__)


class AdaptedModule(L.LightningModule):
    """Base of the module: its backbone learns as `adapt` says, its checkpoints hold what was trained.

    Args:
        adapt: how much of the backbone is trained.
        ema: the average of the trained weights, None for none.
    """

    def __init__(self, adapt: Adapt, ema: EMA | None) -> None:
        super().__init__()
        self.adapt = adapt
        self.ema_settings = ema
        self.backbone: Backbone | None = None
        self.heads = nn.ModuleDict()
        self.ema: WeightAverage | None = None
        self.adaptation: Adaptation | None = None
        self.identity: Identity | None = None  # of the frozen backbone that checkpoints leave out
        self.backbone_learns = True  # at this step
        self.config: dict[str, Any] = {}  # what the command line built this from; saved in every checkpoint
        # The checkpoint that will be loaded, if known before: then weights that it brings are not read from elsewhere.
        self.resume_from: str | None = None
        self.source: str | None = None  # of the backbone's pretrained weights

    def adapt_backbone(self, saved: dict[str, Any], source: str | None) -> None:
        """Freeze what is not trained, put in adapters. The backbone may have no values yet.

        Args:
            saved: what the checkpoint says beside its tensors; empty for a new run.
            source: where the backbone's pretrained weights came from, None if it has fresh ones.

        Raises:
            SettingError: the checkpoint's backbone was adapted in another way.
        """
        assert self.backbone is not None
        self.source, self.identity = source, None
        adaptation = Adaptation(self.choose_adapt(saved, source), self.backbone)
        self.adaptation = adaptation
        if adaptation.rounded and self._trainer is not None and self.trainer.precision != "bf16-mixed":
            raise SettingError(
                f"model.adapt.frozen_dtype: found bfloat16 with trainer.precision {self.trainer.precision}, expected "
                "bf16-mixed"
            )
        self.set_step(
            max([0, *adaptation.adapt.unfreeze_at])
        )  # the optimizer must know all that will ever be trained

    def remember_backbone(self, saved: dict[str, Any], source: str | None) -> None:
        """Once the backbone has its values: note which one it is, for checkpoints without it, and start the average.

        Args:
            saved, source: as of `adapt_backbone`.
        """
        assert self.backbone is not None and self.adaptation is not None
        adaptation = self.adaptation
        frozen = {n: p for n, p in self.backbone.named_parameters() if n not in adaptation.starts}
        if source is not None and frozen:
            self.identity = identify(frozen, source, adaptation.rounded)
            self.strict_loading = False
        elif frozen and not saved:
            _log.warning("The backbone has no pretrained weights, and most of it is frozen at random values.")
        if self.ema_settings is not None:
            self.ema = WeightAverage(self.trained_parameters(), self.ema_settings.decay)

    def choose_adapt(self, saved: dict[str, Any], source: str | None) -> Adapt:
        """The settings with `auto` decided, by the checkpoint where there is one."""
        before = adapt_from_dict(saved["adapt"]) if "adapt" in saved else None
        if before is not None:
            fitting = self._trainer is not None and self.trainer.state.fn == "fit"
            if fitting and self.adapt.mode != "auto" and self.adapt != before:
                raise SettingError(
                    f"model.adapt: {difference(self.adapt, before)}. Go on as it was, or start a new run from its "
                    "weights: --model.weights CKPT instead of --ckpt_path"
                )
            return before
        data: Any = getattr(self._trainer, "datamodule", None)
        if hasattr(data, "train_samples"):
            samples = data.train_samples()
        else:
            dataset = getattr(data, "datasets", {}).get("train")
            samples = None if dataset is None else len(dataset)
        return self.adapt.resolve(source is not None, samples)

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Every parameter of backbone and heads that is ever trained, by name."""
        starts = self.adaptation.starts if self.adaptation is not None else {}
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if name.startswith("heads.") or name.removeprefix(BACKBONE) in starts
        }

    # ----------------------------------------------------- what trains, and how

    def set_step(self, step: int) -> None:
        """Let what trains at this optimizer step take gradients, and nothing else of the backbone."""
        if self.adaptation is None or self.backbone is None:
            return
        if self.adaptation.apply(self.backbone, step):
            set_mode(self.backbone, self.training)
        self.backbone_learns = any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> "AdaptedModule":
        """Training or eval mode; frozen parts of the backbone stay in eval mode."""
        super().train(mode)
        if self.backbone is not None and self.adaptation is not None:
            set_mode(self.backbone, mode)
        return self

    def on_train_start(self) -> None:
        if self.adaptation is not None and self.adaptation.adapt.unfreeze_at:
            strategy = self.trainer.strategy
            unused = isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get(
                "find_unused_parameters"
            )
            if unused or isinstance(strategy, ModelParallelStrategy):
                raise SettingError(
                    "model.adapt.unfreeze_at: over several processes it needs "
                    "--trainer.strategy ddp_find_unused_parameters_true; sharded strategies cannot change what trains"
                )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        if self.adaptation is not None and self.adaptation.adapt.unfreeze_at:
            self.set_step(self.trainer.global_step)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Any = None,
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.ema is not None:  # before any callback may save
            self.ema.update(self.trained_parameters(), self.trainer.global_step + 1)

    def swap_ema(self, use: bool) -> None:
        """Put the average in the place of the weights, or the weights back."""
        if self.ema is None or self.ema_settings is None or not self.ema_settings.evaluate:
            return
        if self.ema.swapped != use:
            self.ema.swap(self.trained_parameters())

    def on_predict_start(self) -> None:
        self.swap_ema(True)

    def on_predict_end(self) -> None:
        self.swap_ema(False)

    # -------------------------------------------------------------- checkpoints

    def state_dict(  # type: ignore[override]  # of several forms in torch; this takes them all
        self, *args: Any, prefix: str = "", **kwargs: Any
    ) -> dict[str, Any]:
        """Without what a pretrained backbone has and nobody trained; averages are averages, at any time."""
        state: dict[str, Any] = super().state_dict(*args, prefix=prefix, **kwargs)
        if self.identity is not None:
            kept_out = {f"{prefix}{BACKBONE}{name}" for name in self.identity["names"]}
            for name in [name for name in state if plain_name(name) in kept_out]:
                if ".lora_" not in name:
                    del state[name]
        if self.ema is not None and self.ema.swapped:
            for name in self.ema.parameters_by_name:
                weight, mean = prefix + name, prefix + average_name(name)
                state[weight], state[mean] = state[mean], state[weight]
        return state

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        meta: dict[str, Any] = {"config": self.config}
        if self.adaptation is not None:
            meta["adapt"] = self.adaptation.adapt.to_dict()
        if self.identity is not None:
            meta["backbone"] = self.identity
        checkpoint[META] = meta
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = with_plain_states(checkpoint["optimizer_states"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get(META, {})
        if "optimizer_states" in checkpoint:
            checkpoint["optimizer_states"] = with_own_states(checkpoint["optimizer_states"])
        identity = saved.get("backbone")
        assert self.backbone is not None
        assert self.adaptation is not None
        if "adapt" in saved and adapt_from_dict(saved["adapt"]) != self.adaptation.adapt:
            self.adapt_backbone(saved, self.source)
            self.remember_backbone(saved, self.source)
        if identity is not None:
            origin = (self.identity or {}).get("weights", "this run")
            frozen = {plain_name(name): p for name, p in self.backbone.named_parameters()}
            check_identity(identity, frozen, str(origin), str(self.trainer.ckpt_path))
        if "state_dict" in checkpoint:
            state = checkpoint["state_dict"]
            self.match_averages(state)
            names = set((identity or {}).get("names", ()))
            left_out = {
                name
                for name in nn.Module.state_dict(self)
                if plain_name(name).removeprefix(BACKBONE) in names
            }
            match_state(self, state, frozenset(left_out))

    def match_averages(self, state: dict[str, Any]) -> None:
        """Averages in a checkpoint follow the settings of this run: they are dropped, or begin with its weights."""
        if self.ema is None:
            dropped = [name for name in state if name.startswith(AVERAGES)]
            for name in dropped:
                del state[name]
            if dropped:
                _log.warning("model.ema is null: the averages in the checkpoint are dropped.")
            return
        for name in self.ema.parameters_by_name:
            if average_name(name) not in state and name in state:
                state[average_name(name)] = state[name].float().clone()
