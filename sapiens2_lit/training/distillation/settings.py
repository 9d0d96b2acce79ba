"""Settings of a teacher during training."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from sapiens2_lit.errors import SettingError

FEATURES, RELATIONS = (
    "teacher_features",
    "teacher_relations",
)  # names of these losses, beside the names of heads
Precision = Literal["auto", "float32", "bf16"]


@dataclass(frozen=True)
class Teacher:
    """A trained model whose answers the heads learn (knowledge distillation, arXiv:1503.02531).

    Args:
        weights: The teacher, as `--model` of predict takes it: a run, a checkpoint, or a task model as a file, a folder
            or a hub id. Several teachers may each teach other tasks; features are taught by the first.
        heads: The heads that it teaches, each with the weight of its soft loss beside the loss of labels; a list for
            weights of 1; null for every head whose task the teacher has.
        features: Weight of the loss of feature maps, through a linear projection; 0 leaves it out.
        relations: Weight of the loss of similarities between tokens; 0 leaves it out.
        temperature: Temperature of classes, in the teacher's and the student's softmax.
        relation_temperature: Temperature of the softmax over similarities, which are cosines.
        image_size: (height, width) at which the teacher sees the images; null for the size that it was trained at.
        precision: Precision of the teacher: `float32`, `bf16`, or `auto` for bf16 on CUDA.
        cache: Folder for its answers in half precision, for images without random augmentation; null computes them
            every time.
        cache_limit_gb: Greatest size of the cache in GB; the size is announced before the cache is created.
        backbone: Where the pretrained backbone is, if the teacher's checkpoint holds only what was trained and the
            backbone has moved.

    Raises:
        SettingError: A setting is out of range, or nothing is taught.
    """

    weights: str | list[str]
    heads: dict[str, float] | list[str] | None = None
    features: float = 0.0
    relations: float = 0.0
    temperature: float = 2.0
    relation_temperature: float = 0.07
    image_size: tuple[int, int] | None = None
    precision: Precision = "auto"
    cache: str | None = None
    cache_limit_gb: float = 50.0
    backbone: str | None = None

    def __post_init__(self) -> None:
        if not self.sources or not all(self.sources):
            raise SettingError(
                "model.teacher.weights: found none, expected a run, a checkpoint or a task model such as "
                "facebook/sapiens2-seg-1b"
            )
        for name, weight in (self.head_weights or {}).items():
            expect_weight(f"heads.{name}", weight)
        expect_weight("features", self.features)
        expect_weight("relations", self.relations)
        for name in ("temperature", "relation_temperature"):
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise SettingError(f"model.teacher.{name}: found {value}, expected a number above 0")
        if self.head_weights == {} and not self.token_losses:
            raise SettingError(
                "model.teacher: it teaches nothing: heads is empty, features and relations are 0; "
                "expected a weight above 0, or model.teacher: null"
            )
        if self.cache is None and self.cache_limit_gb != 50.0:
            raise SettingError(
                "model.teacher.cache_limit_gb has no effect without model.teacher.cache, a folder"
            )

    @property
    def sources(self) -> list[str]:
        """The weights as a list."""
        return [self.weights] if isinstance(self.weights, str) else list(self.weights)

    @property
    def head_weights(self) -> dict[str, float] | None:
        """Weights by head; None for every head that can be taught."""
        if self.heads is None or isinstance(self.heads, dict):
            return self.heads
        return dict.fromkeys(self.heads, 1.0)

    @property
    def token_losses(self) -> dict[str, float]:
        """Weights above 0 of the losses that belong to no head, by name."""
        found = {FEATURES: self.features, RELATIONS: self.relations}
        return {name: weight for name, weight in found.items() if weight > 0}

    def loss_names(self, heads: Iterable[str]) -> list[str]:
        """Return the names of all losses that are weighted against each other: of heads and of tokens."""
        return [*heads, *self.token_losses]


def expect_weight(setting: str, value: float) -> None:
    """Check that a weight is finite and not negative.

    Raises:
        SettingError: It is not.
    """
    if not (value >= 0 and isfinite(value)):
        raise SettingError(f"model.teacher.{setting}: found {value}, expected a weight of 0 or more")
