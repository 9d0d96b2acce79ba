"""Sources of backbones: files, networks of timm, fresh ones, and rows where patch sizes differ."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.errors import SettingError
from sapiens2_lit.probing.features import BackboneFeatures
from sapiens2_lit.probing.sources import random_row, read_sources
from sapiens2_lit.probing.table import make_rows

SIZE = (64, 64)


def test_a_file_of_weights_is_the_backbone_that_wrote_it(tmp_path: Path) -> None:
    backbone = Sapiens2("test", SIZE).eval()
    file = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in backbone.state_dict().items()}, file)
    (source,) = read_sources([f"mine={file}"], SIZE)
    found = source.load()
    images = torch.randn(1, 3, *SIZE)
    assert torch.equal(found(images)[-1], backbone(images)[-1])
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_the_licence_of_weights_is_said_before_anything_is_computed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backbone = Sapiens2("test", SIZE)
    backbone.weights, backbone.licence = "mine.safetensors", "cc-by-nc-4.0"
    sources = read_sources({"mine": backbone, "fresh": "random:test"}, SIZE)
    with caplog.at_level("INFO"):
        make_rows(sources, random_row(sources[0], None, SIZE), SIZE)
    said = [one for one in caplog.messages if "license" in one]
    assert len(said) == 1
    assert said[0].startswith("mine: license of the backbone's weights: CC BY-NC 4.0")
    assert "no commercial use" in said[0]


def test_fresh_weights_are_the_same_every_time_and_not_those_of_the_first_backbone() -> None:
    torch.manual_seed(3)
    first, fresh = read_sources({"first": Sapiens2("test", SIZE), "fresh": "random:test"}, SIZE)
    row = random_row(first, None, SIZE)
    one, other = row.load().state_dict(), row.load().state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert not torch.equal(one["cls_token"], first.load().state_dict()["cls_token"])
    assert torch.equal(one["cls_token"], fresh.load().state_dict()["cls_token"])


def test_other_patches_are_there_with_the_same_pixels_and_with_the_same_grid() -> None:
    backbones = {"plain": Sapiens2("test", SIZE), "windows": Sapiens2("test", SIZE, window_tokenizer=True)}
    sources = read_sources(backbones, SIZE)
    rows = make_rows(sources, random_row(sources[0], None, SIZE), SIZE)
    assert [row.label for row in rows] == [
        "plain", "windows", "windows (same grid)", "random", "pixels", "position",
    ]  # fmt: skip
    assert [row.size for row in rows[:3]] == [SIZE, SIZE, (256, 256)]
    images = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    grids = []
    for row in rows[:3]:
        extractor = row.extractor(torch.device("cpu"))
        assert isinstance(extractor, BackboneFeatures)
        grids.append(tuple(extractor(images).shape[2:]))
    assert grids == [(4, 4), (1, 1), (4, 4)]
    assert rows[2].facts["tflop"] > rows[1].facts["tflop"] > 0


def test_a_picture_that_does_not_divide_into_patches_is_refused() -> None:
    sources = read_sources({"windows": Sapiens2("test", (64, 64), window_tokenizer=True)}, (96, 64))
    with pytest.raises(SettingError, match=r"data.image_size: windows: .*multiples of 64"):
        make_rows(sources, random_row(sources[0], None, (96, 64)), (96, 64))


@pytest.mark.slow
def test_networks_of_timm() -> None:
    pytest.importorskip("timm")
    sources = read_sources(["random:timm/vit_tiny_patch16_224"], SIZE)
    (row, random, *_) = make_rows(sources, random_row(sources[0], None, SIZE), SIZE)
    assert row.facts["fingerprint"] == random.facts["fingerprint"]
    assert row.facts["parameters"] > 5e6
    extractor = row.extractor(torch.device("cpu"))
    assert extractor(torch.zeros(1, 3, *SIZE, dtype=torch.uint8)).shape == (1, 192, 4, 4)
    with pytest.raises(SettingError, match="did you mean"):
        read_sources(["timm/vit_tinny_patch16_224"], SIZE)
