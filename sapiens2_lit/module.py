"""The LightningModule: one backbone, any number of heads."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric, MetricCollection

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.building import build, load_task_file, match_state
from sapiens2_lit.errors import SettingError, TrainingError
from sapiens2_lit.heads.base import Batch, Head, Outputs, average
from sapiens2_lit.images import normalize
from sapiens2_lit.optim import apply_settings, parameter_groups, scale_learning_rates, warmup_then_linear
from sapiens2_lit.parallel import clip_gradients, compile_blocks
from sapiens2_lit.parallel.strategy import strategy_sharding

Stage = str  # "train", "validate" or "test", as Lightning's commands name them
ADAMW = partial(torch.optim.AdamW, lr=1e-4, weight_decay=0.1)
LOG_NAMES = {"train": "train", "validate": "val", "test": "test"}


class SapiensModule(L.LightningModule):
    """Trains heads on a backbone.

    Checkpoint names are `backbone.*` and `heads.NAME.*`. Networks are built in `configure_model`, so that a
    strategy may have them on the meta device.

    Args:
        backbone: makes the backbone; in YAML a class path with its settings.
        heads: makes each head from the backbone's `embed_dim`, by name; in YAML as well.
        weights: a released task file (`backbone.*`, `decode_head.*`), a file of ours, a folder or a hub id, loaded
            whole into backbone and head in place of the backbone's own `weights`.
        reinitialize: prefixes of parameters, such as `heads.pose.conv_pose`, that keep their fresh values although
            `weights` has others, of whatever shape. Anything else that does not fit is an error.
        optimizer: makes the optimizer from parameter groups.
        layer_decay: factor on the learning rate for each block further from the heads.
        warmup_steps: optimizer steps of linear warm-up, at most a tenth of the run; then linear to 0.
        flip_test: in validation, test and prediction, average with the mirrored image's result.
        compile: compile the backbone's blocks in place.
    """

    def __init__(
        self,
        backbone: Callable[[], Backbone],
        heads: dict[str, Callable[[int], Head]],
        *,
        weights: str | None = None,
        reinitialize: list[str] | None = None,
        optimizer: OptimizerCallable = ADAMW,
        layer_decay: float = 0.8,
        warmup_steps: int = 500,
        flip_test: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if not heads:
            raise SettingError("model.heads: no head given; name at least one, such as pose")
        limits = (("layer_decay", layer_decay, 1.0), ("warmup_steps", warmup_steps, math.inf))
        for setting, value, most in limits:
            if not 0 <= value <= most:
                raise SettingError(f"model.{setting}: found {value}, expected 0 to {most}")
        if reinitialize and not weights:
            raise SettingError(f"model.reinitialize: {reinitialize} has no effect without model.weights")
        self.make_backbone = backbone
        self.make_heads = heads
        self.weights = weights
        self.reinitialize = tuple(reinitialize or ())
        self.optimizer = optimizer
        self.layer_decay = layer_decay
        self.warmup_steps = warmup_steps
        self.flip_test = flip_test
        self.compile_blocks = compile
        self.backbone: Backbone | None = None
        self.heads = nn.ModuleDict()
        self.metrics: dict[Stage, dict[str, MetricCollection]] = {}
        self.losses: dict[str, MeanMetric] = {}
        self.config: dict[str, Any] = {}  # what the command line built this from; saved in every checkpoint
        self._window: list[tuple[Tensor, list[str]]] = []  # losses of this step; to read one is to wait
        self._group_settings: list[dict[str, Any]] = []

    def configure_model(self) -> None:
        if self.backbone is not None:
            return
        resuming = self._trainer is not None and bool(self.trainer.ckpt_path)
        self.backbone, heads = build(
            self.make_backbone,
            self.make_heads,
            pretrained=not (resuming or self.weights),
            sharding=strategy_sharding(self._trainer),
        )
        self.heads.update(heads)
        if self.weights and not resuming:
            load_task_file(self, self.weights, list(heads), self.reinitialize)
        if self.compile_blocks:
            compile_blocks(self.backbone)

    # ------------------------------------------------------------------ forward

    def forward(self, images: Tensor) -> dict[str, Outputs]:
        """Raw outputs of every head for RGB uint8 images (B, 3, H, W)."""
        features = self.features(images)
        return {name: head(features) for name, head in self.named_heads()}

    def features(self, images: Tensor) -> list[Tensor]:
        assert self.backbone is not None, "configure_model() has not run"
        return self.backbone(normalize(images))

    def named_heads(self) -> list[tuple[str, Head]]:
        return list(self.heads.items())  # type: ignore[arg-type]  # ModuleDict knows nn.Module only

    def full_precision(self) -> torch.autocast:
        """Metrics and predictions are made of coordinates, which half precision would move by pixels."""
        return torch.autocast(self.device.type, enabled=False)

    def evaluate(self, images: Tensor) -> dict[str, Outputs]:
        """Raw outputs of every head, averaged with the mirrored image's where the head can."""
        outputs = self(images)
        if not self.flip_test:
            return outputs
        features = self.features(images.flip(-1))
        for name, head in self.named_heads():
            mirrored = head.unflip(head(features))
            if mirrored is not None:
                outputs[name] = average(outputs[name], mirrored)
        return outputs

    # ----------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        features = self.features(batch["image"])
        terms: dict[str, Tensor] = {}
        for name, head in self.learning_heads(batch):
            outputs = head(features)
            terms |= {f"{name}/{term}": value for term, value in head.loss(outputs, batch).items()}
            if self.logs_now():
                self.log_train_metrics(name, head, outputs, batch)
        loss = torch.stack(list(terms.values())).sum()
        self._window.append((loss.detach(), batch.get("sample", [])))
        self.log("train/loss", loss.detach(), prog_bar=True)
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in terms.items()}, prog_bar=len(terms) > 1
        )
        return loss

    def learning_heads(self, batch: Batch) -> list[tuple[str, Head]]:
        found = [
            (name, head) for name, head in self.named_heads() if all(key in batch for key in head.targets)
        ]
        if not found:
            needs = {name: head.targets for name, head in self.named_heads()}
            raise SettingError(f"no head can learn from a batch with {sorted(batch)}; the heads need {needs}")
        return found

    def logs_now(self) -> bool:
        every = getattr(self.trainer, "log_every_n_steps", 0)
        return every > 0 and (self.trainer.global_step + 1) % every == 0

    @torch.no_grad()
    def log_train_metrics(self, name: str, head: Head, outputs: Outputs, batch: Batch) -> None:
        metrics = head.metrics().to(self.device)
        for metric in metrics.values():
            metric.sync_on_compute = False  # this rank's batch alone: no waiting for others
        with self.full_precision():
            head.update(metrics, outputs, batch)
        self.log_dict({f"train/{name}/{key}": value for key, value in metrics.compute().items()})

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        by_norm = gradient_clip_algorithm != "value" and gradient_clip_val
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = clip_gradients(parameters, float(gradient_clip_val or 0) if by_norm else math.inf)
        self.log("train/gradient_norm", norm)
        self.check_finite(norm)
        if not by_norm:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def check_finite(self, norm: Tensor) -> None:
        """Stop before gradients that are not finite reach the weights.

        The norm is the same on every rank, so that all stop, and it is read once a step.

        Raises:
            TrainingError: naming the samples whose loss is not finite.
        """
        window, self._window = self._window, []
        # A scaler skips such steps itself.
        scaled = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        if (scaled and all(loss.isfinite() for loss, _ in window)) or norm.isfinite():
            return
        samples = [sample for loss, names in window if not loss.isfinite() for sample in names]
        found = (
            "a loss is not finite"
            if samples
            else "gradients are not finite, though this process's losses are"
        )
        raise TrainingError(
            f"step {self.trainer.global_step}: {found}; this step changed no weights.\n"
            + "".join(f"  {sample}\n" for sample in samples)
            + "Look at the labels of these samples, or lower the learning rate (--model.optimizer.lr)."
        )

    def configure_optimizers(self) -> Any:
        assert self.backbone is not None
        optimizer = self.optimizer(parameter_groups(self.backbone, self.heads, self.layer_decay))
        scale_learning_rates(optimizer.param_groups)
        self._group_settings = [{**group, "params": None} for group in optimizer.param_groups]
        factor = warmup_then_linear(self.warmup_steps, self.trainer.estimated_stepping_batches)
        scheduler = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_fit_start(self) -> None:
        if not self.trainer.ckpt_path:  # else the checkpoint brings what the heads have learned of the data
            for _, head in self.named_heads():
                head.prepare(getattr(self.trainer, "datamodule", None))

    def on_train_start(self) -> None:
        """After a checkpoint has brought its optimizer state: this run's settings win over those it was saved with."""
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            assert isinstance(config.scheduler, LambdaLR)
            apply_settings(optimizer, config.scheduler, self._group_settings)

    # --------------------------------------------------------------- evaluation

    def on_validation_epoch_start(self) -> None:
        self.start_metrics("validate")

    def on_test_epoch_start(self) -> None:
        self.start_metrics("test")

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Outputs]:
        return self.evaluation_step(batch, "validate")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Outputs]:
        return self.evaluation_step(batch, "test")

    def on_validation_epoch_end(self) -> None:
        self.finish_metrics("validate")

    def on_test_epoch_end(self) -> None:
        self.finish_metrics("test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, dict[str, Tensor]]:
        outputs = self.evaluate(batch["image"])
        with self.full_precision():
            return {name: head.predict(outputs[name], batch) for name, head in self.named_heads()}

    def start_metrics(self, stage: Stage) -> None:
        data = getattr(self.trainer, "datamodule", None)
        self.metrics[stage] = {
            name: head.metrics(data, stage).to(self.device) for name, head in self.named_heads()
        }
        self.losses = {name: MeanMetric(nan_strategy="disable").to(self.device) for name in self.heads}

    def evaluation_step(self, batch: Batch, stage: Stage) -> dict[str, Outputs]:
        outputs = self.evaluate(batch["image"])
        size, log = len(batch["image"]), LOG_NAMES[stage]
        for name, head in self.named_heads():
            if all(key in batch for key in head.targets):
                terms = head.loss(outputs[name], batch)
                named = {f"{log}/{name}/{term}": value for term, value in terms.items()}
                self.log_dict(named, batch_size=size, sync_dist=True)
                self.losses[name].update(torch.stack(list(terms.values())).sum().expand(size))
            with self.full_precision():
                head.update(self.metrics[stage][name], outputs[name], batch)
        return outputs

    def finish_metrics(self, stage: Stage) -> None:
        """Log every metric and the score: the mean over heads of how good each is, higher is better.

        How good a head is says the metric that it names (`monitor`); without a value of it, minus its loss.
        """
        log, scores = LOG_NAMES[stage], []
        for name, head in self.named_heads():
            values = self.metrics[stage][name].compute()
            values["loss"] = self.losses[name].compute()
            self.log_dict({f"{log}/{name}/{key}": value for key, value in values.items()}, sync_dist=True)
            key, mode = head.monitor
            if key not in values or math.isnan(values[key]):
                key, mode = "loss", "min"
            if not math.isnan(values[key]):
                scores.append(float(values[key]) * (1.0 if mode == "max" else -1.0))
        if scores:
            self.log(f"{log}/score", sum(scores) / len(scores), prog_bar=True, sync_dist=True)
        self.metrics.pop(stage)

    # -------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["sapiens2_lit"] = {"config": self.config}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        match_state(self, checkpoint["state_dict"])
