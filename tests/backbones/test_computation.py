"""How the backbone computes: compiled, checkpointed, in lower precision, in inference mode."""

import copy

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.backbones import tokenizer as tokenizer_module

GROUPED = BackboneSize(32, 18, 2, 64, 1)  # two middle blocks share keys


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def gradients(model: Sapiens2, images: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    sum(feature_map.square().mean() for feature_map in model(images)).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("window_tokenizer", [False, True])
@pytest.mark.parametrize("rope_dtype", ["float32", "bfloat16"])
def test_whole_backbone_compiles_without_graph_breaks(
    window_tokenizer: bool, rope_dtype: str, images: Tensor
) -> None:
    torch._dynamo.reset()
    model = Sapiens2("test", (64, 64), window_tokenizer=window_tokenizer, rope_dtype=rope_dtype)
    counter = CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    assert torch.allclose(compiled(images)[0], model(images)[0], atol=1e-6)
    assert counter.frame_count == 1


@pytest.mark.slow
@pytest.mark.parametrize("again", [False, True])
def test_blocks_compiled_in_place_keep_names_and_results(again: bool, images: Tensor) -> None:
    torch._dynamo.reset()
    model = Sapiens2("test", (64, 64), activation_checkpointing=again)
    expected, names = gradients(model, images), list(model.state_dict())
    for block in model.blocks:
        block.compile(fullgraph=True, backend="aot_eager")
    assert list(model.state_dict()) == names
    for name, gradient in gradients(model, images).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("autocast", [False, True])
def test_checkpointing_saves_memory_and_changes_no_gradient(autocast: bool, images: Tensor) -> None:
    model = Sapiens2(BackboneSize(32, 6, 2, 64, 1), (64, 64))
    kept: dict[bool, int] = {}
    found: dict[bool, dict[str, Tensor]] = {}
    for again in (False, True):
        model.activation_checkpointing = again
        saved: set[int] = set()

        def keep(tensor: Tensor, saved: set[int] = saved) -> Tensor:
            saved.add(tensor.untyped_storage().data_ptr())
            return tensor

        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found[again] = gradients(model, images)
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                model(images)
        kept[again] = len(saved)
    for name, gradient in found[True].items():
        assert torch.equal(gradient, found[False][name]), name
    assert kept[True] < kept[False] / 4


def test_frozen_blocks_run_under_checkpointing(images: Tensor) -> None:
    model = Sapiens2("test", (64, 64), activation_checkpointing=True).requires_grad_(False)
    model.blocks[1].requires_grad_(True)
    model(images)[0].sum().backward()
    assert model.blocks[1].ffn.w3.weight.grad.abs().sum() > 0
    assert model.blocks[0].ffn.w3.weight.grad is None


def test_windows_in_chunks_equal_windows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sapiens2("test", (128, 128), window_tokenizer=True)
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    expected = gradients(model, images)
    calls = []

    def counted(function, *args, **settings):
        calls.append(args[0].shape[0])
        return checkpoint(function, *args, **settings)

    monkeypatch.setattr(tokenizer_module, "CHUNK", 3)
    monkeypatch.setattr(tokenizer_module, "checkpoint", counted)
    found = gradients(model, images)
    assert calls == [3, 3, 2]  # eight windows, computed again in the backward pass
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        model(images)
    assert len(calls) == 3


def test_each_window_becomes_its_own_cell() -> None:
    """Changing one window of the image changes the tokenizer's output in that cell alone."""
    model = Sapiens2("test", (128, 192), window_tokenizer=True).eval()
    images = torch.randn(1, 3, 128, 192, generator=torch.Generator().manual_seed(0))
    changed = images.clone()
    changed[:, :, 64:, 128:] += 1
    with torch.no_grad():
        before, after = (model.tokenizer(model.patch_embed(x), (8, 12)) for x in (images, changed))
    moved = (before - after).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == [False] * 5 + [True]


def test_bfloat16_autocast_stays_close_and_keeps_the_shortcut_exact(images: Tensor) -> None:
    model = Sapiens2(GROUPED, (64, 64)).eval()
    exact = model(images)[0]
    inputs = []
    handle = model.blocks[-1].register_forward_pre_hook(lambda _, args: inputs.append(args[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        found = model(images)[0]
    handle.remove()
    assert inputs == [torch.float32]
    assert found.dtype == torch.bfloat16
    assert (found - exact).norm() / exact.norm() < 0.02


def test_whole_bfloat16_model_runs(images: Tensor) -> None:
    model = Sapiens2(GROUPED, (64, 64)).eval()
    exact = model(images)[0]
    found = model.to(torch.bfloat16)(images.bfloat16())[0]
    assert (found - exact).norm() / exact.norm() < 0.05


def test_inference_mode_does_not_spoil_later_training(images: Tensor) -> None:
    model = Sapiens2("test", (48, 80))
    with torch.inference_mode():
        model(images[:, :, :48].repeat(1, 1, 1, 2)[..., :80])
    assert gradients(model, torch.randn(1, 3, 48, 80))["blocks.0.attn.wq.weight"].isfinite().all()


def test_copies_compute_the_same(images: Tensor) -> None:
    model = Sapiens2("test", (64, 64))
    assert torch.equal(copy.deepcopy(model)(images)[0], model(images)[0])
