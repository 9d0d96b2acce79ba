"""The LightningModule: one backbone, any number of heads."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints.format import META
from sapiens2_lit.decoders import Decoding, Recompute
from sapiens2_lit.decoders.shared import with_shared_decoder
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.models.build import NetworkFactory
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.backbone_module import BackboneModule
from sapiens2_lit.training.data_contract import datamodule_of
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.distillation.teaching import Teaching
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.evaluator import Evaluator
from sapiens2_lit.training.idle_heads import IdleHeads
from sapiens2_lit.training.loss_weighting import FixedWeights, LossWeighting
from sapiens2_lit.training.optimizer import ADAMW, Optimization
from sapiens2_lit.training.partial_labels import has_labels, learning_heads, with_features
from sapiens2_lit.training.step_losses import StepLosses, log_losses, log_metrics


class SapiensModule(BackboneModule):
    """Trains heads on a backbone.

    Args:
        backbone: Makes the backbone; in YAML a class path with its settings.
        heads: Makes each head from the backbone's `embed_dim`, by name; in YAML class paths with their settings.
        weights: A released task file (`backbone.*`, `decode_head.*`), a file of this project, a folder or a hub id,
            loaded as a whole into backbone and heads, instead of the backbone's `weights`.
        reinitialize: Prefixes of parameters, such as `heads.pose.conv_pose`, that keep their initial values although
            `weights` lacks them or has others, of any shape. Anything else that does not fit is an error.
        drop: Prefixes of parameters in `weights`, such as `heads.pose`, that are left out.
        reuse_rows: If a head has other keypoints or classes than `weights`, copy the rows of its last layer by name or
            synonym; rows without a match keep their initial values. Without it, a layer of another shape is an error.
        adapt: How much of the backbone is trained.
        loss_weighting: How the heads' losses are weighted; made from the heads' names.
        ema: Keep an average of the trained weights, and use it to validate, test and export.
        optimizer: Makes the optimizer from parameter groups.
        layer_decay: Factor on the learning rate for each block further from the heads; adapters are exempt.
        backbone_lr: Factor on the learning rate of the whole backbone.
        head_lr: Factor on the learning rate of the heads.
        warmup_steps: Optimizer steps of linear warm-up, at most a tenth of the run; then linear to 0.
        flip_test: In validation, test and prediction, average with the mirrored image's result.
        compile: Compile the backbone's blocks and the decoders in place.
        shared_decoder: Compute dense features once for all heads with `decoder: shared`; on the command line these are
            all dense heads whose decoder is not set.
        head_checkpointing: Which decoder maps the backward pass computes again instead of keeping them: `none`,
            `stages` (all but one map for each stage) or `samples` (all, one sample at a time: least memory).
        decoding: Precision of decoders, and the memory order of their maps.
        teacher: A trained model whose answers are learned, together with labels or instead of them; null for none.
    """

    balancer: LossWeighting

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
        decoding: Decoding | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        fresh, left_out = tuple(reinitialize or ()), tuple(drop or ())
        makers = with_shared_decoder(heads) if shared_decoder else heads
        super().__init__(
            NetworkFactory(
                backbone,
                makers,
                weights,
                fresh,
                left_out,
                head_checkpointing,
                compile,
                reuse_rows,
                decoding=decoding or Decoding(),
            ),
            Optimization(optimizer, layer_decay, backbone_lr, head_lr, warmup_steps),
            adapt,
            loss_weighting(teacher.loss_names(heads) if teacher else list(heads)),
            ema,
        )
        self.teaching = Teaching(teacher)
        self.distillation: nn.Module | None = None  # its name in checkpoints
        self.evaluator, self.idle_heads = Evaluator(flip_test), IdleHeads()

    def forward(self, images: Tensor) -> dict[str, Outputs]:
        return self.network.run_heads(self.features(images), images)

    def remember_backbone(self, saved: dict[str, Any]) -> None:
        super().remember_backbone(saved)
        self.distillation = self.teaching.make(self.network, self._trainer)  # its parameters are saved

    @property
    def taught(self) -> frozenset[str]:
        """Heads that learn from every batch, whatever labels it has."""
        return self.teaching.taught

    @property
    def learns_without_labels(self) -> bool:
        """Whether batches without labels are used for training."""
        return bool(self.taught) or self.teaching.teaches_tokens

    def beside_network(self) -> nn.Module:
        return (
            self.balancer if self.distillation is None else nn.ModuleList([self.balancer, self.distillation])
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        teaching, watch = self.teaching, self.balancer.watch_gradients
        answers = teaching.answers(batch)  # computed before the student's maps take memory
        parts = with_features(batch, self.features, self.feature_cache)
        losses = StepLosses(part for part, _ in parts)
        for (part, features), answer in zip(parts, answers, strict=True):
            decoded = self.network.decode(features, part["image"])
            for name, head in learning_heads(
                self.named_heads(), part, self.taught, self.learns_without_labels
            ):
                outputs = self.network.run_head(head, watch(name, decoded), part["image"])
                labelled = has_labels(head, part)
                terms = head.loss(outputs, part) if labelled else {}
                losses.add(name, terms | teaching.head_terms(name, head, outputs, answer, part))
                if labelled and self.is_log_step():
                    log_metrics(self, name, head, outputs, part)
            for name, terms in teaching.token_terms(features, answer, watch).items():
                losses.add(name, terms)
        weighed = self.balancer(losses.heads())
        first, features = parts[0]
        rest = self.idle_heads.zero_loss(self.network, set(weighed), features, first["image"], self._trainer)
        loss = torch.stack(list(weighed.values())).sum() + rest
        self.finite.add(loss, losses.samples)
        log_losses(self, loss.detach(), losses, self.balancer.weights() if self.is_log_step() else {})
        return self.step_images.weigh(loss, losses.size, batch.get("dataset"))

    def before_clipping(self) -> None:
        self.idle_heads.drop_gradients(self.network)

    def after_clipping(self) -> None:
        self.balancer.update()

    def on_fit_start(self) -> None:
        assert self.adaptation is not None
        self.balancer.check(self.adaptation.learns)
        self.teaching.begin(self.adaptation.learns, self.device)
        if not self.trainer.ckpt_path:  # otherwise the checkpoint holds what heads have learned from the data
            self.network.set_up_heads(datamodule_of(self.trainer))

    def on_train_end(self) -> None:
        self.teaching.end(self.network, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        self.teaching.write(checkpoint[META])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.teaching.match(checkpoint.get("state_dict", {}))
        super().on_load_checkpoint(checkpoint)

    def evaluate(self, images: Tensor, names: set[str] | None = None) -> dict[str, Outputs]:
        """Return raw outputs of every head, or of the named ones, for images (B, 3, H, W), as validation does."""
        return self.network.evaluate(images, names, flip=self.evaluator.flip_test)

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
