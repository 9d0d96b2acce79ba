"""Simulate one training step on tensors without contents: what is alive at its fullest moment, and its purposes."""

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sapiens2_lit.backbones import rope
from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.heads.base import Batch
from sapiens2_lit.memory.batches import example_batch
from sapiens2_lit.memory.fused_kernels import gpu_kernels
from sapiens2_lit.memory.live_memory import LiveMemory
from sapiens2_lit.memory.repeated_blocks import RepeatedBlocks, fold_blocks
from sapiens2_lit.models.network import Network
from sapiens2_lit.models.normalize import constant
from sapiens2_lit.training.distillation.distiller import Distiller
from sapiens2_lit.training.distillation.teaching import Teaching
from sapiens2_lit.training.pretraining import decoder
from sapiens2_lit.training.pretraining.planned import PlannedPretraining

M = TypeVar("M", bound=nn.Module)
Moments = dict[str, Counter[str]]  # the fullest moment of each phase: bytes by purpose


def simulate_step(
    network: Network,
    batch_size: int,
    image_size: tuple[int, int],
    *,
    autocast: torch.dtype | None = None,
    weights: torch.dtype | None = None,
    keep_gradients: bool = False,
    gradient_share: float = 1.0,
    gpu: bool = True,
    fold: bool = True,
    distiller: Distiller | None = None,
) -> Moments:
    """Return the memory of one forward and backward pass, including gradients, without using any.

    Parameters and states of the optimizer are not included.

    Args:
        network: With `requires_grad` of its parameters as in training; on any device, also meta. It is not changed.
        batch_size: Images on this device.
        image_size: (height, width) of the images in pixels.
        autocast: Dtype of `trainer.precision: bf16-mixed`.
        weights: Dtype to which the backbone's parameters are converted before computing, as FSDP2 does.
        keep_gradients: Gradients of earlier batches are kept, as in accumulation.
        gradient_share: Share of each gradient, in float32, that stays on this device once it is ready.
        gpu: Simulate the kernels of a GPU; otherwise of a CPU.
        fold: Simulate one block of each run of equal blocks, which is equally exact and many times as fast.
        distiller: The teachers on the meta device.

    Returns:
        The fullest moments of the phases `backbone`, `head NAME`, `loss NAME` and `backward`.
    """
    pretrains = isinstance(network, PlannedPretraining)
    whole, times = fold_blocks(network.backbone) if fold and not pretrains else (network.backbone, [])
    heads = dict(network.named_heads())
    parts = dict(network.heads.items())
    with no_cached_tensors(), FakeTensorMode(allow_non_fake_inputs=True):
        if isinstance(network, PlannedPretraining):
            played: Network = network.played(
                lambda part, backbone: fake_copy(part, weights if backbone else None)
            )
        else:
            played = Network(
                fake_copy(whole, weights), {name: fake_copy(part) for name, part in parts.items()}
            )
        played.decoding = network.decoding
        taught = None if distiller is None else distiller.played(fake_copy_of_teacher)
        parameters = [p for p in played.parameters() if p.requires_grad]
        live = LiveMemory()
        live.know_weights(played.parameters())
        for teacher in () if taught is None else taught.teachers:
            live.know_weights(teacher.network.parameters())
        blocks = list(played.backbone.blocks) if times else []
        folds = RepeatedBlocks(live, blocks, times, gradient_share, fresh=not keep_gradients)
        batch = (
            played.example(batch_size, image_size)
            if isinstance(played, PlannedPretraining)
            else example_batch(heads.values(), batch_size, image_size)
        )
        with live, gpu_kernels(whole) if gpu else nullcontext():
            live.purpose = "batch"
            batch = {key: value.clone() for key, value in batch.items()}  # counted, as it is on the device
            waiting = (
                [] if gpu else [value.clone() for value in batch.values()]
            )  # the loader is one batch ahead
            # Lightning frees the gradients of the step before only after the forward pass
            for parameter in parameters:
                parameter.grad = torch.empty_like(parameter)
                folds.count_gradient(parameter)
            loss = forward(played, batch, autocast, live, taught)
            folds.refresh()
            for parameter in parameters:
                if not keep_gradients:
                    parameter.grad = None
                parameter.register_post_accumulate_grad_hook(folds.count_new_gradient)
            with live.during("backward"):
                loss.backward()
                folds.end_backward()
            del loss, waiting
        return {phase: by_kind(purposes) for phase, purposes in live.peak.items()}


def forward(
    network: Network,
    batch: Batch,
    autocast: torch.dtype | None,
    live: LiveMemory,
    distiller: Distiller | None = None,
) -> Tensor:
    """Return the sum of all heads' losses as `training_step` computes it, a scalar.

    Args:
        network: The network.
        batch: Its batch.
        autocast: Dtype of autocast; None without it.
        live: The memory that is tracked.
        distiller: The teachers, if any.
    """
    with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
        if isinstance(network, PlannedPretraining):
            return network.step(batch, live.during)
        teaching = Teaching(None if distiller is None else distiller.settings)
        teaching.distiller = distiller
        with live.during("teacher", "answers"):
            (answer,) = teaching.answers(batch)
        with live.during("backbone"):
            features = network.features(batch["image"])
        with live.during("head shared_decoder"):
            decoded = network.decode(features, batch["image"])
        terms: list[Tensor] = []
        for name, head in network.named_heads():
            with live.during(f"head {name}"):
                outputs = network.run_head(head, decoded, batch["image"])
            with live.during(f"loss {name}"):
                terms += head.loss(outputs, batch).values()
                terms += teaching.head_terms(name, head, outputs, answer, batch).values()
        with live.during("loss teacher_tokens"):
            for one in teaching.token_terms(features, answer, lambda name, maps: maps).values():
                terms += one.values()
        return torch.stack(terms).sum()


def fake_copy(network: M, dtype: torch.dtype | None = None) -> M:
    """Return the network with empty parameters, in `dtype`, and buffers on a CPU; call it inside a FakeTensorMode."""
    tensors: dict[int, Tensor] = {}
    for parameter in network.parameters():
        empty = torch.empty(parameter.shape, dtype=dtype or parameter.dtype, device="cpu")
        tensors[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    for buffer in network.buffers():
        tensors[id(buffer)] = torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu")
    return copy.deepcopy(network, tensors).train()


def fake_copy_of_teacher(part: M, dtype: torch.dtype | None = None) -> M:
    """Return a fake copy with one block for each run of equal blocks, for teachers.

    Without gradients, each block frees what the one before it made.
    """
    folded = fold_blocks(part)[0] if isinstance(part, Backbone) else part
    return fake_copy(folded, dtype)  # type: ignore[return-value]  # a folded backbone keeps its class


@contextmanager
def no_cached_tensors() -> Iterator[None]:
    """Clear caches before and after, so that neither fake nor real tensors are used where they must not be."""
    caches = (rope._build_once, decoder._build_once, constant)
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        for cache in caches:
            cache.cache_clear()


def by_kind(purposes: Mapping[str, int]) -> Counter[str]:
    """Sum bytes by the first word of their purpose, so that all heads are together."""
    kinds: Counter[str] = Counter()
    for purpose, size in purposes.items():
        kinds[purpose.split(" ")[0] if purpose.startswith(("head", "loss")) else purpose] += size
    return kinds
