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

if TYPE_CHECKING:  # it takes seconds to import, and prediction has no metrics
    from torchmetrics import MetricCollection

Batch = dict[str, Any]
Outputs = Tensor | dict[str, Tensor]
RENAMED = {"partial": "uses_valid", "prepare": "setup", "measures": "can_evaluate"}


@runtime_checkable
class CountsClasses(Protocol):
    """A LightningDataModule that counts the classes of its training masks, for `class_weights: auto`."""

    def count_classes(self) -> npt.NDArray[np.int64]: ...


@runtime_checkable
class NamesClasses(Protocol):
    """A LightningDataModule whose masks have a vocabulary, None where it has no masks."""

    @property
    def classes(self) -> Classes | None: ...


@runtime_checkable
class KnowsPeople(Protocol):
    """A LightningDataModule with all labelled people of a stage (validate, test) as a COCO dict, None without any."""

    def ground_truth(self, stage: str) -> dict[str, list[dict[str, Any]]] | None: ...


class Head(nn.Module, ABC):
    """One task: a network on feature maps, its loss, its metrics and its pictures.

    Built as `Head(embed_dim, **its own settings)`. Methods stand in this order in every head file:
    settings and network, prepare, forward, unflip, loss, metrics and update, predict, draw and what goes with it.

    Attributes:
        targets: batch keys that the head learns from; a batch without them is skipped.
        monitor: the metric that `score` is made of, unless a head defines that itself, and whether more is better.
        headline: metrics that are said first after a test, behind that of `monitor`.
        top_down: the head sees one person at a time, in a crop around their box; its `predict` answers `keypoints`.
        multi_scale: the head's outputs, one tensor, may be averaged over images of several sizes.
        uses_valid: whether its labels count only where `valid` of the batch says so.
        skeleton, classes: the vocabulary of its predictions, of heads that have one.
        relative: it predicts relative depth.
        uses_image: `forward` takes the images themselves beside the feature maps (`run_head`).
        takes_shared: `forward` takes the map of the shared decoder behind those of the backbone.
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
        """Raises TypeError where a head of before has names that would be ignored now."""
        super().__init_subclass__(**kwargs)
        for old, new in RENAMED.items():
            if old in vars(cls):
                raise TypeError(f"{cls.__name__}.{old} is now called {new}")

    def init_weights(self) -> None:
        """Give every parameter its fresh value, in place: Kaiming, fan-out, zero biases."""
        init_decoder(self)

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Outputs:
        """Feature maps [(B, C, h, w)], the deepest last, to raw outputs.

        With `uses_image` it takes `images` besides, RGB 0..255 (B, 3, H, W) of any dtype.
        """

    def setup(self, data: Any) -> None:
        """Learn from the training data what the loss needs beforehand, such as how frequent classes are.

        Called on every process when a training starts, after `data`, the LightningDataModule in use (None if there is
        none), was set up and before the first step; not when one is resumed or in evaluation: what was learned lives in
        buffers, which checkpoints keep. It must come to the same values everywhere.
        """

    @property
    def has_flip_test(self) -> bool:
        """Whether outputs can be averaged with those of the mirrored image."""
        return type(self).unflip is not Head.unflip

    def unflip(self, outputs: Outputs) -> Outputs | None:
        """Return outputs of a mirrored image, mirrored back; None where the head has no flip test."""
        return None

    @abstractmethod
    def loss(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms, each a scalar; training minimises their sum."""

    def metrics(self, data: Any = None, stage: str = "train") -> "MetricCollection":
        """Fresh metrics for one stage (train, validate, test); `data` is the LightningDataModule in use, if any."""
        from torchmetrics import MetricCollection

        return MetricCollection({})

    def score(self, values: Mapping[str, float]) -> float:
        """How good the head is, 0 to 1, the higher the better; NaN where `values` do not tell.

        Of them all `val/score` is the mean, by which the best checkpoint is chosen: it should move whenever the model
        does. Without a definition of its own a head has a function of `monitor` that rises as that gets better.

        Args:
            values: of one validation or test, the metrics by name, and the loss as `loss`.
        """
        key, mode = self.monitor
        value = values.get(key, math.nan)
        return bounded(value if mode == "max" else -value)

    def can_evaluate(self, batch: Batch) -> bool:
        """Whether validation and test can tell anything of the head by this batch: it has the labels."""
        return all(key in batch for key in self.targets)

    def update(self, metrics: "MetricCollection", outputs: Outputs, batch: Batch) -> None:
        """Take one batch into `metrics`."""

    @abstractmethod
    def predict(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """Return what a user gets for each sample, in the units of docs/conventions.md.

        In pixels of the original image where the batch has `affine`, else of the network's input.
        """

    def draw(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        """One sample's prediction, or its labels under the same keys, on an RGB uint8 image (H, W, 3)."""
        return image

    def draw_unsure(self, image: np.ndarray, prediction: dict[str, Tensor]) -> np.ndarray:
        """As `draw`, and faintly what that leaves out because it scores too low: early in training, nearly all."""
        return self.draw(image, prediction)

    def remark(self, prediction: dict[str, Tensor]) -> str:
        """Return what a picture of one sample's prediction does not show, in a few words; empty for nothing."""
        return ""

    def counted_pixels(self, batch: Batch) -> Tensor | None:
        """Where labels count, (B, H, W) or (B, 1, H, W) bool; None where the batch does not say, or all of it does."""
        return batch["valid"] if self.uses_valid and "valid" in batch else None


class DecoderHead(Head):
    """A head whose network is a decoder: a chain of named stages on the deepest feature map.

    The stages become the head's own children, so that its parameters carry the released names
    (`deconv_layers.0.weight`, `conv_pose.bias`).

    Attributes:
        stages: names of those in the chain, the predictor last.
        recompute: which maps are computed again in the backward pass instead of kept; may be changed at any time.
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
        """Return the chain in pieces, the predictor last."""
        *chain, _ = self.stages
        return [*units_of(self.get_submodule(name) for name in chain), self.predictor]

    def predictor(self, x: Tensor) -> Tensor:
        """Return the last layer, and what enlarges its field where the decoder has such a part."""
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
    """Raw outputs for feature maps of images, RGB 0..255 (B, 3, H, W), which go along where the head asks for them."""
    return head(features, images) if head.uses_image else head(features)


def set_recompute(heads: Mapping[str, nn.Module], recompute: Recompute) -> None:
    """Let every head compute decoder maps again in the backward pass, by `stages` or `samples` (`run_units`), or not.

    Raises:
        SettingError: another word, or a head that cannot.
    """
    if recompute not in RECOMPUTE:
        raise SettingError(
            f"model.head_checkpointing: found {recompute!r}, expected one of {', '.join(RECOMPUTE)}"
        )
    for name, head in heads.items():
        if recompute != "none" and (not hasattr(head, "recompute") or has_batch_norm(head)):
            raise SettingError(
                f"model.head_checkpointing: {recompute} is not for head {name}, a {type(head).__name__}: "
                + ("its batch norms would" if has_batch_norm(head) else "it is no DecoderHead and cannot")
                + (" count every batch twice" if has_batch_norm(head) else " compute its maps again")
            )
        if hasattr(head, "recompute"):
            head.recompute = recompute  # type: ignore[assignment]  # of a DecoderHead or SharedDecoder


def bounded(value: float) -> float:
    """Any number as one of 0 to 1, which rises with it, 0.5 for 0; NaN stays NaN."""
    return (1 + (math.copysign(1, value) if math.isinf(value) else value / (1 + abs(value)))) / 2


def closeness(error: float) -> float:
    """Return an error of 0 or more as a score: 1 for none, 1/2 for 1, 0 for an infinite one."""
    return 1 / (1 + error)


def average(a: Outputs, b: Outputs) -> Outputs:
    """Mean of two heads' outputs of the same form."""
    if isinstance(a, dict):
        assert isinstance(b, dict)
        return {key: (value + b[key]) / 2 for key, value in a.items()}
    assert isinstance(b, Tensor)
    return (a + b) / 2
