"""Released decoders without gradients: the same results as module by module, in half of the memory."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sapiens2_lit.decoders import build_decoder, run_units, units_of
from sapiens2_lit.decoders import lean as lean_module
from sapiens2_lit.decoders.chain import Chain
from sapiens2_lit.memory.live_memory import LiveMemory

CHANNELS = {"pose": 308, "seg": 29, "normal": 3, "pointmap": 3, "albedo": 3, "depth": 1, "matting": 4}
WIDTH_OF_04B = 1024


def by_module(decoder: nn.Module, x: Tensor) -> Tensor:
    """As before: one module after the other, of which each keeps its input until its result is there."""
    *stages, predictor = decoder.children()
    for unit in [*units_of(stages), predictor]:
        x = unit(x)
    return x


def lean(decoder: nn.Module, x: Tensor) -> Tensor:
    *stages, predictor = decoder.children()
    return run_units([*units_of(stages), predictor], x)


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_module, "LARGE", 1)
    monkeypatch.setattr(lean_module, "_OVERLAP", 100)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("kind", ["deconv", "pixel_shuffle", "light"])
@pytest.mark.parametrize("task", CHANNELS)
@torch.no_grad()
def test_results_are_those_of_the_modules(task: str, kind: str) -> None:
    decoder = build_decoder(task, 768, CHANNELS[task], kind)  # type: ignore[arg-type]  # a parameter
    if kind == "light":
        decoder = decoder.light_layers.append(nn.Identity())  # type: ignore[union-attr, assignment]
    for size in ((1, 4, 3), (2, 5, 4)):
        x = torch.randn(size[0], 768, *size[1:])
        before = x.clone()
        expected = by_module(decoder, x)
        largest = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(lean(decoder, x), expected, rtol=0, atol=1e-5 * largest)
        assert torch.equal(x, before)  # other heads read it


@pytest.mark.usefixtures("everything_is_large")
@torch.no_grad()
def test_half_precision_is_as_close_to_float32_as_module_by_module() -> None:
    decoder, x = build_decoder("normal", 768, 3, "pixel_shuffle"), torch.randn(1, 768, 4, 3)
    exact = by_module(decoder, x)
    with torch.autocast("cpu", torch.bfloat16):
        errors = [(run(decoder, x).float() - exact).pow(2).mean() for run in (lean, by_module)]
    assert errors[0] < 1.2 * errors[1]


@pytest.mark.usefixtures("everything_is_large")
@torch.no_grad()
def test_hooks_see_every_layer() -> None:
    decoder, seen = build_decoder("normal", 48, 3, "pixel_shuffle"), []
    layers = [layer for layer in decoder.modules() if not isinstance(layer, nn.Sequential)]
    for layer in layers:
        layer.register_forward_hook(lambda module, *_: seen.append(module))
    lean(decoder, torch.randn(1, 48, 2, 2))
    assert seen == layers


def pointwise(channels: int) -> Chain:
    return Chain([nn.Conv2d(channels, channels, 1), nn.InstanceNorm2d(channels), nn.SiLU()])


@pytest.mark.usefixtures("everything_is_large")
@torch.no_grad()
def test_maps_of_others_stay_as_they_are() -> None:
    """Of whoever reads the input, which a first layer may hand on, or listens to a layer."""
    x = torch.randn(1, 8, 4, 4)
    before = x.clone()
    run_units([nn.Dropout2d().eval(), pointwise(8), nn.Conv2d(8, 3, 1)], x)
    assert torch.equal(x, before)
    first, seen = pointwise(8), []
    first.layers[2].register_forward_hook(lambda *given: seen.append((given[2], given[2].clone())))
    run_units([first, pointwise(8), nn.Conv2d(8, 3, 1)], x)
    ((kept, as_it_was),) = seen
    assert torch.equal(kept, as_it_was)


@pytest.mark.parametrize("task", CHANNELS)
def test_they_take_half_of_the_memory(task: str) -> None:
    """The fullest moment at 0.4B and 1024 x 768, without weights and the input; shown by `pytest -s`."""
    peaks = []
    for run in (by_module, lean):
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            decoder = build_decoder(task, WIDTH_OF_04B, CHANNELS[task], "auto")
            x = torch.zeros(1, WIDTH_OF_04B, 64, 48)
            memory = LiveMemory()
            memory.know_weights(decoder.parameters())
            with memory, memory.during("decoder"):
                run(decoder, x)
        peaks.append(sum(memory.peak["decoder"].values()))
    before, after = (peak / 2**20 for peak in peaks)  # docs/decoders.md
    print(f"{task}: {before:.0f} MiB module by module, {after:.0f} MiB, {after / before:.2f}")
    assert peaks[1] <= 0.5 * peaks[0]
