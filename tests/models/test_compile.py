"""Backbone and decoders as compilers and CUDA graphs want them: one graph each, no look at values, static shapes."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.decoders import Decoding
from sapiens2_lit.decoders.shared import with_shared_decoder
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.models.network import Network

SIZE = (64, 48)
HEADS: dict[str, Callable[..., nn.Module]] = {
    "pose": partial(PoseHead, skeleton="coco17"),
    "seg": SegmentationHead,
    "normal": NormalHead,
    "pointmap": partial(PointmapHead, image_size=SIZE),
    "albedo": AlbedoHead,
    "depth": DepthHead,
    "matting": MattingHead,
}
# what a CUDA graph cannot hold: sizes, or ways to go, that depend on values
LOOKS_AT_VALUES = ("nonzero", "_local_scalar_dense", "masked_select", "unique", ".item", "sym_size")


def images() -> Tensor:
    return torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def network(decoder: str) -> Network:
    torch.manual_seed(0)
    backbone = Sapiens2("test", SIZE)
    heads = {
        name: partial(make, decoder="light" if decoder == "shared" and name == "pose" else decoder)
        for name, make in HEADS.items()
    }
    made = with_shared_decoder(heads) if decoder == "shared" else heads
    return Network(backbone, {name: make(backbone.embed_dim) for name, make in made.items()})


def leaves(outputs: object) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]


@pytest.mark.parametrize(
    ("decoder", "gradients"),
    [("auto", True), ("auto", False), ("light", True), ("shared", True), ("shared", False)],
)
def test_the_whole_network_is_one_graph_that_looks_at_no_value(decoder: str, gradients: bool) -> None:
    torch._dynamo.reset()
    model, seen = network(decoder), []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., object]:
        seen.append(str(graph.graph))
        return graph.forward

    with torch.set_grad_enabled(gradients):
        compiled = torch.compile(model, fullgraph=True, dynamic=False, backend=backend)
        found, expected = compiled(images()), model(images())
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    (graph,) = seen
    assert not [word for word in LOOKS_AT_VALUES if word in graph]


@pytest.mark.parametrize("recompute", ["none", "samples"])
def test_decoders_compiled_in_place_keep_names_and_gradients(recompute: str) -> None:
    torch._dynamo.reset()
    model = network("shared")
    for part in model.heads.values():
        if hasattr(part, "recompute"):
            part.recompute = recompute

    def gradients() -> dict[str, Tensor]:
        model.zero_grad()
        torch.stack([leaf.square().mean() for leaf in leaves(model(images()))]).sum().backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    expected, names = gradients(), list(model.state_dict())
    counter = CompileCounter()
    for part in model.heads.values():
        part.compile(backend=counter, fullgraph=True)
    found = gradients()
    assert list(model.state_dict()) == names and counter.frame_count >= len(model.heads)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_real_compiler_computes_the_same() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    backbone = Sapiens2("test", SIZE)
    model = Network(backbone, {"normal": NormalHead(backbone.embed_dim, decoder="light")}).eval()
    with torch.no_grad():
        expected = leaves(model(images()))
        model.heads["normal"].compile(fullgraph=True)  # blocks: tests/backbones/test_computation.py
        found = leaves(model(images()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("decoder", ["auto", "light", "shared"])
@pytest.mark.parametrize("gradients", [True, False])
def test_channels_last_changes_no_result(decoder: str, gradients: bool) -> None:
    model = network(decoder)
    with torch.set_grad_enabled(gradients):
        expected = leaves(model(images()))
        model.decoding = Decoding(channels_last=True)
        model.decoding.prepare(model.heads.values())
        found = leaves(model(images()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_decoders_alone_compute_in_bfloat16() -> None:
    model, seen = network("auto"), dict[str, torch.dtype]()

    def note(
        name: str, output: Tensor
    ) -> None:  # a hook that returned something would put it in the output's place
        seen[name] = output.dtype

    for name in ("seg", "normal"):
        model.heads[name].get_submodule(model.heads[name].stages[-1]).register_forward_hook(
            lambda layer, inputs, output, name=name: note(name, output)
        )
    model.backbone.register_forward_hook(lambda layer, inputs, maps: note("backbone", maps[-1]))
    model.decoding = Decoding("bf16")
    model(images())
    assert seen == {"backbone": torch.float32, "seg": torch.bfloat16, "normal": torch.float32}


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"model\.decoding\.precision: found 'fp8', expected one of same, bf16"
    ):
        Decoding("fp8")  # type: ignore[arg-type]
