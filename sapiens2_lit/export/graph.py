"""Capture a network as a graph with a batch of any size, for the two formats that hold graphs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from sapiens2_lit.decoders.shared import NAME
from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.network import INPUT, ExportNetwork
from sapiens2_lit.export.plan import Options
from sapiens2_lit.export.tasks import choose_heads
from sapiens2_lit.export.verify import random_images
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.model import InferenceModel

BATCHES = (1, 3)  # sizes at which an export is compared; it is captured at 2


def network_of(model: InferenceModel, options: Options) -> tuple[ExportNetwork, dict[str, Head]]:
    """Return the network to capture, and its heads."""
    heads = choose_heads(dict(model.named_heads()), options.head)
    shared = model.shared_decoder if any(head.takes_shared for head in heads.values()) else None
    return ExportNetwork(model.backbone, heads if shared is None else {NAME: shared, **heads}), heads


def example(model: InferenceModel) -> Tensor:
    """Return images (2, 3, H, W) to capture a graph with; graphs would specialize on a batch of one."""
    return random_images(2, model.image_size).to(model.device)


def dynamic_shapes() -> dict[str, Any]:
    """Return the input's dynamic dimensions: the batch."""
    return {INPUT: {0: Dim("batch")}}


@torch.no_grad()
def signature(network: ExportNetwork, images: Tensor) -> dict[str, Any]:
    """Return names, types and shapes of input and outputs, for the manifest.

    Args:
        network: That was captured.
        images: RGB uint8 (B, 3, H, W).
    """
    answers = network(images)
    return {
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "shape": ["batch", *images.shape[1:]],
            "meaning": "RGB, 0..255",
        },
        "outputs": {
            name: {"dtype": str(value.dtype).removeprefix("torch."), "shape": ["batch", *value.shape[1:]]}
            for name, value in answers.items()
        },
    }


@contextmanager
def clear_errors(form: str, heads: dict[str, Head]) -> Iterator[None]:
    """Turn errors of capturing into ExportError with the names of the heads.

    Raises:
        ExportError: The network cannot be captured.
    """
    try:
        yield
    except (RuntimeError, TypeError, NotImplementedError) as error:
        if isinstance(error, ValueError):
            raise
        names = ", ".join(f"{name} ({type(head).__name__})" for name, head in heads.items())
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(
            f"--format {form}: the network with the heads {names} cannot be captured as a graph: {reason}\n"
            "Custom heads must not make decisions in Python that depend on tensors' values; --head NAME exports one "
            "head alone."
        ) from error
