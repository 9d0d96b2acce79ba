"""What a backbone promises: sizes, shapes, settings, names."""

from dataclasses import asdict

import jsonargparse
import pytest
import torch

from sapiens2_lit.backbones import Backbone, BackboneSize, Sapiens2, size_names
from sapiens2_lit.errors import SettingError


def tiny_images(height: int = 64, width: int = 48, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))


# The model cards round up for sizes with grouped queries (0.398, 0.818, 1.462 and 5.071 billion); `timm`, which
# loads the released files, counts as we do.
@pytest.mark.parametrize(
    ("size", "window_tokenizer", "published", "parameters"),
    [
        ("0.1b", False, 0.114e9, 113_993_472),
        ("0.4b", False, 0.398e9, 395_450_368),
        ("0.8b", False, 0.818e9, 814_283_520),
        ("1b", False, 1.462e9, 1_455_474_176),
        ("1b", True, 1.607e9, 1_606_588_928),
        ("5b", False, 5.071e9, 5_066_902_976),
    ],
)
def test_sizes_have_the_published_parameters(
    size: str, window_tokenizer: bool, published: float, parameters: int
) -> None:
    with torch.device("meta"):
        model = Sapiens2(size, window_tokenizer=window_tokenizer)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert parameters == pytest.approx(published, rel=0.007)


def test_names_hide_the_sizes_made_for_tests() -> None:
    assert set(size_names()) == {"pico", "nano", "0.1b", "0.4b", "0.8b", "1b", "5b"}
    assert set(size_names(hidden=True)) - set(size_names()) == {"tiny", "test"}


def test_maps_are_the_patch_tokens() -> None:
    model = Sapiens2("test", (64, 48))
    images = tiny_images()
    (last,) = model(images)
    tokens = model.forward_tokens(images)
    assert last.shape == (2, model.embed_dim, 4, 3)
    assert last.is_contiguous()
    assert torch.equal(last.flatten(2).transpose(1, 2), tokens[:, 9:])
    assert tokens.shape == (2, 9 + 12, model.embed_dim)


def test_every_map_is_normed_and_the_last_block_is_last() -> None:
    every = Sapiens2("test", (64, 48), out_indices=(0, -1))
    maps = every(tiny_images())
    assert every.out_indices == (0, 1)
    assert len(maps) == 2
    for feature_map in maps:  # with unit weights, the norm of every token is sqrt(C)
        assert torch.allclose(feature_map.pow(2).mean(1), torch.ones(2, 4, 3), atol=1e-4)
    last_alone = Sapiens2("test", (64, 48))
    last_alone.load_state_dict(every.state_dict())
    assert torch.equal(last_alone(tiny_images())[0], maps[-1])


@pytest.mark.parametrize("indices", [(), (0,), (1, 0), (0, 0, 1), (1, -1), (0, 2), (-3, -1)])
def test_wrong_out_indices_are_refused(indices: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match="out_indices"):
        Sapiens2("test", (64, 48), out_indices=indices)


def test_any_multiple_of_the_patch_is_an_image() -> None:
    model = Sapiens2("test", (64, 48))
    assert model(tiny_images(32, 96))[0].shape[2:] == (2, 6)
    windowed = Sapiens2("test", (128, 64), window_tokenizer=True)
    assert windowed.patch_size == 64
    assert windowed(tiny_images(64, 128))[0].shape[2:] == (1, 2)


def test_other_sizes_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match=r"\(1000, 768\).*multiples of 16.*\(992, 768\) or \(1008, 768\)"):
        Sapiens2("test", (1000, 768))
    with pytest.raises(SettingError, match=r"multiples of 64.*\(1024, 768\) or \(1024, 832\)"):
        Sapiens2("test", (1024, 800), window_tokenizer=True)
    with pytest.raises(SettingError, match=r"\(64, 40\).*multiples of 16"):
        Sapiens2("test", (64, 48))(tiny_images(64, 40))
    for wrong in ((64,), (64, 48, 3), (64.0, 48.0), (0, 48)):
        with pytest.raises(SettingError, match="image_size"):
            Sapiens2("test", wrong)  # type: ignore[arg-type]  # a user's mistake


