"""The learning rates of pretraining: warm-up, then a cosine; the backbone may start later than the heads."""

import math
from collections.abc import Callable
from typing import Any

from lightning.pytorch.cli import OptimizerCallable

from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.optimizer import Optimization

NOT_BACKBONE = ("heads", "balance")  # names of groups, up to the first dot


class PretrainOptimization(Optimization):
    """The optimizer of a pretraining.

    Args:
        optimizer: See `Optimization`.
        layer_decay: See `Optimization`.
        backbone_lr: See `Optimization`.
        head_lr: See `Optimization`.
        warmup_steps: See `Optimization`.
        final_lr: Learning rate at the end of the cosine.
        decoder_first_steps: Optimizer steps in which the backbone does not learn; it has its own warm-up after them.

    Raises:
        SettingError: A setting is out of range.
    """

    def __init__(
        self,
        optimizer: OptimizerCallable,
        layer_decay: float,
        backbone_lr: float,
        head_lr: float,
        warmup_steps: int,
        final_lr: float,
        decoder_first_steps: int,
    ) -> None:
        super().__init__(optimizer, layer_decay, backbone_lr, head_lr, warmup_steps)
        for setting, value in (("final_lr", final_lr), ("decoder_first_steps", decoder_first_steps)):
            if value < 0:
                raise SettingError(f"model.{setting}: found {value}, expected 0 or more")
        self.final_lr, self.decoder_first_steps = final_lr, decoder_first_steps

    def schedule(self, group: dict[str, Any], steps: float) -> Callable[[int], float]:
        part = str(group["name"]).partition(".")[0]
        waits = 0 if part in NOT_BACKBONE else self.decoder_first_steps
        last = self.final_lr / max(float(group["lr"]), 1e-12)
        return warmup_then_cosine(self.warmup_steps, steps, min(1.0, last), waits)


def warmup_then_cosine(
    warmup_steps: int, total_steps: float, last: float, waits: int = 0
) -> Callable[[int], float]:
    """Return the learning-rate factor by optimizer step: 0 at first, from 1e-3 up to 1, then a cosine to `last`.

    The warm-up takes at most a tenth of the run. An endless run stays at 1 after the warm-up.

    Args:
        warmup_steps: Steps of the warm-up.
        total_steps: Steps of the run.
        last: The factor at the end.
        waits: Steps at the beginning with a factor of 0.
    """
    warmup = warmup_steps if math.isinf(total_steps) else min(warmup_steps, total_steps // 10)

    def factor(step: int) -> float:
        if step < waits:
            return 0.0
        rise = min(1.0, 1e-3 + (1 - 1e-3) * (step - waits) / warmup) if warmup else 1.0
        if math.isinf(total_steps) or step < warmup:
            return rise
        done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
        return rise * (last + (1 - last) * 0.5 * (1 + math.cos(math.pi * done)))

    return factor
