"""The contract between a head and everything that uses one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from sapiens2_lit.decoders import (
    RECOMPUTE,
    LightDecoder,
    Recompute,
    SharedPart,
    Unit,
    add_detail,
    has_batch_norm,
    init_decoder,
    run_units,
    units_of,
)
from sapiens2_lit.errors import SettingError
from sapiens2_lit.vocabularies import Classes, Skeleton

if TYPE_CHECKING:  # the import takes seconds, and prediction needs no metrics
    from torchmetrics import MetricCollection

Batch = dict[str, Any]
Outputs = Tensor | dict[str, Tensor]
RENAMED = {"partial": "uses_valid", "prepare": "setup", "measures": "can_evaluate"}


@runtime_checkable
class CountsClasses(Protocol):
    """A LightningDataModule that counts the classes of its training masks, for `class_weights: auto`."""

    def count_classes(self) -> npt.NDArray[np.int64]:
        """Return the number of training pixels of each class, (C,)."""


@runtime_checkable
class NamesClasses(Protocol):
    """A LightningDataModule whose masks have a vocabulary."""

    @property
    def classes(self) -> Classes | None:
        """The vocabulary of the masks; None if there are no masks."""


@runtime_checkable
class KnowsPeople(Protocol):
    """A LightningDataModule that knows all labeled people of a stage."""

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]] | None:
        """Return the people of a stage (`validate` or `test`) as a COCO dictionary; None if there are none."""


class Head(nn.Module, ABC):
    """One task: a network on feature maps, its loss, its metrics and its pictures.

    A head is built as `Head(embed_dim, **settings)`. Every head file has its methods in this order: settings and
    network, setup, forward, unflip, loss, metrics and update, predict, draw and its relatives.

    Attributes:
        targets: Batch keys that the head learns from; it skips a batch without them.
        monitor: The metric from which `score` is computed, unless the head overrides `score`, and `max` if higher is
            better, else `min`.
        headline: Metrics shown first after a test, behind the monitored one.
        top_down: The head sees one person at a time, in a crop around their box; its `predict` returns `keypoints`.
        multi_scale: The head's output is one tensor that may be averaged over several input sizes.
        uses_valid: Labels are used only where the batch's `valid` is true.
        skeleton: Vocabulary of predicted keypoints; None for heads without keypoints.
        classes: Vocabulary of predicted classes; None for heads without classes.
        relative: The head predicts relative depth.
        uses_image: `forward` takes the images besides the feature maps (`run_head`).
        takes_shared: `forward` takes the shared decoder's map as the last one, behind the backbone's maps.
    """

    targets: tuple[str, ...] = ()
    monitor: tuple[str, str] = ("loss", "min")
    headline: tuple[str, ...] = ()
    top_down: bool = False
    multi_scale: bool = False
    uses_valid: bool = False
    skeleton: Skeleton | None = None
    classes: Classes | None = None
    relative: bool = False
    uses_image: bool = False
    takes_shared: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a subclass that uses the former name of an attribute or method, which would be ignored.

        Raises:
            TypeError: The class defines a name that has been renamed.
        """
        super().__init_subclass__(**kwargs)
        for old, new in RENAMED.items():
            if old in vars(cls):
                raise TypeError(f"{cls.__name__}.{old} is now called {new}")

    def init_weights(self) -> None:
        """Initialize every parameter in place: Kaiming normal (fan-out), zero biases."""
        init_decoder(self)

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Outputs:
        """Turn feature maps [(B, C, h, w)], the deepest last, into raw outputs.

        With `uses_image`, it also takes `images`: RGB in 0..255, (B, 3, H, W), of any dtype.
        """

    def setup(self, data: Any) -> None:
        """Learn from the training data what the loss needs, such as the frequency of classes.

        Training calls this once on every process, after `data` was set up and before the first step. It is not called
        for a resumed run or in evaluation: keep results in buffers, which checkpoints save. Every process must get the
        same values.

        Args:
            data: The LightningDataModule in use; None if there is none.
        """

    @property
    def has_flip_test(self) -> bool:
        """Whether outputs can be averaged with the outputs for the mirrored image."""
        return type(self).unflip is not Head.unflip

    def unflip(self, outputs: Outputs) -> Outputs | None:
        """Mirror the outputs of a mirrored image back; return None if the head has no flip test."""
        return None

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return weighted loss terms, each a scalar; training minimizes their sum."""

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Return new metrics for one stage.

        Args:
            data: The LightningDataModule in use, if any.
            stage: `train`, `validate` or `test`.
        """
        from torchmetrics import MetricCollection

        return MetricCollection({})

    def score(self, values: Mapping[str, float]) -> float:
        """Return how good the head is, from 0 to 1, higher is better; NaN if `values` lack the metric.

        `val/score`, the mean over heads, chooses the best checkpoint, so a score should change whenever the model does.
        Unless a head overrides this, the score is `monitor` mapped to 0..1 so that better values score higher.

        Args:
            values: Metrics of one validation or test by name, and the loss as `loss`.
        """
        key, mode = self.monitor
        value = values.get(key, math.nan)
        return bounded(value if mode == "max" else -value)

    def can_evaluate(self, batch: Batch) -> bool:
        """Return whether validation and test can evaluate the head on this batch: it has the labels."""
        return all(key in batch for key in self.targets)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Update `metrics` with one batch."""

    @abstractmethod
    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return what a user gets for each sample, in the units of docs/conventions.md.

        Points are in pixels of the original image if the batch has `affine`, else in pixels of the network's input.
        """

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        """Draw one sample's prediction, or its labels under the same keys, on an RGB uint8 image (H, W, 3)."""
        return image

    def draw_unsure(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        """Draw like `draw` on an RGB uint8 image (H, W, 3), and add faintly what `draw` leaves out.

        It leaves out predictions with a low score: early in training, that is nearly all of them.
        """
        return self.draw(image, prediction)

    def remark(self, prediction: dict[str, Tensor]) -> str:
        """Return in a few words what the picture of a sample's prediction does not show; empty for nothing."""
        return ""

    def counted_pixels(self, batch: Batch) -> Tensor | None:
        """Return where labels are valid, (B, H, W) or (B, 1, H, W) bool; None if all of them are."""
        return batch["valid"] if self.uses_valid and "valid" in batch else None


class DecoderHead(Head):
    """A head whose network is a decoder: a chain of named stages on the deepest feature map.

    The stages become children of the head itself, so that its parameters have the released names
    (`deconv_layers.0.weight`, `conv_pose.bias`).

    Attributes:
        stages: Names of the stages in the chain, the predictor last.
        recompute: Which maps the backward pass computes again instead of keeping them; may be changed at any time.
    """

    recompute: Recompute = "none"

    def __init__(self, decoder: nn.Sequential | LightDecoder | SharedPart) -> None:
        super().__init__()
        children = dict(decoder.named_children())
        self.stages = decoder.stages if isinstance(decoder, LightDecoder | SharedPart) else tuple(children)
        self.uses_image = "detail_layers" in children
        self.takes_shared = isinstance(decoder, SharedPart)
        for name, child in children.items():
            self.add_module(name, child)

    def units(self) -> list[Unit]:
        """Return the chain in pieces for `run_units`, the predictor last."""
        *chain, _ = self.stages
        return [*units_of(self.get_submodule(name) for name in chain), self.predictor]

    def predictor(self, x: Tensor) -> Tensor:
        """Apply the last layer to a map (B, C, H, W), and the upsampling of its field if the decoder has one."""
        field: Tensor = self.get_submodule(self.stages[-1])(x)
        return self.get_submodule("convex_layers")(field, x) if hasattr(self, "convex_layers") else field

    def forward(self, features: list[Tensor], images: Tensor | None = None) -> Outputs:
        x, units = features[-1], self.units()
        if self.uses_image:
            before = units_of([self.get_submodule(self.stages[0])])
            assert images is not None
            x = run_units(before, x, self.recompute)
            x = add_detail(x, self.get_submodule("detail_layers"), images)
            units = units[len(before) :]
        return run_units(units, x, self.recompute)


def run_head(head: Head, features: list[Tensor], images: Tensor) -> Outputs:
    """Return a head's raw outputs.

    Args:
        head: The head.
        features: Feature maps [(B, C, h, w)], the deepest last.
        images: RGB in 0..255, (B, 3, H, W); passed on only to heads that use it.
    """
    return head(features, images) if head.uses_image else head(features)


def set_recompute(heads: Mapping[str, nn.Module], recompute: Recompute) -> None:
    """Choose which decoder maps every head computes again in the backward pass.

    Args:
        heads: The heads by name.
        recompute: `none`, `stages` or `samples`; see `run_units`.

    Raises:
        SettingError: `recompute` is another word, or a head cannot recompute its maps.
    """
    if recompute not in RECOMPUTE:
        raise SettingError(
            f"model.head_checkpointing: found {recompute!r}, expected one of {', '.join(RECOMPUTE)}"
        )
    for name, head in heads.items():
        if recompute != "none" and (not hasattr(head, "recompute") or has_batch_norm(head)):
            raise SettingError(
                f"model.head_checkpointing: {recompute} cannot be used with head {name}, a {type(head).__name__}: "
                + ("its batch norms would" if has_batch_norm(head) else "it is not a DecoderHead and cannot")
                + (" count every batch twice" if has_batch_norm(head) else " compute its maps again")
            )
        if hasattr(head, "recompute"):
            head.recompute = recompute  # type: ignore[assignment]  # of a DecoderHead or SharedDecoder


def bounded(value: float) -> float:
    """Map any number to 0..1, increasing, with 0.5 for 0; NaN stays NaN."""
    return (1 + (math.copysign(1, value) if math.isinf(value) else value / (1 + abs(value)))) / 2


def closeness(error: float) -> float:
    """Map an error of 0 or more to a score: 1 for 0, 1/2 for 1, 0 for infinity."""
    return 1 / (1 + error)


def average(a: Outputs, b: Outputs) -> Outputs:
    """Return the mean of two outputs with the same keys and the same shapes."""
    if isinstance(a, dict):
        assert isinstance(b, dict)
        return {key: (value + b[key]) / 2 for key, value in a.items()}
    assert isinstance(b, Tensor)
    return (a + b) / 2
