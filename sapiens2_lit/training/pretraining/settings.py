"""Settings of the objective; defaults are from the Sapiens2 paper (arXiv:2604.21681, appendix A.1) if it has them.

Settings marked as unpublished have the values of related methods (MAE, DINO, DINOv2, SimCLR).
"""

from dataclasses import dataclass
from typing import Literal

from sapiens2_lit.errors import SettingError

Contrast = Literal["dino", "simclr"]


def expect(holds: bool, setting: str, found: object, expected: str) -> None:
    """Raise SettingError unless a condition holds.

    Args:
        holds: The condition.
        setting: Name of the setting below `model`.
        found: Its value.
        expected: What was expected, in words.
    """
    if not holds:
        raise SettingError(f"model.{setting}: found {found}, expected {expected}")


@dataclass(frozen=True)
class Reconstruction:
    """Masked autoencoding (MAE, arXiv:2111.06377).

    Args:
        weight: Weight of its loss.
        mask_ratio: Share of patches that the encoder does not see: floor(ratio * N) of N in every image.
        block_probability: Share of images that are masked in rectangular blocks (BEiT, arXiv:2106.08254); others are
            masked patch by patch.
        depth: Blocks of the decoder; null for 8, or 2 for backbones narrower than 768.
        width: Channels of the decoder; null for 512, or half the channels of a backbone narrower than 768.
        heads: Attention heads of the decoder (unpublished); null for one for every 32 channels, as in MAE.
        normalize_targets: Reconstruct each patch minus its mean, divided by its deviation.
    """

    weight: float = 1.0
    mask_ratio: float = 0.75
    block_probability: float = 0.4
    depth: int | None = None
    width: int | None = None
    heads: int | None = None
    normalize_targets: bool = True

    def __post_init__(self) -> None:
        expect(
            self.weight > 0, "mae.weight", self.weight, "a number above 0; `model.mae: null` leaves it out"
        )
        expect(0 < self.mask_ratio < 1, "mae.mask_ratio", self.mask_ratio, "above 0 and below 1")
        known = 0 <= self.block_probability <= 1
        expect(known, "mae.block_probability", self.block_probability, "a probability, 0 to 1")
        for name in ("depth", "width", "heads"):
            value = getattr(self, name)
            expect(value is None or value > 0, f"mae.{name}", value, "1 or more, or null")


@dataclass(frozen=True)
class Distillation:
    """Self-distillation of the class token without labels (DINO, arXiv:2104.14294), `model.contrast: dino`.

    Args:
        weight: Weight of its loss.
        koleo: Weight of KoLeo (arXiv:1806.03198) on the student's class tokens of the global views; 0 leaves it out.
        student_temperature: Temperature of the student's softmax.
        teacher_temperature: Temperature of the teacher's softmax, at first and from step `teacher_temperature_steps`
            on.
        teacher_temperature_steps: Optimizer steps in between.
        momentum: Momentum of the teacher, which is the average of encoder and head.
        center_momentum: Momentum of the mean of the teacher's outputs, which is subtracted from them.
        prototypes: Outputs of the head (unpublished); null for 65,536, or 4,096 for backbones narrower than 768.
        hidden: Channels in the head (unpublished); null for 2,048, or 4 times the channels of a backbone narrower than
            768.
        bottleneck: Channels before the last layer (unpublished); null for 256, or 64 for backbones narrower than 768.
        freeze_last_layer_steps: Optimizer steps in which the last layer does not learn (unpublished; DINO: an epoch),
            at most a tenth of the run.
    """

    weight: float = 0.4
    koleo: float = 0.04
    student_temperature: float = 0.1
    teacher_temperature: tuple[float, float] = (0.065, 0.07)
    teacher_temperature_steps: int = 1000
    momentum: float = 0.992
    center_momentum: float = 0.9
    prototypes: int | None = None
    hidden: int | None = None
    bottleneck: int | None = None
    freeze_last_layer_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("weight", "student_temperature"):
            expect(getattr(self, name) > 0, f"dino.{name}", getattr(self, name), "a number above 0")
        expect(self.koleo >= 0, "dino.koleo", self.koleo, "0 or more")
        low = min(self.teacher_temperature)
        expect(low > 0, "dino.teacher_temperature", self.teacher_temperature, "two numbers above 0")
        for name in ("momentum", "center_momentum"):
            expect(0 <= getattr(self, name) <= 1, f"dino.{name}", getattr(self, name), "0 to 1")
        for name in ("prototypes", "hidden", "bottleneck"):
            value = getattr(self, name)
            expect(value is None or value > 1, f"dino.{name}", value, "2 or more, or null")
        for name in ("teacher_temperature_steps", "freeze_last_layer_steps"):
            expect(getattr(self, name) >= 0, f"dino.{name}", getattr(self, name), "0 or more")

    def teacher_temperature_at(self, step: int) -> float:
        """Return the teacher's temperature at an optimizer step, counted from 0."""
        first, last = self.teacher_temperature
        done = min(1.0, step / max(1, self.teacher_temperature_steps))
        return first + (last - first) * done


@dataclass(frozen=True)
class InfoNCE:
    """Contrast of the class tokens of two views with those of all other images (SimCLR, arXiv:2002.05709).

    It is `model.contrast: simclr`, for comparison with methods that the paper compares itself with.

    Args:
        weight: Weight of its loss.
        temperature: Temperature of the softmax over similarities.
        hidden: Channels in the head; null for the backbone's channels.
        bottleneck: Channels of the compared vectors.
    """

    weight: float = 0.4
    temperature: float = 0.1
    hidden: int | None = None
    bottleneck: int = 128

    def __post_init__(self) -> None:
        for name in ("weight", "temperature", "bottleneck"):
            expect(getattr(self, name) > 0, f"simclr.{name}", getattr(self, name), "a number above 0")


@dataclass(frozen=True)
class Anchor:
    """Keeps features near those of the frozen start, on an unmasked part of each image.

    The loss is weight * (mean (1 - cos) of patch tokens + mean squared difference of their Gram matrices X X^T of unit
    vectors; Gram anchoring of DINOv3, arXiv:2508.10104).

    Args:
        weight: Weight of the loss.
        side: Sides of that part, as a share of the image's sides.
    """

    weight: float = 10.0
    side: float = 0.5

    def __post_init__(self) -> None:
        expect(
            self.weight > 0, "anchor.weight", self.weight, "a number above 0; `model.anchor: null` drops it"
        )
        expect(0 < self.side <= 1, "anchor.side", self.side, "above 0 to 1")
