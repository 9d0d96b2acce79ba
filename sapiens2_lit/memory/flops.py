"""Count the floating-point operations of a training step without doing them."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.memory.networks import Networks
from sapiens2_lit.memory.step import fake_copy, no_cached_tensors
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.pretraining.planned import PlannedPretraining

Shape = list[int]


@dataclass(frozen=True)
class TrainingFlops:
    """Floating-point operations of the forward and the backward pass for one image.

    Operations that are computed again in the backward pass are not included, so that utilization is model FLOPs
    utilization (MFU; Chowdhery et al., PaLM, appendix B).

    Attributes:
        backbone: The backbone with its backward pass, as far as it is trained, and a shared decoder, if there is one.
        heads: Each head with its backward pass.
        teacher: The teachers, which have no backward pass.
    """

    backbone: float
    heads: dict[str, float]
    teacher: float = 0.0

    def of(self, names: Iterable[str]) -> float:
        """Return the operations of a step that trains the heads `names`."""
        return self.backbone + self.teacher + sum(self.heads[name] for name in names)


def training_flops(networks: Networks, image_size: tuple[int, int]) -> TrainingFlops:
    """Count the operations for one image, in about a second.

    Args:
        networks: Networks on the meta device, without activation checkpointing (`empty_networks(...,
            checkpointing=False, head_checkpointing="none")`).
        image_size: (height, width).
    """
    if isinstance(networks.network, PlannedPretraining):
        return pretraining_flops(networks.network, image_size)
    with no_cached_tensors(), FakeTensorMode(allow_non_fake_inputs=True):
        parts = {name: fake_copy(part) for name, part in networks.network.heads.items()}
        network = Network(fake_copy(networks.backbone), parts)
        images = torch.zeros(1, 3, *image_size, dtype=torch.uint8)
        with counter() as count:
            features = network.decode(network.features(images), images)
            _backward(features)
        backbone = float(count.get_total_flops())
        inputs = [one.detach().requires_grad_(one.requires_grad) for one in features]
        found = {}
        for name, head in network.named_heads():
            with counter() as count:
                _backward(network.run_head(head, inputs, images))
            found[name] = float(count.get_total_flops())
        teacher = 0.0
        if (distiller := networks.distiller(gpu=True, sharded=False)) is not None:
            with counter() as count:
                distiller.played(fake_copy).ask(images)
            teacher = float(count.get_total_flops())
    return TrainingFlops(backbone, found, teacher)


def inference_flops(backbone: Backbone, image_size: tuple[int, int]) -> float:
    """Return the floating-point operations of a backbone's forward pass for one image of a size (height, width).

    A multiplication with an addition is two operations.
    """
    with no_cached_tensors(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        fake = fake_copy(backbone)
        with counter() as count:
            fake(torch.zeros(1, 3, *image_size))
    return float(count.get_total_flops())


def pretraining_flops(network: PlannedPretraining, image_size: tuple[int, int]) -> TrainingFlops:
    """Count all operations of a pretraining step for one image, listed as the backbone's."""
    with no_cached_tensors(), FakeTensorMode(allow_non_fake_inputs=True):
        played = network.played(lambda part, backbone: fake_copy(part))
        batch = played.example(2, image_size)  # some objectives need a second image in the batch
        with counter() as count:
            played.step(batch, lambda name: nullcontext()).backward()
    return TrainingFlops(count.get_total_flops() / 2, dict.fromkeys(network.heads, 0.0))


def counter() -> FlopCounterMode:
    """Return torch's counter of operations, with a correct formula for the backward pass of convolutions."""
    return FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten.convolution_backward: _conv_backward}
    )


def _conv_backward(
    grad_shape: Shape, x_shape: Shape, weight_shape: Shape, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count each gradient like the convolution; torch's formula multiplies the weight's by the number of groups."""
    *_, transposed, _output_padding, _groups, wanted = args
    once: int = conv_flop_count(x_shape, weight_shape, grad_shape, transposed=transposed)
    return once * sum(wanted[:2])


def _backward(outputs: object) -> None:
    sums = [leaf.sum() for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if sums:
        torch.stack(sums).sum().backward()
