"""The same random weights in the independent implementations give the same tokens."""

import re

import pytest
import torch

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.checkpoints import to_transformers

TIMM_NAMES = (
    (r"storage_tokens", "reg_token"),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"^ln1\.", "norm."),
    (r"\.ln([12])\.", r".norm\1."),
    (r"\.attn\.w([qkv])\.", r".attn.\1_proj."),
    (r"\.attn\.gamma\.weight", ".gamma_1"),
    (r"\.ffn\.w12\.", ".mlp.fc1."),
    (r"\.ffn\.w3\.", ".mlp.fc2."),
)


def randomized(size: str | BackboneSize, std: float) -> Sapiens2:
    """Weights that let every part of the network matter."""
    model = Sapiens2(size, (64, 48)).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(std * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", ["Sapiens2Model", "Sapiens2Backbone"])
def test_transformers_computes_the_same(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    size = BackboneSize(48, 18, 4, 96, 1)  # two blocks with grouped queries
    ours = randomized(size, 0.05)
    config = transformers.Sapiens2Config(
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        num_key_value_attention_heads=size.heads // 2,
        intermediate_size=size.mlp_width,
        image_size=(64, 48),
    )
    theirs = getattr(transformers, name)(config).eval()
    theirs.load_state_dict(to_transformers(ours.state_dict()))
    images = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        found = theirs(images)
        if name == "Sapiens2Model":
            torch.testing.assert_close(
                ours.forward_tokens(images), found.last_hidden_state, rtol=0, atol=1e-5
            )
        else:
            torch.testing.assert_close(ours(images)[0], found.feature_maps[0], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_timm_computes_the_same() -> None:
    timm = pytest.importorskip("timm")
    ours = randomized("0.1b", 0.01)
    theirs = timm.create_model("vit_base_patch16_sapiens2", img_size=(64, 48)).eval()
    renamed = {}
    for name, tensor in ours.state_dict().items():
        for pattern, other in TIMM_NAMES:
            name = re.sub(pattern, other, name)
        renamed[name] = tensor
    del renamed["rope_embed.periods"]
    theirs.load_state_dict(renamed)
    images = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.forward_tokens(images), theirs.forward_features(images), rtol=0, atol=1e-5
        )
