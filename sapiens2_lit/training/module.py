"""The LightningModule: one backbone, any number of heads."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints import read_meta
from sapiens2_lit.decoders import Recompute
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Head, Outputs, set_recompute
from sapiens2_lit.models.build import build, fill_backbone, load_task_file, shard_networks
from sapiens2_lit.parallel import clip_gradients, clip_values, compile_blocks, several_ranks
from sapiens2_lit.parallel.strategy import strategy_sharding
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.evaluation import EvaluationModule
from sapiens2_lit.training.finite_check import FiniteWatch
from sapiens2_lit.training.loss_weighting import FixedWeights, LossWeighting
from sapiens2_lit.training.optimizer import (
    apply_settings,
    parameter_groups,
    scale_learning_rates,
    settings_of,
    warmup_then_linear,
)
from sapiens2_lit.training.partial_labels import (
    batches_of,
    joined_images,
    on_any_rank,
    samples_of,
    zero_loss,
    zero_loss_of_parameters,
)

ADAMW = partial(torch.optim.AdamW, lr=1e-4, weight_decay=0.1)


class SapiensModule(EvaluationModule):
    """Trains heads on a backbone.

    Checkpoint names are `backbone.*` and `heads.NAME.*`. Networks are built in `configure_model`, so that a
    strategy may have them on the meta device.

    Args:
        backbone: makes the backbone; in YAML a class path with its settings.
        heads: makes each head from the backbone's `embed_dim`, by name; in YAML as well.
        weights: a released task file (`backbone.*`, `decode_head.*`), a file of ours, a folder or a hub id, loaded
            whole into backbone and heads in place of the backbone's own `weights`.
        reinitialize: prefixes of parameters, such as `heads.pose.conv_pose`, that keep their fresh values although
            `weights` lacks them or has others, of whatever shape. Anything else that does not fit is an error.
        drop: prefixes of parameters in `weights`, such as `heads.pose`, that are left out.
        adapt: how much of the backbone is trained.
        loss_weighting: how the heads' losses are weighed; makes it from the heads' names.
        ema: keep an average of the trained weights, and validate, test and export that.
        optimizer: makes the optimizer from parameter groups.
        layer_decay: factor on the learning rate for each block further from the heads; adapters are exempt.
        backbone_lr: factor on the learning rate of all of the backbone.
        head_lr: factor on the learning rate of the heads.
        warmup_steps: optimizer steps of linear warm-up, at most a tenth of the run; then linear to 0.
        flip_test: in validation, test and prediction, average with the mirrored image's result.
        compile: compile the backbone's blocks in place.
        head_checkpointing: what of the decoders' maps is computed again in the backward pass instead of kept: `none`,
            `stages` (all but one map a stage) or `samples` (all, one sample at a time: least memory).
    """

    def __init__(
        self,
        backbone: Callable[[], Backbone],
        heads: dict[str, Callable[[int], Head]],
        *,
        weights: str | None = None,
        reinitialize: list[str] | None = None,
        drop: list[str] | None = None,
        adapt: Adapt | None = None,
        loss_weighting: Callable[[list[str]], LossWeighting] = FixedWeights,
        ema: EMA | None = None,
        optimizer: OptimizerCallable = ADAMW,
        layer_decay: float = 0.8,
        backbone_lr: float = 1.0,
        head_lr: float = 1.0,
        warmup_steps: int = 500,
        flip_test: bool = True,
        compile: bool = False,
        head_checkpointing: Recompute = "none",
    ) -> None:
        super().__init__(adapt or Adapt(), ema, flip_test)
        if not heads:
            raise SettingError("model.heads: no head given; name at least one, such as pose")
        limits = (("layer_decay", layer_decay, 1.0), ("warmup_steps", warmup_steps, math.inf))
        for setting, value, most in (
            *limits,
            ("backbone_lr", backbone_lr, math.inf),
            ("head_lr", head_lr, math.inf),
        ):
            if not 0 <= value <= most:
                raise SettingError(f"model.{setting}: found {value}, expected 0 to {most}")
        for setting, prefixes in (("reinitialize", reinitialize), ("drop", drop)):
            if prefixes and not weights:
                raise SettingError(f"model.{setting}: {prefixes} has no effect without model.weights")
        self.make_backbone = backbone
        self.make_heads = heads
        self.weights = weights
        self.reinitialize, self.drop = tuple(reinitialize or ()), tuple(drop or ())
        self.optimizer = optimizer
        self.layer_decay = layer_decay
        self.learning_rates = {"backbone_lr": backbone_lr, "head_lr": head_lr}
        self.warmup_steps = warmup_steps
        self.compile_blocks = compile
        self.head_checkpointing: Recompute = head_checkpointing
        self.balancer = loss_weighting(list(heads))  # called so in checkpoints
        self.feature_cache: Any = None  # a FeatureCache, while one is in use
        self._finite = FiniteWatch()
        self._learned: set[str] = set()  # heads that learn from this optimizer step
        self._group_settings: list[dict[str, Any]] = []

    def configure_model(self) -> None:
        if self.backbone is not None:
            return
        checkpoint = self.resume_from
        saved = read_meta(checkpoint) if checkpoint and Path(checkpoint).exists() else {}
        needed = not checkpoint or "backbone" in saved  # else the checkpoint brings every weight
        sharding = strategy_sharding(self._trainer)
        self.backbone, heads = build(
            self.make_backbone,
            self.make_heads,
            pretrained=needed and not self.weights,
            sharding=sharding,
        )
        self.heads.update(heads)
        set_recompute(heads, self.head_checkpointing)
        source = self.weights or self.backbone.weights
        if self.weights and needed and sharding is None:
            load_task_file(self, self.weights, self.reinitialize, self.drop)
        self.adapt_backbone(saved, source)
        if self.compile_blocks:
            compile_blocks(self.backbone)
        if sharding is not None:
            shard_networks(sharding, self.backbone, self.balancer)
            kept = any(prefix.startswith("backbone") for prefix in self.reinitialize)
            brought = not needed or (self.weights is not None and not kept)
            fill_backbone(sharding, self.backbone, from_file=needed and not self.weights, brought=brought)
            if self.weights and needed:
                load_task_file(self, self.weights, self.reinitialize, self.drop)
        self.remember_backbone(saved, source)

    # ----------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        parts = batches_of(batch)
        learning = [self.learning_heads(part) for part in parts]
        features = self.features_of(parts)
        terms: dict[str, list[Tensor]] = {}
        losses: dict[str, list[Tensor]] = {}
        for part, heads, maps in zip(parts, learning, features, strict=True):
            for name, head in heads:
                outputs = head(self.balancer.watch_gradients(name, maps))
                found = head.loss(outputs, part)
                losses.setdefault(name, []).append(torch.stack(list(found.values())).sum())
                for term, value in found.items():
                    terms.setdefault(f"{name}/{term}", []).append(value)
                if self.is_log_step():
                    self.log_train_metrics(name, head, outputs, part)
        weighed = self.balancer({name: torch.stack(values).mean() for name, values in losses.items()})
        loss = torch.stack(list(weighed.values())).sum() + self.zero_loss_of_idle_heads(
            set(losses), features[0]
        )
        self._finite.add(loss, samples_of(parts))
        self.log_losses(loss, {name: torch.stack(values).mean() for name, values in terms.items()}, parts)
        return loss

    def features_of(self, parts: list[Batch]) -> list[list[Tensor]]:
        """Feature maps for each batch: those that it brings along, or the backbone's, in one pass where sizes allow."""
        cache = self.feature_cache
        if cache is not None and all("cache_row" in part for part in parts):
            return [cache.features(part, self.features) for part in parts]
        if len(parts) > 1 and not any("features" in part for part in parts):
            images = joined_images(parts)
            if images is not None:
                maps = [map_.split([len(part["image"]) for part in parts]) for map_ in self.features(images)]
                return [list(own) for own in zip(*maps, strict=True)]
        return [part["features"] if "features" in part else self.features(part["image"]) for part in parts]

    def log_losses(self, loss: Tensor, terms: dict[str, Tensor], parts: list[Batch]) -> None:
        size = sum(len(part["image"]) for part in parts)
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=size)
        named = {f"train/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(named, prog_bar=len(terms) > 1, batch_size=size)
        if self.is_log_step() and len(self.heads) > 1:
            weights = self.balancer.weights().items()
            self.log_dict({f"train/weight/{name}": weight for name, weight in weights}, batch_size=size)

    def learning_heads(self, batch: Batch) -> list[tuple[str, Head]]:
        found = [
            (name, head) for name, head in self.named_heads() if all(key in batch for key in head.targets)
        ]
        if not found:
            needs = {name: head.targets for name, head in self.named_heads()}
            raise SettingError(f"no head can learn from a batch with {sorted(batch)}; the heads need {needs}")
        return found

    def zero_loss_of_idle_heads(self, active: set[str], features: list[Tensor]) -> Tensor:
        """Zero, which lets this process keep step with others whose batches have labels for other heads."""
        zero = torch.zeros((), device=self.device)
        self._learned |= active
        names = list(self.heads)
        if len(names) == 1 or not several_ranks():
            return zero
        everywhere = active
        if not getattr(
            getattr(self.trainer, "datamodule", None), "same_labels_on_all_ranks", False
        ):  # to ask is to wait for the others
            everywhere = on_any_rank(active, names, self.device)
            self._learned |= everywhere
        reduces_all = isinstance(self.trainer.strategy, DDPStrategy)
        for name, head in self.named_heads():
            if name in everywhere - active:
                zero = zero + zero_loss(head(features))
            elif name not in everywhere and reduces_all:
                zero = zero + zero_loss_of_parameters(head)
        return zero

    def is_log_step(self) -> bool:
        every = getattr(self.trainer, "log_every_n_steps", 0)
        return every > 0 and (self.trainer.global_step + 1) % every == 0

    @torch.no_grad()
    def log_train_metrics(self, name: str, head: Head, outputs: Outputs, batch: Batch) -> None:
        metrics = head.metrics().to(self.device)
        for metric in metrics.values():
            metric.sync_on_compute = False  # this rank's batch alone: no waiting for others
        with self.full_precision():
            head.update(metrics, outputs, batch)
        values = {f"train/{name}/{key}": value for key, value in metrics.compute().items()}
        self.log_dict(values, batch_size=len(batch["image"]))

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        for name, head in self.named_heads():
            if (
                name not in self._learned
            ):  # zeros that kept step are no gradients: momentum and decay would act on them
                for parameter in head.parameters():
                    parameter.grad = None
        self._learned = set()
        by_norm = gradient_clip_algorithm != "value" and gradient_clip_val
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = clip_gradients(parameters, float(gradient_clip_val or 0) if by_norm else math.inf)
        self.log("train/gradient_norm", norm)
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        self._finite.check(norm, self.trainer.global_step, scaled)
        self.balancer.update()
        if gradient_clip_val and not by_norm:
            clip_values(parameters, float(gradient_clip_val))

    def configure_optimizers(self) -> Any:
        assert self.backbone is not None
        groups = parameter_groups(
            self.backbone, self.heads, self.layer_decay, **self.learning_rates, balancer=self.balancer
        )
        optimizer = self.optimizer(groups)
        scale_learning_rates(optimizer.param_groups)
        self._group_settings = settings_of(optimizer)
        factor = warmup_then_linear(self.warmup_steps, self.trainer.estimated_stepping_batches)
        scheduler = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_fit_start(self) -> None:
        if self.adaptation is not None:
            self.balancer.check(self.adaptation.learns)
        if not self.trainer.ckpt_path:  # else the checkpoint brings what the heads have learned of the data
            for _, head in self.named_heads():
                head.setup(getattr(self.trainer, "datamodule", None))

    def on_train_start(self) -> None:
        """After a checkpoint has brought its optimizer state: this run's settings win over those it was saved with."""
        super().on_train_start()
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            assert isinstance(config.scheduler, LambdaLR)
            apply_settings(optimizer, config.scheduler, self._group_settings)
