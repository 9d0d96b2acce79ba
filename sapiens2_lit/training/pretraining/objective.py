"""The objective: which networks a step runs on which views, and the loss terms that result.

Shape suffixes: b images, g global views, l local ones, v visible patches, n all patches, c channels.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.pretraining.contrast_heads import ProjectionHead, PrototypeHead
from sapiens2_lit.training.pretraining.decoder import MAEDecoder
from sapiens2_lit.training.pretraining.losses import (
    anchor_losses,
    contrast_loss,
    distillation_loss,
    koleo_loss,
)
from sapiens2_lit.training.pretraining.masks import cut_parts, draw_masks
from sapiens2_lit.training.pretraining.settings import Anchor, Contrast, Distillation, InfoNCE, Reconstruction
from sapiens2_lit.training.pretraining.targets import reconstruction_loss
from sapiens2_lit.training.pretraining.teacher import Center

NEEDED = ("forward_tokens", "forward_visible")
LOCAL = "local"  # key of the local views in a batch
SEED = "seed"  # key of each sample's seed
During = Callable[[str], AbstractContextManager[Any]]


class TokenBackbone(Protocol):
    """What the objective needs from a backbone besides the common contract."""

    def forward_tokens(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, H, W) to class token, registers and patches (B, N, C)."""

    def forward_visible(self, images: Tensor, visible_bv: Tensor) -> Tensor:
        """Encode only the patches `visible_bv` (B, V) of images (B, 3, H, W)."""


@dataclass
class Nets:
    """The networks of a step.

    Attributes:
        student: The backbone that learns, with the heads `mae` and `cls`.
        teacher: A backbone with the head `cls`, or None.
        anchor: The frozen start, or None.
        center: Center of the teacher's outputs, or None.
    """

    student: Network
    teacher: Network | None = None
    anchor: Backbone | None = None
    center: Center | None = None


@dataclass
class StepResult:
    """The results of a step.

    Attributes:
        terms: Each term of the loss, without its weight.
        weights: Weights of the terms; terms without one are not in the loss.
        cls: The student's class tokens of the global views, (B, G, C), without gradient; None without contrast.
        answers: The teacher's probabilities, (B, G, K); None without a teacher.
    """

    terms: dict[str, Tensor]
    weights: dict[str, float]
    cls: Tensor | None = None
    answers: Tensor | None = None

    def loss(self) -> Tensor:
        """Return the weighted sum, a scalar."""
        weighed = [self.weights[name] * term for name, term in self.terms.items() if name in self.weights]
        return torch.stack(weighed).sum()


