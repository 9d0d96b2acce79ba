"""Segmentation: one class a pixel."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

from sapiens2_lit.classes import IGNORED, Classes, load_classes
from sapiens2_lit.decoders import build_decoder
from sapiens2_lit.drawing import draw_segmentation
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, DecoderHead, Outputs
from sapiens2_lit.losses import CrossEntropy, Dice
from sapiens2_lit.losses.segmentation import check_weights
from sapiens2_lit.metrics import SegmentationIoU


class SegmentationHead(DecoderHead):
    """Logits of every class at the input's size.

    Args:
        embed_dim: channels of the backbone's feature map.
        classes: `body29`, the released 29 classes, or a YAML file of your own.
        decoder: `deconv` as in the released segmentation models, or `pixel_shuffle`.
        loss: named terms, modules called as `term(logits, labels)` with (B, C, H, W) and (B, H, W), 255 ignored; the
            default is the released one: weighted cross-entropy and Dice.
        class_weights: of the default cross-entropy: `released` (those of the vocabulary; of body29 the released
            recipe's), `none` (1 everywhere), or one for each class.
        opacity: of the classes' colours in pictures, 0 to 1.

    Raises:
        SettingError: naming the setting, what was found and what was expected.
    """

    targets = ("segmentation",)
    monitor = ("mIoU", "max")

    def __init__(
        self,
        embed_dim: int,
        classes: str | Path | Classes = "body29",
        decoder: Literal["deconv", "pixel_shuffle"] = "deconv",
        loss: dict[str, nn.Module] | None = None,
        class_weights: Literal["released", "none"] | list[float] = "released",
        opacity: float = 0.6,
    ) -> None:
        vocabulary = load_classes(classes)
        if loss is not None and class_weights != "released":
            raise SettingError(
                "SegmentationHead: `class_weights` has no effect beside `loss`; give it to the term, as in "
                "{class_path: sapiens2_lit.losses.CrossEntropy, init_args: {class_weights: body29}}."
            )
        if not 0 <= opacity <= 1:
            raise SettingError(f"SegmentationHead: `opacity` is {opacity}, expected 0 to 1.")
        super().__init__(build_decoder("seg", embed_dim, vocabulary.num_classes, decoder))
        self.classes = vocabulary
        self.opacity = opacity
        self.losses = nn.ModuleDict(loss or default_loss(vocabulary, class_weights))
        self.init_weights()

    def unflip(self, outputs: Outputs) -> Outputs:
        assert isinstance(outputs, Tensor)
        return outputs.flip(-1)[:, torch.tensor(self.classes.swap, device=outputs.device)]

    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        logits, labels = at_input_size(outputs, batch), batch["segmentation"]
        return {name: term(logits, labels) for name, term in self.losses.items()}

    def metrics(self, data: Any = None, stage: str = "train") -> MetricCollection:
        """Intersection over union and accuracies.

        Raises:
            SettingError: the labels of `data` are of other classes.
        """
        labelled = getattr(data, "classes", None)
        if labelled is not None and labelled.names != self.classes.names:
            raise SettingError(
                f"data.classes: the labels are of {labelled.name} ({labelled.num_classes} classes), the head predicts "
                f"{self.classes.name} ({self.classes.num_classes}); give the data the classes of the head."
            )
        scores = SegmentationIoU(self.classes.num_classes, self.classes.background)
        return MetricCollection({"segmentation": scores}, compute_groups=False)

    def update(self, metrics: MetricCollection, outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`, but for samples that another process counts."""
        if "segmentation" in batch:
            labels = batch["segmentation"]
            if "counted" in batch:
                labels = labels.masked_fill(~batch["counted"][:, None, None], IGNORED)
            metrics["segmentation"].update(at_input_size(outputs, batch).argmax(dim=1), labels)

    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """The most likely class of each pixel, (B, H, W) uint8, at the size of the network's input.

        Unlike points, maps stay in input pixels; `batch["affine"]` says where they belong in the original image.
        """
        return {"segmentation": at_input_size(outputs, batch).argmax(dim=1).to(torch.uint8)}

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        labels = prediction["segmentation"].cpu().numpy()
        return draw_segmentation(image, labels, self.classes, opacity=self.opacity)


def default_loss(classes: Classes, class_weights: str | list[float]) -> dict[str, nn.Module]:
    """The released terms for the classes.

    Raises:
        SettingError: the weights are neither a known name nor one a class.
    """
    if isinstance(class_weights, str):
        if class_weights not in ("released", "none"):
            raise SettingError(
                f"SegmentationHead: `class_weights` is '{class_weights}', expected released, none or a list."
            )
        weights = list(classes.weights) if class_weights == "released" else None
    else:
        weights = list(check_weights(class_weights, "SegmentationHead: `class_weights`"))
        if len(weights) != classes.num_classes:
            raise SettingError(
                f"SegmentationHead: `class_weights` has {len(weights)} entries, expected {classes.num_classes}, one "
                f"for each class of {classes.name}."
            )
    return {"cross_entropy": CrossEntropy(class_weights=weights), "dice": Dice(background=classes.background)}


def at_input_size(outputs: Outputs, batch: Batch) -> Tensor:
    """Logits (B, C, H, W) of the images' size, which a backbone of another stride than 16 does not give by itself."""
    assert isinstance(outputs, Tensor)
    size = batch["image"].shape[-2:]
    if outputs.shape[-2:] == size:
        return outputs
    return F.interpolate(outputs, size, mode="bilinear", align_corners=False)
