"""Forward passes, and what they serve besides training: validation, test and prediction."""

import torch
from torch import Tensor

from sapiens2_lit.heads.base import Batch, Head, Outputs, average
from sapiens2_lit.models.normalize import normalize
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.checkpointing import AdaptedModule
from sapiens2_lit.training.ema import EMA
from sapiens2_lit.training.validation_metrics import Scores, evaluated_only

LOG_NAMES = {"validate": "val", "test": "test"}  # of stages, as Lightning's commands name them


class EvaluationModule(AdaptedModule):
    """Base of the module: runs backbone and heads, and measures them.

    Args:
        adapt: how much of the backbone is trained.
        ema: the average of the trained weights, None for none.
        flip_test: in validation, test and prediction, average with the mirrored image's result.
    """

    def __init__(self, adapt: Adapt, ema: EMA | None, flip_test: bool) -> None:
        super().__init__(adapt, ema)
        self.flip_test = flip_test
        self.scores: dict[str, Scores] = {}

    # ------------------------------------------------------------------ forward

    def forward(self, images: Tensor) -> dict[str, Outputs]:
        """Raw outputs of every head for RGB uint8 images (B, 3, H, W)."""
        features = self.features(images)
        return {name: head(features) for name, head in self.named_heads()}

    def features(self, images: Tensor) -> list[Tensor]:
        assert self.backbone is not None, "configure_model() has not run"
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.backbone_learns):
            return self.backbone(normalize(images))

    def named_heads(self) -> list[tuple[str, Head]]:
        return list(self.heads.items())  # type: ignore[arg-type]  # ModuleDict knows nn.Module only

    def full_precision(self) -> torch.autocast:
        """Metrics and predictions are made of coordinates, which half precision would move by pixels."""
        return torch.autocast(self.device.type, enabled=False)

    def evaluate(self, images: Tensor, names: set[str] | None = None) -> dict[str, Outputs]:
        """Raw outputs of every head, or of those named, averaged with the mirrored image's where the head can."""
        heads = [(name, head) for name, head in self.named_heads() if names is None or name in names]
        if not heads:
            return {}
        features = self.features(images)
        outputs = {name: head(features) for name, head in heads}
        if not self.flip_test:
            return outputs
        features = self.features(images.flip(-1))
        for name, head in heads:
            mirrored = head.unflip(head(features))
            if mirrored is not None:
                outputs[name] = average(outputs[name], mirrored)
        return outputs

    # --------------------------------------------------------------- evaluation

    def on_validation_epoch_start(self) -> None:
        self.start_scores("validate")

    def on_test_epoch_start(self) -> None:
        self.start_scores("test")

    def on_validation_epoch_end(self) -> None:
        self.finish_scores("validate")

    def on_test_epoch_end(self) -> None:
        self.finish_scores("test")

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Outputs]:
        return self.evaluation_step(batch, "validate")

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Outputs]:
        return self.evaluation_step(batch, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, dict[str, Tensor]]:
        outputs = self.evaluate(batch["image"])
        with self.full_precision():
            return {name: head.predict(outputs[name], batch) for name, head in self.named_heads()}

    def start_scores(self, stage: str) -> None:
        self.swap_ema(True)
        data = getattr(self.trainer, "datamodule", None)
        self.scores[stage] = Scores(self.named_heads(), data, stage, self.device)

    def evaluation_step(self, batch: Batch, stage: str) -> dict[str, Outputs]:
        """Raw outputs of the heads that can be measured on this batch, after they were."""
        measured = {name for name, head in self.named_heads() if head.can_evaluate(batch)}
        outputs = self.evaluate(batch["image"], measured)
        for name, head in self.named_heads():
            if name not in measured:
                continue
            own, counted = evaluated_only(outputs[name], batch)
            if not len(counted["image"]):
                continue
            if all(key in batch for key in head.targets):
                self.scores[stage].add_loss(name, own, counted)
            with self.full_precision():
                self.scores[stage].update(name, own, counted)
        return outputs

    def finish_scores(self, stage: str) -> None:
        """Log every loss and metric, and the score of them all, by which the best checkpoint is chosen."""
        values = self.scores.pop(stage).compute()
        named = {f"{LOG_NAMES[stage]}/{name}": value for name, value in values.items()}
        score = {name: named.pop(name) for name in [f"{LOG_NAMES[stage]}/score"] if name in named}
        self.log_dict(named, sync_dist=True)
        self.log_dict(score, prog_bar=True, sync_dist=True)
        self.swap_ema(False)
