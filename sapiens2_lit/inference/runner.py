"""Pass views through the networks in batches, into the predictions of their images."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from sapiens2_lit.heads.base import Outputs
from sapiens2_lit.inference.assemble import CropOwnership, FoundByHead, batch_of
from sapiens2_lit.inference.confidence import Pair
from sapiens2_lit.inference.inputs import RGB
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.pending import Pending
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.views import Rendered, View
from sapiens2_lit.models.multi_scale import Size


class Runner:
    """A model with its evaluation settings.

    Args:
        model: Backbone and heads.
        batch_size: Views that pass through the networks at a time.
        flip: Average with the mirrored images, for heads that can.
        sizes: Input sizes to average over, for heads that can.
        confidence: Fill `Prediction.confidences`, and make results depend on their own picture alone, bit for bit:
            batches are padded to full size, since networks round differently on smaller ones.
    """

    def __init__(
        self, model: InferenceModel, batch_size: int, flip: bool, sizes: list[Size], confidence: bool = False
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.flip = flip
        self.sizes = sizes
        self.confidence = confidence

    def run(
        self,
        names: Sequence[str],
        views: Sequence[View],
        images: Sequence[RGB],
        predictions: Sequence[Prediction],
    ) -> None:
        """Pass all views through the named heads, and complete the predictions.

        Args:
            names: Of heads.
            views: Of the images, each with its image's index.
            images: RGB uint8 (H, W, 3).
            predictions: Of the images; changed in place.
        """
        pending = [Pending(prediction) for prediction in predictions]
        self.start(names, views, images, pending)
        for one in pending:
            one.finish()

    @torch.inference_mode()
    def start(
        self,
        names: Sequence[str],
        views: Sequence[View],
        images: Sequence[RGB],
        pending: Sequence[Pending],
    ) -> None:
        """Pass all views through the backbone once and through the named heads; `pending` gets the remaining steps.

        Args:
            names: Of heads.
            views: Of the images, each with its image's index.
            images: RGB uint8 (H, W, 3).
            pending: Of the images.
        """
        claims = [CropOwnership(one.prediction.image_size) for one in pending]
        for start in range(0, len(views), self.batch_size):
            self._start_batch(names, views[start : start + self.batch_size], images, pending, claims)

    def _start_batch(
        self,
        names: Sequence[str],
        views: Sequence[View],
        images: Sequence[RGB],
        pending: Sequence[Pending],
        claims: Sequence[CropOwnership],
    ) -> None:
        missing = self.batch_size - len(views) if self.confidence else 0
        seen = [*views, *[views[-1]] * missing]

        def render(size: Size) -> Tensor:
            own = [rendered(view, images[view.image], pending[view.image].rendered, size) for view in views]
            pixels = np.stack([*own, *[own[-1]] * missing])
            return torch.from_numpy(pixels).to(self.model.device).permute(0, 3, 1, 2).contiguous()

        inputs = render(self.model.image_size)
        pairs: dict[str, Pair] = {}
        outputs = self.model.evaluate(
            inputs,
            names,
            flip=self.flip,
            sizes=self.sizes,
            render=render,
            pairs=pairs if self.confidence else None,
        )
        batch = batch_of(inputs, seen)
        heads = {name: head for name, head in self.model.named_heads() if name in names}
        dense = any(not head.top_down for head in heads.values())
        size = sum(nbytes(outputs[name]) for name in heads) // len(views)
        size += sum(nbytes(one) for pair in pairs.values() for one in pair) // len(views)
        found = {
            name: FoundByHead(name, head, outputs[name], batch, seen, self.confidence, pairs.get(name))
            for name, head in heads.items()
        }
        for index, view in enumerate(views):
            one = pending[view.image]
            one.nbytes += size
            taken = claims[view.image].take(view) if dense and not view.whole else None
            for name, head in heads.items():
                if head.top_down:
                    one.add(partial(found[name].add_person, index, one.prediction))
                else:
                    one.add(partial(found[name].add_maps, index, one.prediction, taken))


def rendered(view: View, image: RGB, known: Rendered, size: Size) -> RGB:
    """Return a network's input for an image (h, w, 3): rendered beforehand, or now.

    Args:
        view: Of the image.
        image: RGB uint8 (H, W, 3).
        known: Inputs rendered beforehand.
        size: (h, w) of the input.
    """
    found = known.get(view.key((size[0], size[1])))
    return view.render(image, size) if found is None else found


def nbytes(outputs: Outputs) -> int:
    """Return the bytes of all tensors in a head's outputs."""
    tensors = outputs.values() if isinstance(outputs, dict) else [outputs]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
