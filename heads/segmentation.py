"""Segmentation: one class for each pixel."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sapiens2_lit import metrics as measures
from sapiens2_lit.decoders import Kind, LightDecoder, SharedPart, build_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, CountsClasses, DecoderHead, NamesClasses, Outputs
from sapiens2_lit.heads.dense import at_input_size, start_at
from sapiens2_lit.losses import BalancedCrossEntropy, CrossEntropy, Dice
from sapiens2_lit.losses.segmentation import check_weights
from sapiens2_lit.visualization.draw import draw_segmentation
from sapiens2_lit.vocabularies import IGNORED, Classes, load_classes

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import Metric, MetricCollection

ClassWeights = Literal["released", "none", "auto"] | list[float]

_log = logging.getLogger(__name__)


class SegmentationHeadBase(DecoderHead):
    """Segmentation with any network that gives logits of every class.

    Args:
        network: Stages from the backbone's feature map to logits, which are resized to the input's size.
        classes: The vocabulary.
        loss: Named terms; None for the default ones.
        class_weights: Class weights of the default cross-entropy.
        opacity: Opacity of the classes' colors in pictures, 0 to 1.
        per_class: Also report every class in validation and test.
        boundaries: Also report F1 of class boundaries in validation and test.

    Raises:
        SettingError: A setting is out of its range; the error names it, its value and what was expected.
    """

    classes: Classes
    targets = ("segmentation",)
    multi_scale = True
    monitor = ("mIoU", "max")

    def __init__(
        self,
        network: nn.Sequential | LightDecoder | SharedPart,
        classes: Classes,
        loss: dict[str, nn.Module] | None,
        class_weights: ClassWeights,
        opacity: float,
        per_class: bool,
        boundaries: bool = False,
    ) -> None:
        name = type(self).__name__
        if loss is not None and class_weights != "released":
            raise SettingError(
                f"{name}: `class_weights` has no effect beside `loss`; give it to the term, as in "
                "{class_path: sapiens2_lit.losses.CrossEntropy, init_args: {class_weights: body29}}."
            )
        if not 0 <= opacity <= 1:
            raise SettingError(f"{name}: `opacity` is {opacity}, expected 0 to 1.")
        super().__init__(network)
        self.classes = classes
        self.opacity = opacity
        self.per_class = per_class
        self.boundaries = boundaries
        self.losses = nn.ModuleDict(loss or default_loss(classes, class_weights, name))
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize as other heads do, but let the last layer give all classes about the same logit."""
        super().init_weights()
        start_at(self.get_submodule(self.stages[-1]), (0.0,) * self.classes.num_classes)
        self.init_losses()

    def init_losses(self) -> None:
        """Set the class weights that are counted in the data back to 1."""
        for term in self.balanced_terms():
            term.init_weights()

    def balanced_terms(self) -> list[BalancedCrossEntropy]:
        """Return the terms whose class weights are counted in the data."""
        return [term for term in self.losses.values() if isinstance(term, BalancedCrossEntropy)]

    def setup(self, data: Any) -> None:
        """Count the classes of the training masks, if `class_weights` is `auto`.

        Raises:
            SettingError: `data` has no masks to count, or has other classes.
            DataError: A mask cannot be read.
        """
        if not (terms := self.balanced_terms()):
            return
        self.check_classes(data)
        if not isinstance(data, CountsClasses):
            raise SettingError(
                f"{type(self).__name__}: `class_weights` is auto, but {type(data).__name__} has no `count_classes()`, "
                "which counts the training masks: give one weight for each class."
            )
        counts = data.count_classes().tolist()
        if absent := [name for name, count in zip(self.classes.names, counts, strict=True) if not count]:
            _log.warning("class_weights: auto: no mask shows %s; weight 1 is taken.", ", ".join(absent))
        for term in terms:
            term.set_counts(counts)
        weights = zip(self.classes.names, terms[0].balance.tolist(), strict=True)
        _log.info("class_weights: auto: %s", ", ".join(f"{name} {weight:.3g}" for name, weight in weights))

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)[:, torch.tensor(self.classes.swap, device=outputs.device)]

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the terms over labeled pixels, multiplied by the batch's `weight` if it has one.

        Raises:
            SettingError: The batch has weights, but a term other than CrossEntropy and Dice cannot take them.
        """
        self._check_weights(batch)
        logits, labels = at_input_size(outputs, batch), batch["segmentation"]
        weights = (batch["weight"][:, 0],) if "weight" in batch else ()
        with torch.autocast(logits.device.type, enabled=False):
            return {
                # CrossEntropy and Dice convert to float32 by chunks; other terms would sum pixels in half precision
                name: term(logits, labels, *weights)
                if isinstance(term, CrossEntropy | Dice)
                else term(logits.float(), labels)
                for name, term in self.losses.items()
            }

    def _check_weights(self, batch: Batch) -> None:
        others = [name for name, term in self.losses.items() if not isinstance(term, CrossEntropy | Dice)]
        if "weight" in batch and others:
            raise SettingError(
                f"data.confidence.weight is true, but {type(self).__name__}'s loss `{others[0]}`, a "
                f"{type(self.losses[others[0]]).__name__}, takes no weights of pixels: use CrossEntropy and Dice, or "
                "set it to false."
            )

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return intersection over union, Dice and accuracies.

        Outside training, `per_class` adds every class and `boundaries` adds F1 of class boundaries.

        Raises:
            SettingError: The labels of `data` have other classes.
        """
        self.check_classes(data)
        names = self.classes.names if self.per_class and stage != "train" else None
        scores = measures.SegmentationIoU(self.classes.num_classes, self.classes.background, names)
        chosen: dict[str, Metric] = {"segmentation": scores}
        if self.boundaries and stage != "train":
            chosen["boundaries"] = measures.ClassBoundaryF1(self.classes.num_classes)
        return measures.collect(chosen)

    def score(self, values: Mapping[str, float]) -> float:
        """Return `mIoU`."""
        return values.get("mIoU", math.nan)

    def check_classes(self, data: Any) -> None:
        """Check that the labels of `data` have the head's classes.

        Raises:
            SettingError: They have others.
        """
        labelled = data.classes if isinstance(data, NamesClasses) else None
        if labelled is not None and labelled.names != self.classes.names:
            raise SettingError(
                f"data.classes: the labels have {labelled.name} ({labelled.num_classes} classes), the head predicts "
                f"{self.classes.name} ({self.classes.num_classes}); give the data the classes of the head."
            )

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Update `metrics` with one batch, without samples that are not evaluated."""
        if "segmentation" in batch:
            labels = batch["segmentation"]
            if "evaluated" in batch:
                labels = labels.masked_fill(~batch["evaluated"][:, None, None], IGNORED)
            metrics.update(at_input_size(outputs, batch).argmax(dim=1), labels)

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return the most likely class of each pixel, (B, H, W) uint8, at the size of the network's input.

        Unlike points, maps stay in input pixels; `batch["affine"]` maps the original image to them.
        """
        return {"segmentation": at_input_size(outputs, batch).argmax(dim=1).to(torch.uint8)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        labels = prediction["segmentation"].cpu().numpy()
        return draw_segmentation(image, labels, self.classes, opacity=self.opacity)

    def counted_pixels(self, batch: Batch) -> Tensor | None:
        return batch["segmentation"] != IGNORED if "segmentation" in batch else None


class SegmentationHead(SegmentationHeadBase):
    """Predict logits of every class at the input's size.

    Args:
        embed_dim: Channels of the backbone's feature map.
        classes: `body29`, the released 29 classes; `body28`, the classes of Sapiens v1; or a YAML file with your
            classes.
        decoder: `deconv` as in the released segmentation models, `pixel_shuffle`, `light`, `linear`, or `sapiens1` as
            in the released models of Sapiens v1; `auto` follows the weights that are loaded, and is `deconv` without
            weights.
        loss: Named terms: modules called as `term(logits, labels)` with (B, C, H, W) and (B, H, W); label 255 is
            ignored. None: the released ones, weighted cross-entropy and Dice.
        class_weights: Class weights of the default cross-entropy: `released` (the vocabulary's; for body29 they are the
            released recipe's), `none` (1 everywhere), `auto` (counted in the training masks), or a list with one number
            for each class.
        opacity: Opacity of the classes' colors in pictures, 0 to 1.
        per_class: Also report every class in validation and test.
        boundaries: Also report F1 of class boundaries in validation and test.

    Raises:
        SettingError: A setting is out of its range; the error names it, its value and what was expected.
    """

    def __init__(
        self,
        embed_dim: int,
        classes: str | Path | Classes = "body29",
        decoder: Kind = "auto",
        loss: dict[str, nn.Module] | None = None,
        class_weights: ClassWeights = "released",
        opacity: float = 0.6,
        per_class: bool = True,
        boundaries: bool = False,
    ) -> None:
        vocabulary = load_classes(classes)
        network = build_decoder("seg", embed_dim, vocabulary.num_classes, decoder)
        super().__init__(network, vocabulary, loss, class_weights, opacity, per_class, boundaries)


def default_loss(classes: Classes, class_weights: ClassWeights, head: str) -> dict[str, nn.Module]:
    """Return the released terms for the classes.

    Args:
        classes: The vocabulary.
        class_weights: See `SegmentationHead`.
        head: Name of the head, for errors.

    Raises:
        SettingError: `class_weights` is neither a known word nor a list with one number for each class.
    """
    dice = Dice(background=classes.background)
    if class_weights == "auto":
        return {"cross_entropy": BalancedCrossEntropy(classes.num_classes), "dice": dice}
    if isinstance(class_weights, str):
        if class_weights not in ("released", "none"):
            raise SettingError(
                f"{head}: `class_weights` is '{class_weights}', expected released, none, auto or a list."
            )
        weights = list(classes.weights) if class_weights == "released" else None
    else:
        weights = list(check_weights(class_weights, f"{head}: `class_weights`"))
        if len(weights) != classes.num_classes:
            raise SettingError(
                f"{head}: `class_weights` has {len(weights)} entries, expected {classes.num_classes}, one "
                f"for each class of {classes.name}."
            )
    return {"cross_entropy": CrossEntropy(class_weights=weights), "dice": dice}
