"""Stop training before losses or gradients that are not finite reach the weights."""

import lightning as L
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from sapiens2_lit.errors import TrainingError


class FiniteWatch:
    """Remembers the losses of one optimizer step with their samples; reading them earlier would wait for the device."""

    def __init__(self) -> None:
        self.window: list[tuple[Tensor, list[str]]] = []

    def add(self, loss: Tensor, samples: list[str]) -> None:
        """Remember the loss of one batch, a scalar, and the names of its samples."""
        self.window.append((loss.detach(), samples))

    def check(self, norm: Tensor, trainer: L.Trainer) -> None:
        """Check one step by the norm of its gradients, which is the same on every rank, so that all ranks stop.

        Args:
            norm: Norm of all gradients, a scalar.
            trainer: The Trainer; with scaled losses, its scaler skips steps whose gradients overflow.

        Raises:
            TrainingError: A loss or the norm is not finite; the message names the samples whose loss is not.
        """
        window, self.window = self.window, []
        precision = trainer.precision_plugin
        scaled = isinstance(precision, MixedPrecision) and precision.scaler is not None
        if (scaled and all(loss.isfinite() for loss, _ in window)) or norm.isfinite():
            return
        samples = [sample for loss, names in window if not loss.isfinite() for sample in names]
        found = (
            "a loss is not finite"
            if samples
            else "gradients are not finite, though this process's losses are"
        )
        raise TrainingError(
            f"step {trainer.global_step}: {found}; this step changed no weights.\n"
            + "".join(f"  {sample}\n" for sample in samples)
            + "Look at the labels of these samples, or lower the learning rate (--model.optimizer.lr)."
        )
