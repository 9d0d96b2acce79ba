"""Views through the networks, some at a time, into the predictions of their images."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.inference.assemble import CropOwnership, batch_of, collect_maps, collect_people
from sapiens2_lit.inference.inputs import RGB
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.views import View
from sapiens2_lit.models.multi_scale import Size


class Runner:
    """A model with the settings by which it is evaluated.

    Args:
        model: backbone and heads.
        batch_size: views that pass through the networks at a time.
        flip: average with the mirrored images, where a head can.
        sizes: of inputs to average over, where a head can.
    """

    def __init__(self, model: InferenceModel, batch_size: int, flip: bool, sizes: list[Size]) -> None:
        self.model = model
        self.batch_size = batch_size
        self.flip = flip
        self.sizes = sizes

    @torch.inference_mode()
    def run(
        self,
        names: Sequence[str],
        views: Sequence[View],
        images: Sequence[RGB],
        predictions: Sequence[Prediction],
    ) -> None:
        """All views through the heads called `names`; one pass of the backbone over them.

        Args:
            names: of heads.
            views: of the images, each by its image's place.
            images: RGB uint8 (H, W, 3).
            predictions: of the images, which take what is found.
        """
        claims = [CropOwnership(prediction.image_size) for prediction in predictions]
        for start in range(0, len(views), self.batch_size):
            self._run_batch(names, views[start : start + self.batch_size], images, predictions, claims)

    def _run_batch(
        self,
        names: Sequence[str],
        views: Sequence[View],
        images: Sequence[RGB],
        predictions: Sequence[Prediction],
        claims: Sequence[CropOwnership],
    ) -> None:
        def render(size: Size) -> Tensor:
            pixels = np.stack([view.render(images[view.image], size) for view in views])
            return torch.from_numpy(pixels).to(self.model.device).permute(0, 3, 1, 2).contiguous()

        inputs = render(self.model.image_size)
        outputs = self.model.evaluate(inputs, names, flip=self.flip, sizes=self.sizes, render=render)
        batch = batch_of(inputs, views)
        heads = {name: head for name, head in self.model.named_heads() if name in names}
        dense = any(not head.top_down for head in heads.values())
        taken = [claims[view.image].take(view) for view in views] if dense else []
        for name, head in heads.items():
            if head.top_down:
                people = collect_people(name, head, outputs[name], batch, views)
                for view, person in zip(views, people, strict=True):
                    predictions[view.image].instances.append(person)
            else:
                collect_maps(name, head, outputs[name], batch, views, taken, predictions)
