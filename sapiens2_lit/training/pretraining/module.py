"""The LightningModule of pretraining: one backbone learns from images without labels."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Self

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.models.build import NetworkFactory, fill_backbone, shard_backbone, shard_if_any
from sapiens2_lit.models.network import Network
from sapiens2_lit.parallel.collectives import gather_over_ranks
from sapiens2_lit.parallel.sharding import Sharding
from sapiens2_lit.parallel.strategy import strategy_sharding
from sapiens2_lit.training.adaptation import Adapt, Adaptation
from sapiens2_lit.training.backbone_module import BackboneModule
from sapiens2_lit.training.pretraining.guards import (
    CollapseGuard,
    effective_rank,
    effective_rank_of,
    teacher_state,
)
from sapiens2_lit.training.pretraining.masks import draw_masks
from sapiens2_lit.training.pretraining.objective import SEED, Nets, Objective, StepResult, describe
from sapiens2_lit.training.pretraining.schedule import PretrainOptimization
from sapiens2_lit.training.pretraining.settings import Anchor, Contrast, Distillation, InfoNCE, Reconstruction
from sapiens2_lit.training.pretraining.targets import reconstruction_loss, reconstruction_pictures
from sapiens2_lit.training.pretraining.teacher import Center, copy_values, follow

ADAMW = partial(torch.optim.AdamW, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
OBJECTIVE = "objective"  # key in a checkpoint's own entries
RANKED = 512  # validation images whose class tokens are compared
Saved = Literal["auto", "student", "teacher"]


class PretrainModule(BackboneModule):
    """Trains a backbone by L = mae.weight * L_MAE + dino.weight * L_CLS + dino.koleo * L_KoLeo (arXiv:2604.21681).

    The default is masked reconstruction only, with the numbers that the paper publishes.

    Args:
        backbone: Makes the backbone; in YAML a class path with its settings.
        mae: Masked reconstruction; null leaves it out.
        contrast: Contrast of class tokens: `dino` (self-distillation), `simclr` (InfoNCE), or null for none.
        dino: Settings of `contrast: dino`.
        simclr: Settings of `contrast: simclr`.
        anchor: Keeps features near the features of `backbone.weights`; null leaves it out.
        decoder_first_steps: Optimizer steps in which only the decoder and heads learn, since no decoder is released.
        adapt: How much of the backbone is trained; `auto` trains all.
        optimizer: Makes the optimizer from parameter groups.
        layer_decay: Factor on the learning rate for each block further from the last.
        backbone_lr: Factor on the learning rate of the whole backbone.
        head_lr: Factor on the learning rate of decoder and head.
        warmup_steps: Optimizer steps of linear warm-up, at most a tenth of the run; then a cosine.
        final_lr: Learning rate at the end of the cosine.
        compile: Compile the backbone's blocks in place.
        saved: Whose backbone is written at the end: `student`, `teacher`, or `auto` for the teacher if there is one.

    Raises:
        SettingError: A setting is out of range, or has no effect.
    """

    takes_views = True  # several of each image, if the datamodule has them

    def __init__(
        self,
        backbone: Callable[[], Backbone],
        *,
        mae: Reconstruction | None = Reconstruction(),  # noqa: B008 - frozen
        contrast: Contrast | None = None,
        dino: Distillation = Distillation(),  # noqa: B008 - frozen
        simclr: InfoNCE = InfoNCE(),  # noqa: B008 - frozen
        anchor: Anchor | None = None,
        decoder_first_steps: int = 0,
        adapt: Adapt | None = None,
        optimizer: OptimizerCallable = ADAMW,
        layer_decay: float = 1.0,
        backbone_lr: float = 1.0,
        head_lr: float = 1.0,
        warmup_steps: int = 1000,
        final_lr: float = 1e-7,
        compile: bool = False,
        saved: Saved = "auto",
    ) -> None:
        objective = Objective(mae, contrast, dino, simclr, anchor)
        heads: Any = objective.heads()  # made from the whole backbone, unlike heads of tasks
        super().__init__(
            NetworkFactory(backbone, heads, compile=compile, made_from=lambda whole: whole),
            PretrainOptimization(
                optimizer, layer_decay, backbone_lr, head_lr, warmup_steps, final_lr, decoder_first_steps
            ),
            adapt or Adapt("full"),
            nn.Module(),
        )
        if self.adapt.mode == "auto":
            self.adapt = Adapt("full")
        if self.adapt.mode == "frozen":
            raise SettingError(
                "model.adapt.mode: found frozen, which trains nothing; expected full, last_blocks, lora"
            )
        if saved not in ("auto", "student", "teacher") or (saved == "teacher" and not objective.has_teacher):
            raise SettingError(
                f"model.saved: found {saved} with model.contrast: {contrast}, expected auto or student, or, with dino, "
                "teacher"
            )
        self.objective, self.saved = objective, saved
        self.teacher: Network | None = None
        self.center: Center | None = None
        self._anchor: tuple[Backbone, ...] = ()  # not registered, since checkpoints need not hold it
        self.guard = CollapseGuard()
        self._validated: list[Tensor] = []  # class tokens of this validation

    # -------------------------------------------------------------- networks

    @property
    def nets(self) -> Nets:
        """The networks of a step."""
        anchor = self._anchor[0] if self._anchor else None
        return Nets(self.network, self.teacher, anchor, self.center)

    def adapt_backbone(self, saved: dict[str, Any]) -> None:
        if before := saved.get(OBJECTIVE):
            self.check_objective(before)
        super().adapt_backbone(saved)

    def remember_backbone(self, saved: dict[str, Any]) -> None:
        super().remember_backbone(saved)
        network, sharding = self.network, strategy_sharding(self._trainer)
        self.objective.check_backbone(network.backbone)
        if self.objective.has_teacher:
            self.teacher = self.make_teacher(sharding)
            self.center = Center(network.heads["cls"].prototypes, self.objective.dino.center_momentum)  # type: ignore[arg-type]
        if self.objective.anchor is not None:
            self._anchor = (self.make_anchor(network.backbone, sharding),)

    def make_teacher(self, sharding: Sharding | None) -> Network:
        """Return a copy of the student's backbone and head without gradients, sharded in the same way."""
        with torch.device("meta"):
            backbone = self.factory.backbone()
            Adaptation(self.network_adapt, backbone, training=False)
            head = self.factory.heads["cls"](backbone)  # type: ignore[arg-type]  # made from the whole backbone
        teacher = Network(backbone, {"cls": head})
        if self.factory.compile:
            teacher.compile_parts()
        device = torch.empty(0).device
        if sharding is not None:
            shard_backbone(sharding, backbone)
            shard_if_any(sharding, head)
            sharding.materialize(teacher)
        else:
            teacher.to_empty(device=device)
        copy_values(backbone, self.network.backbone)
        copy_values(head, self.network.heads["cls"])
        return teacher.eval().requires_grad_(False)

    @property
    def network_adapt(self) -> Adapt:
        """How the student's backbone is trained."""
        assert self.adaptation is not None
        return self.adaptation.adapt

    def make_anchor(self, backbone: Backbone, sharding: Sharding | None) -> Backbone:
        """Return the backbone with the weights that this run, or the first run before it, started from.

        It raises SettingError if there are no pretrained weights.
        """
        if backbone.weights is None:
            raise SettingError(
                "model.anchor: the backbone has no weights to stay near to; give --model.backbone.weights, or "
                "--model.anchor null"
            )
        if sharding is None:
            start = self.factory.backbone()
        else:
            with torch.device("meta"):
                start = self.factory.backbone()
            shard_backbone(sharding, start)
            fill_backbone(sharding, start, from_file=True, brought=False)
        return start.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all parts; the teacher stays in eval mode."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        for start in self._anchor:
            if strategy_sharding(self._trainer) is None:
                start.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        found = self.objective.run(self.nets, batch, self.trainer.global_step)
        loss, count = found.loss(), len(batch["image"])
        self.finite.add(loss, batch.get("sample", []))
        self.log("train/loss", loss.detach(), prog_bar=True, batch_size=count)
        terms = {f"train/{name}": term.detach() for name, term in found.terms.items()}
        self.log_dict(terms, prog_bar=len(terms) > 1, batch_size=count)
        if self.is_log_step():
            self.log_state(found, count)
        return self.step_images.weigh(loss, count)

    def log_state(self, found: StepResult, count: int) -> None:
        """Log what shows a collapse, and end the run if there is one."""
        if found.cls is not None:
            self.log("train/effective_rank", effective_rank(found.cls[:, 0]), batch_size=count)
        if found.answers is not None:
            state = teacher_state(found.answers)
            values = {"teacher_entropy": state.entropy, "teacher_information": state.information}
            self.log_dict({f"train/{name}": value for name, value in values.items()}, batch_size=count)
            self.guard.check(state, self.trainer.global_step)

    def after_clipping(self) -> None:
        """Freeze the prototypes during the first steps, while features start to learn."""
        if not self.objective.has_teacher:
            return
        waits = self.objective.dino.freeze_last_layer_steps
        total = self.trainer.estimated_stepping_batches
        if self.trainer.global_step < min(waits, total // 10):
            self.network.heads["cls"].last.weight.grad = None  # type: ignore[union-attr]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Do an optimizer step, then update the teacher and its center."""
        super().optimizer_step(*args, **kwargs)
        if self.teacher is not None and self.center is not None:  # before a callback can save
            student = dict(self.network.named_parameters())
            follow(self.teacher, student, self.objective.dino.momentum)
            self.center.step()

    # -------------------------------------------------------------- validation

    def on_validation_epoch_start(self) -> None:
        self._validated = []

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Log the loss of reconstruction and keep class tokens; return what a picture of the reconstruction shows."""
        network, backbone, mae = self.network, self.network.backbone, self.objective.mae
        shown = batch["image"][:, 0]
        images = network.normalize(shown)
        tokens: Tensor = backbone.forward_tokens(images)[:, 0]  # type: ignore[operator]
        if len(self._validated) * len(tokens) < RANKED:
            self._validated.append(tokens.float().cpu())
        if mae is None:
            return {}
        patch = backbone.patch_size
        grid = (images.shape[-2] // patch, images.shape[-1] // patch)
        seeds = batch[SEED].tolist()
        masks = draw_masks(seeds, 1, grid, mae.mask_ratio, mae.block_probability)
        visible, masked = (one.to(images.device) for one in masks)
        predicted = network.heads["mae"](backbone.forward_visible(images, visible), visible, grid)  # type: ignore[operator]
        loss = reconstruction_loss(predicted, images, masked, patch, mae.normalize_targets)
        self.log("val/reconstruction_loss", loss, batch_size=len(images), sync_dist=True)
        return {"input": shown, **reconstruction_pictures(predicted, shown.float(), masked, mae, backbone)}

    def on_validation_epoch_end(self) -> None:
        every = [tokens for own in gather_over_ranks(self._validated) for tokens in own]
        self._validated = []
        if every:
            self.log("val/effective_rank", effective_rank_of(torch.cat(every)))

    # -------------------------------------------------------------- checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["sapiens2_lit"][OBJECTIVE] = dict(describe(self.objective))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        meta = checkpoint.get("sapiens2_lit", {})
        self.check_objective(meta.get(OBJECTIVE))
        super().on_load_checkpoint(checkpoint)

    def check_objective(self, before: Any) -> None:
        """Raise WeightsError if a checkpoint was trained by another objective, or by `fit`."""
        own = dict(describe(self.objective))
        compared = ("mae", "contrast")
        if not isinstance(before, dict):
            raise WeightsError(
                "--ckpt_path: the checkpoint is from `fit`, not from a pretraining; start from its backbone: "
                "--model.backbone.weights CKPT"
            )
        if any(before.get(name) != own[name] for name in compared):
            raise WeightsError(
                f"--ckpt_path: the checkpoint was trained by another objective: found {before.get('name')}, here is "
                f"{own['name']}. Continue with the old objective, or start from its backbone: --model.backbone.weights "
                "RUN/version_N/backbone.safetensors"
            )

    def final_backbone(self) -> Backbone:
        """Return the backbone that a run produces: the teacher's or the student's, as `saved` says."""
        if self.teacher is not None and self.saved != "student":
            return self.teacher.backbone
        return self.network.backbone
