"""The LightningModule: one backbone, any number of heads."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.decoders import Recompute
from sapiens2_lit.decoders.shared import with_shared_decoder
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.models.build import NetworkFactory
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.strategy import strategy_sharding
from sapiens2_lit.training.adaptation import Adapt, Adaptation, adapt_from_dict, choose_adapt
from sapiens2_lit.training.checkpoint_content import CheckpointContent, read_saved
from sapiens2_lit.training.data_contract import datamodule_of
from sapiens2_lit.training.ema import EMA, WeightAverage
from sapiens2_lit.training.evaluator import Evaluator
from sapiens2_lit.training.finite_check import FiniteWatch
from sapiens2_lit.training.idle_heads import IdleHeads
from sapiens2_lit.training.loss_weighting import FixedWeights, LossWeighting
from sapiens2_lit.training.optimizer import ADAMW, Optimization, clip
from sapiens2_lit.training.partial_labels import StoredFeatures, learning_heads, with_features
from sapiens2_lit.training.step_images import StepImages
from sapiens2_lit.training.step_losses import StepLosses, log_losses, log_metrics


class SapiensModule(L.LightningModule):
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
        reuse_rows: where a head has other keypoints or classes than in `weights`, take over the rows of its last layer
            by name, also by another word for the same; what is not there starts fresh. Without it, a layer of another
            shape is an error.
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
        shared_decoder: compute dense features once for all heads with `decoder: shared`; on the command line these are
            all dense heads whose decoder is left open.
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
        reuse_rows: bool = True,
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
        shared_decoder: bool = False,
    ) -> None:
        super().__init__()
        makers = with_shared_decoder(heads) if shared_decoder else heads
        fresh, left_out = tuple(reinitialize or ()), tuple(drop or ())
        self.factory = NetworkFactory(
            backbone, makers, weights, fresh, left_out, head_checkpointing, compile, reuse_rows
        )
        self.optimization = Optimization(optimizer, layer_decay, backbone_lr, head_lr, warmup_steps)
        self.adapt, self.ema_settings = adapt or Adapt(), ema
        self.config: dict[str, Any] = {}  # what the command line built this from; saved in every checkpoint
        self.resume_from: str | None = None  # a checkpoint that will be loaded, if known before
        self.feature_cache: StoredFeatures | None = None  # while one is in use
        # Registered under the names of checkpoints; `network` is made of the same two.
        self.backbone: Backbone | None = None
        self.heads = nn.ModuleDict()
        self._network: tuple[Network, ...] = ()  # a tuple registers nothing
        self.balancer = loss_weighting(list(heads))  # called so in checkpoints
        self.ema: WeightAverage | None = None
        self.adaptation: Adaptation | None = None
        self.content, self.evaluator = CheckpointContent(), Evaluator(flip_test)
        self.idle_heads, self.finite, self.step_images = IdleHeads(), FiniteWatch(), StepImages()

    @property
    def network(self) -> Network:
        assert self._network, "configure_model() has not run"
        return self._network[0]

    def set_network(self, network: Network) -> None:
        self.backbone, self.heads, self._network = network.backbone, network.heads, (network,)

    def configure_model(self) -> None:
        if self._network:
            return
        sharding, saved = strategy_sharding(self._trainer), read_saved(self.resume_from)
        needed = not self.resume_from or "backbone" in saved  # else the checkpoint brings every weight
        self.set_network(self.factory.build(needed, sharding))
        self.content.source = self.factory.source(self.network.backbone)
        self.adapt_backbone(saved)
        self.factory.finish(self.network, needed, sharding, self.balancer)
        self.remember_backbone(saved)

    def adapt_backbone(self, saved: dict[str, Any]) -> None:
        """Decide what of the backbone learns; `saved` is what a checkpoint says beside its tensors, if there is one."""
        adapt = choose_adapt(self.adapt, saved, self.content.source is not None, self._trainer)
        self.adaptation = Adaptation(adapt, self.network.backbone, self.training)
        self.adaptation.check_precision(self._trainer)

    def remember_backbone(self, saved: dict[str, Any]) -> None:
        """Once the backbone has its values: note what of it checkpoints leave out, and start the average."""
        assert self.adaptation is not None
        self.content.leave_out_frozen(self.adaptation, resumed=bool(saved))
        self.strict_loading = self.strict_loading and self.content.identity is None
        if self.ema_settings is not None:
            self.ema = WeightAverage(self.adaptation.trained(self), self.ema_settings)

    def named_heads(self) -> list[tuple[str, Head]]:
        return self.network.named_heads()

    def train(self, mode: bool = True) -> "SapiensModule":
        super().train(mode)
        if self.adaptation is not None:
            self.adaptation.set_mode(mode)
        return self

    def forward(self, images: Tensor) -> dict[str, Outputs]:
        return self.network.run_heads(self.features(images), images)

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps; without gradients where nothing of the backbone learns at this step."""
        idle = self.adaptation is not None and not self.adaptation.learns_now
        with torch.set_grad_enabled(torch.is_grad_enabled() and not idle):
            return self.network.features(images)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        parts = with_features(batch, self.features, self.feature_cache)
        losses = StepLosses(part for part, _ in parts)
        for part, features in parts:
            decoded = self.network.decode(features, part["image"])
            for name, head in learning_heads(self.named_heads(), part):
                watched = self.balancer.watch_gradients(name, decoded)
                outputs = self.network.run_head(head, watched, part["image"])
                losses.add(name, head.loss(outputs, part))
                if self.is_log_step():
                    log_metrics(self, name, head, outputs, part)
        weighed = self.balancer(losses.heads())
        first, features = parts[0]
        rest = self.idle_heads.zero_loss(self.network, set(weighed), features, first["image"], self._trainer)
        loss = torch.stack(list(weighed.values())).sum() + rest
        self.finite.add(loss, losses.samples)
        log_losses(self, loss.detach(), losses, self.balancer.weights() if self.is_log_step() else {})
        return self.step_images.weigh(loss, losses.size, batch.get("dataset"))

    def is_log_step(self) -> bool:
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it elsewhere
        return every > 0 and (self.trainer.global_step + 1) % every == 0

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        self.idle_heads.drop_gradients(self.network)
        self.step_images.finish(self.parameters(), self.trainer.accumulate_grad_batches, self.device)
        norm = clip(optimizer, gradient_clip_val, gradient_clip_algorithm)
        self.log("train/gradient_norm", norm)
        self.finite.check(norm, self.trainer)
        self.balancer.update()

    def configure_optimizers(self) -> Any:
        steps = self.trainer.estimated_stepping_batches
        return self.optimization.configure(self.network, self.balancer, steps)

    def on_fit_start(self) -> None:
        assert self.adaptation is not None
        self.balancer.check(self.adaptation.learns)
        if not self.trainer.ckpt_path:  # else the checkpoint brings what the heads have learned of the data
            self.network.set_up_heads(datamodule_of(self.trainer))

    def on_train_start(self) -> None:
        assert self.adaptation is not None
        self.adaptation.check_strategy(self.trainer.strategy)
        self.optimization.restore(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        assert self.adaptation is not None
        self.adaptation.start_step(self.trainer.global_step)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.ema is not None and self.adaptation is not None:  # before any callback may save
            self.ema.update(self.adaptation.trained(self), self.trainer.global_step + 1)

    def evaluate(self, images: Tensor, names: set[str] | None = None) -> dict[str, Outputs]:
        """Raw outputs of every head, or of those named, as validation, test and prediction take them."""
        return self.network.evaluate(images, names, flip=self.evaluator.flip_test)

    def swap_ema(self, use: bool) -> None:
        """Put the average in the place of the weights, or the weights back."""
        if self.ema is not None and self.adaptation is not None:
            self.ema.use(use, self.adaptation.trained(self))

    def on_validation_epoch_start(self) -> None:
        self.evaluator.start("validate", self)

    def on_test_epoch_start(self) -> None:
        self.evaluator.start("test", self)

    def on_predict_start(self) -> None:
        self.swap_ema(True)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Outputs]:
        return self.evaluator.step("validate", self.network, batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Outputs]:
        return self.evaluator.step("test", self.network, batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, dict[str, Tensor]]:
        return self.evaluator.predict(self.network, batch)

    def on_validation_epoch_end(self) -> None:
        self.evaluator.finish("validate", self)

    def on_test_epoch_end(self) -> None:
        self.evaluator.finish("test", self)

    def on_predict_end(self) -> None:
        self.swap_ema(False)

    def state_dict(self, *args: Any, prefix: str = "", **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        return self.content.filter(super().state_dict(*args, prefix=prefix, **kwargs), prefix, self.ema)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.content.write(checkpoint, self.config, self.adaptation, dict(self.named_heads()))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        saved = self.content.read(checkpoint)
        assert self.adaptation is not None
        if "adapt" in saved and adapt_from_dict(saved["adapt"]) != self.adaptation.adapt:
            self.adapt_backbone(saved)
            self.remember_backbone(saved)
        self.content.match(checkpoint, self, self.ema, self._trainer)
