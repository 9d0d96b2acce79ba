"""A picture that has been through the networks; what remains to be done needs none, and any thread may do it."""

from collections.abc import Callable

import torch

from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.views import Rendered


class Pending:
    """What is known of a picture, and the steps that are left.

    Attributes:
        prediction: of the picture, whole when `finish` has returned.
        rendered: what the networks will see, as far as it has been made beforehand.
        nbytes: of raw outputs that the steps hold.
    """

    def __init__(self, prediction: Prediction, rendered: Rendered | None = None) -> None:
        self.prediction = prediction
        self.rendered: Rendered = rendered or {}
        self.nbytes = 0
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        """Let `finish` do something behind all that was added before."""
        self._steps.append(step)

    @torch.inference_mode()
    def finish(self) -> Prediction:
        """Do what is left."""
        steps, self._steps = self._steps, []
        for step in steps:
            step()
        self.nbytes = 0
        return self.prediction
