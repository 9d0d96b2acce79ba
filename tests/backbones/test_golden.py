"""The released implementation's numbers, reproduced."""

import pytest
import torch
from helpers import GOLDEN, fill, golden_json, normal
from safetensors.torch import load_file

from sapiens2_lit.backbones import Sapiens2

ONES = ("ln1.weight", "ln2.weight", "q_norm.weight", "k_norm.weight", "gamma.weight")
CASES = {  # size, window tokenizer, input, deviation of the weights
    "tiny": ("tiny", False, (1, 3, 128, 96), 0.05),
    "tiny_4k": ("tiny", True, (1, 3, 256, 192), 0.05),
    "0.1b": ("0.1b", False, (1, 3, 256, 192), 0.02),
}


@pytest.mark.parametrize("case", CASES)
def test_state_dict_has_the_released_names_and_shapes(case: str) -> None:
    size, window_tokenizer, _, _ = CASES[case]
    with torch.device("meta"):
        model = Sapiens2(size, window_tokenizer=window_tokenizer)
    found = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert found == golden_json(f"state_dict_{case}.json")


# The 0.1b numbers are themselves 1.3e-5 away from the same network in float64.
@pytest.mark.parametrize(
    ("case", "tolerance"),
    [("tiny", 1e-5), ("tiny_4k", 1e-5), pytest.param("0.1b", 2e-5, marks=pytest.mark.slow)],
)
def test_tokens_equal_the_released_ones(case: str, tolerance: float) -> None:
    size, window_tokenizer, shape, std = CASES[case]
    golden = load_file(GOLDEN / "backbone.safetensors")
    model = Sapiens2(size, shape[-2:], window_tokenizer=window_tokenizer).eval()
    fill(model, std, ONES)
    with torch.no_grad():
        images = normal(f"input.{case}", shape)
        torch.testing.assert_close(
            model.forward_tokens(images), golden[f"{case}.fp32"], rtol=0, atol=tolerance
        )
        model.rope_dtype = torch.bfloat16
        found = model.forward_tokens(images)
        torch.testing.assert_close(found, golden[f"{case}.bf16"], rtol=0, atol=2e-3)
        # What sets the two apart is far larger than what sets us apart from either.
        assert (golden[f"{case}.bf16"] - golden[f"{case}.fp32"]).abs().max() > 2.4e-3
