"""Light decoders: shapes, cost beside the released ones, how fields become large, where the image takes part."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from sapiens2_lit.decoders import LightDecoder, build_decoder
from sapiens2_lit.decoders.convex import ConvexUpsampler
from sapiens2_lit.errors import SettingError

CHANNELS = {"pose": 308, "seg": 29, "normal": 3, "pointmap": 3, "albedo": 3, "depth": 1, "matting": 4}
WIDTH_OF_04B = 1024


def released(task: str) -> nn.Module:
    return build_decoder(
        task, WIDTH_OF_04B, CHANNELS[task], "deconv" if task in ("pose", "seg") else "pixel_shuffle"
    )


def cost(decoder: nn.Module) -> tuple[int, int]:
    """Operations of a pass at 1024 x 768, and bytes that it keeps for the backward pass, without weights and input."""
    features, images = torch.zeros(1, WIDTH_OF_04B, 64, 48, requires_grad=True), torch.zeros(1, 3, 1024, 768)
    own = {tensor.untyped_storage()._cdata for tensor in (*decoder.parameters(), features, images)}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with (
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        outputs = decoder(features, images) if isinstance(decoder, LightDecoder) else decoder(features)
    assert outputs.shape[-1] == 768 // (4 if outputs.shape[1] == CHANNELS["pose"] else 1)
    return counter.get_total_flops(), sum(kept.values())


@pytest.mark.parametrize("task", CHANNELS)
def test_they_take_a_tenth_of_the_released_operations_and_a_seventh_of_their_memory(task: str) -> None:
    """At 0.4B and 1024 x 768; the released decoder of classes is light already."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        light = cost(build_decoder(task, WIDTH_OF_04B, CHANNELS[task], "light"))
        other = cost(released(task))
    for name, (operations, kept) in (
        ("released", other),
        ("light", light),
    ):  # docs/decoders.md; shown by `pytest -s`
        print(f"{task} {name}: {operations / 1e12:.3f} TFLOP, {kept / 2**20:.0f} MiB kept")
    assert light[0] <= (0.5 if task == "seg" else 0.1) * other[0]
    assert light[1] <= (0.5 if task == "seg" else 0.15) * other[1]


@pytest.mark.parametrize("task", CHANNELS)
@pytest.mark.parametrize("width", [32, 1536])
def test_every_task_has_one_at_its_own_stride(task: str, width: int) -> None:
    decoder = build_decoder(task, width, 5, "light")
    stride = 4 if task == "pose" else 16
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    assert decoder.stride == stride
    assert decoder(torch.randn(2, width, 2, 3), images).shape == (2, 5, 2 * stride, 3 * stride)
    assert isinstance(decoder, LightDecoder) and decoder.stages[-1] == f"conv_{task}"


def test_a_fresh_upsampler_is_about_bilinear() -> None:
    upsampler = ConvexUpsampler(8)
    upsampler.start_bilinear()
    field = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(field, scale_factor=4, mode="bilinear")
    found = upsampler(field, torch.zeros(1, 8, 5, 7))
    inner = (..., slice(4, -4), slice(4, -4))  # beyond the border bilinear interpolation repeats cells, too
    assert (found - smooth)[inner].abs().max() < 0.2 * field.abs().max()
    assert (found - smooth)[inner].abs().mean() < 0.04


def test_upsampled_values_are_convex_combinations_of_the_nine_cells_about_them() -> None:
    """Against the formula, cell by cell; a constant stays one, whatever the map says."""
    upsampler, x, field = ConvexUpsampler(3), 5 * torch.randn(1, 3, 3, 4), torch.randn(1, 2, 3, 4)
    found = upsampler(field, x)
    weights = upsampler.weigh(x).view(9, 16, 3, 4).softmax(dim=0)
    padded = F.pad(field, (1, 1, 1, 1), mode="replicate")[0]
    for row in range(12):
        for column in range(16):
            cell, part = (row // 4, column // 4), (row % 4) * 4 + column % 4
            about = padded[:, cell[0] : cell[0] + 3, cell[1] : cell[1] + 3].flatten(1)
            expected = about @ weights[:, part, cell[0], cell[1]]
            torch.testing.assert_close(found[0, :, row, column], expected)
    constant = torch.full((1, 1, 3, 4), 2.5)
    torch.testing.assert_close(upsampler(constant, x), torch.full((1, 1, 12, 16), 2.5))


def test_the_image_itself_takes_part_where_edges_matter() -> None:
    features, images = torch.randn(1, 32, 2, 2), torch.randint(0, 256, (1, 3, 32, 32))
    normal, pose = build_decoder("normal", 32, 3, "light"), build_decoder("pose", 32, 3, "light")
    assert not torch.equal(normal(features, images), normal(features, 255 - images))
    assert torch.equal(pose(features), pose(features, images))


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(SettingError, match="predictor: found 'mix_layers'"):
        LightDecoder(8, (8, 8, 8), 1, "mix_layers", full_size=True, detail=True)


def test_cells_of_another_size_than_16_pixels_take_part() -> None:
    """As of the window tokenizer, whose cells are of 64."""
    decoder, images = build_decoder("normal", 32, 3, "light"), torch.randint(0, 256, (1, 3, 128, 64))
    features = torch.randn(1, 32, 2, 1)
    found = decoder(features, images)
    assert found.shape == (1, 3, 32, 16)
    assert not torch.equal(found, decoder(features, 255 - images))