@dataclass(frozen=True)
class Objective:
    """Terms of the loss and their settings.

    Args:
        mae: Masked reconstruction, None without.
        contrast: Kind of contrast of class tokens, None without.
        dino: Settings of `contrast: dino`.
        simclr: Settings of `contrast: simclr`.
        anchor: Distance to the frozen start, None without.

    Raises:
        SettingError: No term is left, or settings were given for a term that is not used.
    """

    mae: Reconstruction | None
    contrast: Contrast | None
    dino: Distillation
    simclr: InfoNCE
    anchor: Anchor | None

    def __post_init__(self) -> None:
        if self.mae is None and self.contrast is None:
            raise SettingError("model: found neither mae nor contrast, expected at least one of them")
        if self.contrast not in (None, "dino", "simclr"):
            raise SettingError(f"model.contrast: found {self.contrast!r}, expected dino, simclr or null")
        for name, given, default in (
            ("dino", self.dino, Distillation()),
            ("simclr", self.simclr, InfoNCE()),
        ):
            if given != default and self.contrast != name:
                raise SettingError(
                    f"model.{name} has no effect with model.contrast: {self.contrast}; expected --model.contrast {name}"
                )

    @property
    def name(self) -> str:
        """The objective in words, such as `mae + dino`."""
        parts = ["mae" if self.mae else "", self.contrast or "", "anchor" if self.anchor else ""]
        return " + ".join(part for part in parts if part)

    @property
    def global_views(self) -> int:
        """The number of global views needed of each image."""
        return 2 if self.contrast else 1

    @property
    def has_teacher(self) -> bool:
        """Whether there is a teacher."""
        return self.contrast == "dino"

    def heads(self) -> dict[str, Callable[[Backbone], nn.Module]]:
        """Return functions that make each head from the backbone."""
        found: dict[str, Callable[[Backbone], nn.Module]] = {}
        mae = self.mae
        if mae is not None:
            found["mae"] = lambda backbone: MAEDecoder(backbone, mae)
        if self.contrast == "dino":
            found["cls"] = lambda backbone: PrototypeHead(backbone, self.dino)
        elif self.contrast == "simclr":
            found["cls"] = lambda backbone: ProjectionHead(backbone, self.simclr)
        return found

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise SettingError if a backbone cannot be pretrained here."""
        if missing := [name for name in NEEDED if name not in backbone.forward_methods]:
            raise SettingError(
                f"model.backbone: {type(backbone).__name__} has no {missing[0]}: it cannot leave out tokens; expected "
                "sapiens2_lit.backbones.Sapiens2, or your backbone with both methods"
            )

    def check_batch(self, batch: Batch) -> None:
        """Raise SettingError if a batch lacks views or seeds."""
        image = batch["image"]
        if image.ndim != 5 or image.shape[1] < self.global_views or SEED not in batch:
            raise SettingError(
                f"data: found images of shape {tuple(image.shape)} with {', '.join(sorted(batch))}; `{self.name}` "
                f"needs (B, {self.global_views}, 3, H, W) and {SEED!r}, as UnlabeledDataModule makes them"
            )

    def run(
        self, nets: Nets, batch: Batch, step: int, during: During = lambda name: nullcontext()
    ) -> StepResult:
        """Run the forward passes of one training batch, and return its loss terms.

        Args:
            nets: The networks.
            batch: `image` (B, G, 3, H, W), `local` (B, L, 3, h, w) if there are local views, `seed` (B,).
            step: Optimizer steps so far.
            during: Entered by name around each part, to estimate memory.
        """
        self.check_batch(batch)
        backbone: Any = nets.student.backbone
        image_bg = batch["image"]
        count, views = image_bg.shape[:2]
        patch = nets.student.backbone.patch_size
        grid = (image_bg.shape[-2] // patch, image_bg.shape[-1] // patch)
        found = StepResult({}, {})
        with during("backbone"):
            images = nets.student.normalize(image_bg.flatten(0, 1))
        if self.mae is not None:
            seeds = batch[SEED].tolist()
            masks = draw_masks(seeds, views, grid, self.mae.mask_ratio, self.mae.block_probability)
            visible, masked = (one.to(images.device, non_blocking=True) for one in masks)
            with during("backbone"):
                tokens = backbone.forward_visible(images, visible)
            with during("head mae"):
                predicted = nets.student.heads["mae"](tokens, visible, grid)
            with during("loss mae"):
                found.terms["mae"] = reconstruction_loss(
                    predicted, images, masked, patch, self.mae.normalize_targets
                )
            found.weights["mae"] = self.mae.weight
        else:
            with during("backbone"):
                tokens = backbone.forward_tokens(images)
        if self.contrast:
            cls_bgc = tokens[:, 0].unflatten(0, (count, views))
            self._contrast(nets, batch, images, cls_bgc, step, found, during)
        if self.anchor is not None and nets.anchor is not None:
            self._anchor(self.anchor, nets, nets.anchor, images[::views], batch[SEED].tolist(), found, during)
        return found

    def _contrast(
        self,
        nets: Nets,
        batch: Batch,
        images: Tensor,
        cls_bgc: Tensor,
        step: int,
        found: StepResult,
        during: During,
    ) -> None:
        """Add the terms of class tokens of the global views, and with `dino` of the local views."""
        head, found.cls = nets.student.heads["cls"], cls_bgc.detach()
        if self.contrast == "simclr":
            with during("head cls"):
                vectors = head(cls_bgc[:, :2])
            found.terms["infonce"] = contrast_loss(vectors, self.simclr.temperature)
            found.weights["infonce"] = self.simclr.weight
            return
        assert nets.teacher is not None and nets.center is not None
        every_bvc = cls_bgc
        backbone: Any = nets.student.backbone
        if LOCAL in batch:
            with during("backbone"):
                small = backbone.forward_tokens(nets.student.normalize(batch[LOCAL].flatten(0, 1)))[:, 0]
            every_bvc = torch.cat([cls_bgc, small.unflatten(0, batch[LOCAL].shape[:2])], dim=1)
        with during("teacher"), torch.no_grad():
            teacher: Any = nets.teacher.backbone
            answers = nets.teacher.heads["cls"](teacher.forward_tokens(images)[:, 0])
            answers = answers.unflatten(0, cls_bgc.shape[:2])
            found.answers = nets.center.probabilities(answers, self.dino.teacher_temperature_at(step))
            nets.center.add(answers)
        with during("head cls"):
            logits = head(every_bvc)
        with during("loss cls"):
            views = cls_bgc.shape[1]
            found.terms["cls"] = distillation_loss(
                logits, found.answers, views, self.dino.student_temperature
            )
            found.weights["cls"] = self.dino.weight
            if self.dino.koleo > 0:
                found.terms["koleo"] = torch.stack([koleo_loss(one) for one in cls_bgc.unbind(1)]).mean()
                found.weights["koleo"] = self.dino.koleo

    def _anchor(
        self,
        anchor: Anchor,
        nets: Nets,
        start: Backbone,
        images: Tensor,
        seeds: list[int],
        found: StepResult,
        during: During,
    ) -> None:
        """Add the distance from the frozen start on a part of each image."""
        parts = cut_parts(images, anchor.side, nets.student.backbone.patch_size, seeds)
        prefix = nets.student.backbone.prefix_tokens
        student: Any = nets.student.backbone
        frozen: Any = start
        with during("teacher"), torch.no_grad():
            before = frozen.forward_tokens(parts)[:, prefix:]
        with during("backbone"):
            after = student.forward_tokens(parts)[:, prefix:]
        with during("loss anchor"):
            distance, gram = anchor_losses(after, before)
        found.terms |= {"anchor_distance": distance, "anchor_gram": gram}
        found.weights |= {"anchor_distance": anchor.weight, "anchor_gram": anchor.weight}

    def without_anchor(self) -> "Objective":
        """Return the objective without its anchor."""
        return replace(self, anchor=None)


def describe(objective: Objective) -> Mapping[str, Any]:
    """Return what checkpoints save about the objective, to recognize another one."""
    return {"name": objective.name, "mae": objective.mae is not None, "contrast": objective.contrast}
