"""The released heads' numbers, reproduced."""

import pytest
import torch
from helpers import GOLDEN, fill, golden_json, normal
from safetensors.torch import load_file

from sapiens2_lit.decoders import DeconvDecoder, PixelShuffleDecoder

UP, CONV = (32, 24, 16, 16), (12, 8)
DECODERS = {
    "pose": lambda: DeconvDecoder(48, (32, 24), (24, 16), 17, "conv_pose"),
    "seg": lambda: DeconvDecoder(48, UP, (16, 16), 29, "conv_seg"),
    "normal": lambda: PixelShuffleDecoder(48, UP, CONV, 3, "conv_normal"),
    "albedo": lambda: PixelShuffleDecoder(48, UP, CONV, 3, "conv_albedo", norm="rms"),
    "pointmap": lambda: PixelShuffleDecoder(48, UP, CONV, 3, "conv_pointmap"),
}


@pytest.mark.parametrize("task", DECODERS)
def test_state_dict_has_the_released_names_and_shapes(task: str) -> None:
    released = golden_json("state_dict_heads.json")[task]
    expected = {name: shape for name, shape in released.items() if not name.startswith("scale_")}
    assert {name: list(tensor.shape) for name, tensor in DECODERS[task]().state_dict().items()} == expected


@pytest.mark.parametrize("task", DECODERS)
def test_outputs_equal_the_released_ones(task: str) -> None:
    decoder = DECODERS[task]()
    fill(decoder, 0.1)
    with torch.no_grad():
        found = decoder(normal("features", (1, 48, 16, 12)))
    assert found.shape[2:] == (16 * decoder.stride, 12 * decoder.stride)
    golden = load_file(GOLDEN / "heads.safetensors")[task]
    torch.testing.assert_close(found[..., ::4, ::4], golden, rtol=0, atol=1e-5)
