"""Hold a picture that has passed through the networks.

The remaining steps need no networks and can run in any thread.
"""

from collections.abc import Callable

import torch

from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.views import Rendered


class Pending:
    """The prediction of a picture so far, and the remaining steps.

    Attributes:
        prediction: Of the picture; complete when `finish` has returned.
        rendered: Inputs of the networks, as far as they were rendered beforehand.
        nbytes: Bytes of raw outputs that the steps hold.
    """

    def __init__(self, prediction: Prediction, rendered: Rendered | None = None) -> None:
        self.prediction = prediction
        self.rendered: Rendered = rendered or {}
        self.nbytes = 0
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        """Add a step that `finish` runs after all earlier ones."""
        self._steps.append(step)

    @torch.inference_mode()
    def finish(self) -> Prediction:
        """Run the remaining steps; return the prediction."""
        steps, self._steps = self._steps, []
        for step in steps:
            step()
        self.nbytes = 0
        return self.prediction