def test_unknown_settings_are_refused_with_the_known() -> None:
    with pytest.raises(SettingError, match=r"'0\.3b'.*0\.4b"):
        Sapiens2("0.3b")
    with pytest.raises(SettingError, match="rope_dtype"):
        Sapiens2("test", rope_dtype="float16")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(SettingError, match="heads"):
        BackboneSize(48, 2, 5, 64, 1)
    with pytest.raises(SettingError, match="even"):
        BackboneSize(60, 18, 3, 64, 1)


@pytest.mark.parametrize("size", ["test", asdict(BackboneSize(48, 1, 3, 64, 1))])
def test_yaml_gives_names_rows_and_lists(size: str | dict) -> None:
    parser = jsonargparse.ArgumentParser()
    parser.add_subclass_arguments(Backbone, "backbone")
    settings = {"size": size, "image_size": [64, 48], "out_indices": [-1]}
    parsed = parser.parse_object(
        {"backbone": {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": settings}}
    )
    again = parser.parse_string(parser.dump(parsed))
    instantiate = getattr(parser, "instantiate", None) or parser.instantiate_classes  # until, from 4.49
    model = instantiate(again).backbone
    assert model.image_size == (64, 48)
    assert model.embed_dim == (32 if size == "test" else 48)


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_depth_rises_from_the_embeddings_to_the_final_norm(prefix: str) -> None:
    model = Sapiens2("test", (64, 64), window_tokenizer=True)
    depths = {name: model.layer_depth(prefix + name) for name in model.state_dict()}
    for name, depth in depths.items():
        if name.startswith("blocks."):
            assert depth == int(name.split(".")[1]) + 1
        else:
            assert depth == (3 if name.startswith("ln1") else 0), name
    with pytest.raises(KeyError, match=r"blocks\.2"):
        model.layer_depth(f"{prefix}blocks.2.ln1.weight")


def test_meta_then_empty_then_init_is_a_fresh_model() -> None:
    with torch.device("meta"):
        model = Sapiens2("test", (64, 48), weights="never/read")
    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(torch.nan)
    model.init_weights()
    fresh = Sapiens2("test", (64, 48)).state_dict()
    for name, tensor in model.state_dict().items():
        assert tensor.isfinite().all(), name
        assert abs(tensor.std(correction=0) - fresh[name].std(correction=0)) < 0.02, name
        assert abs(tensor.mean() - fresh[name].mean()) < 0.02, name
    assert torch.equal(model.rope_embed.periods, fresh["rope_embed.periods"])
    assert model(tiny_images())[0].isfinite().all()


def test_casting_the_model_leaves_positions_exact() -> None:
    exact = Sapiens2("test", (64, 48))
    there_and_back = Sapiens2("test", (64, 48))
    there_and_back.load_state_dict(exact.state_dict())
    there_and_back.rope_embed.to(torch.bfloat16).float()
    assert torch.equal(exact(tiny_images())[0], there_and_back(tiny_images())[0])


@pytest.mark.parametrize("window_tokenizer", [False, True])
def test_fresh_network_learns_a_batch_with_all_its_parameters(window_tokenizer: bool) -> None:
    torch.manual_seed(0)
    model = Sapiens2("test", (128, 64), window_tokenizer=window_tokenizer)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    images = tiny_images(128, 64, batch=4)
    targets = torch.randn_like(model(images)[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = (model(images)[0] - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    for name, parameter in model.named_parameters():
        if not name.endswith("wk.bias"):  # shifts all keys alike, which the softmax of the tokenizer ignores
            assert not torch.equal(parameter, before[name]), name
