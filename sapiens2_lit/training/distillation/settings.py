"""Settings of a teacher in the loop."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from sapiens2_lit.errors import SettingError

FEATURES, RELATIONS = (
    "teacher_features",
    "teacher_relations",
)  # names of these losses beside those of the heads
Precision = Literal["auto", "float32", "bf16"]


@dataclass(frozen=True)
class Teacher:
    """A trained model whose answers the heads learn (knowledge distillation, arXiv:1503.02531).

    Args:
        weights: of the teacher, as `--model` of predict takes them: a run, a checkpoint, a task model as a file, a
            folder or a hub id. Several where each teaches tasks of its own; features are those of the first.
        heads: which heads it teaches, with the weight of each one's soft loss beside its loss of labels; a list for
            weights of 1; null for every head whose task the teacher has.
        features: weight of the loss of feature maps, through a linear projection; 0 leaves it out.
        relations: weight of the loss of similarities between tokens; 0 leaves it out.
        temperature: of classes, in the teacher's and the student's softmax.
        relation_temperature: of the softmax over similarities, which are cosines.
        image_size: (height, width) at which the teacher sees the images; null for its own.
        precision: in which it computes: `float32`, `bf16`, or `auto` for bf16 on CUDA.
        cache: folder for its answers, in half precision, where images are not varied at random; null computes them
            every time.
        cache_limit_gb: greatest size of the cache in GB; it is announced before it is made.
        backbone: where the pretrained backbone of a checkpoint is that holds only what was trained, if it has moved.

    Raises:
        SettingError: a setting is out of range, or nothing is taught.
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
        """Weights by head; None for every head that it can teach."""
        if self.heads is None or isinstance(self.heads, dict):
            return self.heads
        return dict.fromkeys(self.heads, 1.0)

    @property
    def token_losses(self) -> dict[str, float]:
        """Weights of the losses that are of no head, those above 0, by name."""
        found = {FEATURES: self.features, RELATIONS: self.relations}
        return {name: weight for name, weight in found.items() if weight > 0}

    def loss_names(self, heads: Iterable[str]) -> list[str]:
        """Names of all losses that are weighed against each other: those of the heads, and of tokens."""
        return [*heads, *self.token_losses]


def expect_weight(setting: str, value: float) -> None:
    """Raise SettingError where a weight is negative or not finite."""
    if not (value >= 0 and isfinite(value)):
        raise SettingError(f"model.teacher.{setting}: found {value}, expected a weight of 0 or more")
