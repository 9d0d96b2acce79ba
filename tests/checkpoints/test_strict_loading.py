"""Loading is strict: everything fits and is accounted for, or nothing is touched."""

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.checkpoints import LoadReport, load_state, write_weights
from sapiens2_lit.errors import SettingError, WeightsError


@pytest.fixture
def model() -> Sapiens2:
    return Sapiens2("test", (64, 48))


def other_weights(**settings: object) -> dict[str, Tensor]:
    return Sapiens2("test", (64, 64), **settings).state_dict()


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_everything_is_copied_and_reported(model: Sapiens2) -> None:
    tensors = other_weights()
    report = load_state(model, tensors, source="there")
    assert set(report.loaded) == set(tensors)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in tensors.items())
    assert report.complete
    assert report.summary() == f"there: {len(tensors)} tensors loaded"


def test_values_are_cast_to_the_model(model: Sapiens2) -> None:
    halves = {name: tensor.bfloat16() for name, tensor in other_weights().items()}
    load_state(model, halves, source="there")
    assert model.ln1.weight.dtype == torch.float32
    assert torch.equal(model.cls_token, halves["cls_token"].float())


def test_mask_token_and_computed_buffers_do_not_matter(model: Sapiens2) -> None:
    tensors = other_weights() | {"mask_token": torch.zeros(1, 1, 32)}
    del tensors["rope_embed.periods"]
    report = load_state(model, tensors, source="there")
    assert report.ignored == {"mask_token": "used only in pretraining"}
    assert report.kept.keys() == {"rope_embed.periods"}
    assert report.complete


def test_what_does_not_fit_is_listed_and_nothing_is_loaded(model: Sapiens2) -> None:
    tensors = other_weights()
    del tensors["blocks.1.ffn.w3.bias"]
    tensors["blocks.0.ln1.weight"] = torch.zeros(7)
    tensors["blocks.0.extra"] = torch.zeros(1)
    before = snapshot(model)
    with pytest.raises(WeightsError) as caught:
        load_state(model, tensors, source="there.safetensors")
    message = str(caught.value)
    for part in (
        "there.safetensors",
        "1 missing, 1 mismatched, 1 unexpected",
        "blocks.1.ffn.w3.bias",
        "blocks.0.ln1.weight: found (7,), expected (32,)",
        "blocks.0.extra",
    ):
        assert part in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("tensors", "hint"),
    [
        (lambda: Sapiens2(BackboneSize(48, 2, 2, 64, 1)).state_dict(), "48 wide, the model's 32"),
        (lambda: Sapiens2(BackboneSize(32, 3, 2, 64, 1)).state_dict(), "`size`"),
        (lambda: other_weights(window_tokenizer=True), "`window_tokenizer`.*has one"),
        (lambda: {"layers.0.weight": torch.zeros(1)}, "no name fits"),
    ],
)
def test_errors_hint_at_the_cause(tensors, hint: str, model: Sapiens2) -> None:
    with pytest.raises(WeightsError, match=rf"(?s)hint: .*{hint}"):
        load_state(model, tensors(), source="there")


def test_missing_tokenizer_is_hinted_at() -> None:
    with pytest.raises(WeightsError, match=r"`window_tokenizer`.*has none"):
        load_state(Sapiens2("test", (64, 64), window_tokenizer=True), other_weights(), source="there")


class Task(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"pose": nn.ModuleDict({"conv_pose": nn.Conv2d(4, classes, 1)})})
        self.body = nn.Linear(2, 2)


def test_listed_layers_stay_fresh_even_with_another_shape() -> None:
    module, tensors = Task(3), Task(5).state_dict()
    with pytest.raises(WeightsError, match=r"reinitialize: \[heads.pose.conv_pose\]"):
        load_state(module, tensors, source="there")
    before = snapshot(module)
    report = load_state(module, tensors, source="there", reinitialize=["heads.pose.conv_pose"])
    after = module.state_dict()
    assert torch.equal(after["body.weight"], tensors["body.weight"])
    assert torch.equal(after["heads.pose.conv_pose.weight"], before["heads.pose.conv_pose.weight"])
    listed = {"heads.pose.conv_pose.weight", "heads.pose.conv_pose.bias"}
    assert report.kept.keys() == report.ignored.keys() == listed
    assert "as asked" in report.summary()


@pytest.mark.parametrize("prefix", ["heads.pose.conv_pos", "heads.pose.conv_poses", "conv_pose", ""])
def test_listing_nothing_is_an_error_that_names_the_near(prefix: str) -> None:
    module = Task(3)
    with pytest.raises(SettingError, match=rf"reinitialize.*'{prefix}'.*heads"):
        load_state(module, module.state_dict(), source="there", reinitialize=[prefix])


def test_ignored_parts_are_reported_with_the_reason(model: Sapiens2) -> None:
    tensors = other_weights() | {"decode_head.a": torch.zeros(1), "decode_header.b": torch.zeros(1)}
    ignore = {"decode_head": "a head", "decode_header": "another"}
    report = load_state(model, tensors, source="there", ignore=ignore)
    assert report.ignored == {"decode_head.a": "a head", "decode_header.b": "another"}
    with pytest.raises(WeightsError, match=r"decode_header\.b"):
        load_state(model, tensors, source="there", ignore={"decode_head": "a head"})


def test_ignoring_cannot_hide_a_hole(model: Sapiens2) -> None:
    tensors = other_weights()
    del tensors["ln1.weight"]
    with pytest.raises(WeightsError, match=r"ln1\.weight"):
        load_state(model, tensors, source="there", ignore={"ln1": "unwanted"})


def test_module_that_saves_only_a_part_of_itself_is_loaded_whole() -> None:
    class Partial(nn.Linear):
        def state_dict(self, *args, **settings):
            return {}

    module, whole = Partial(2, 2), nn.Linear(2, 2).state_dict()
    assert set(load_state(module, whole, source="there").loaded) == {"weight", "bias"}
    assert torch.equal(module.weight, whole["weight"])


def test_long_lists_are_cut() -> None:
    report = LoadReport("there", missing=[f"layer{i}" for i in range(40)])
    assert "layer11" in str(report)
    assert "layer12" not in str(report)
    assert "28 more" in str(report)
    with pytest.raises(WeightsError):
        report.raise_unless_complete()


def test_backbone_loads_what_a_backbone_wrote(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Sapiens2("test", (64, 48))
    file = write_weights(first.state_dict(), tmp_path / "backbone.safetensors")
    with caplog.at_level(logging.INFO, logger="sapiens2_lit"):
        second = Sapiens2("test", (64, 48), weights=str(file))
    assert str(file) in caplog.text
    assert "tensors loaded" in caplog.text
    images = torch.randn(1, 3, 64, 48)
    assert torch.equal(first(images)[0], second(images)[0])
    with torch.device("meta"):
        late = Sapiens2("test", (64, 48), weights=str(file))
    late.to_empty(device="cpu")
    late.init_weights()
    late.load_weights()
    assert torch.equal(first(images)[0], late(images)[0])


def test_backbone_of_another_size_refuses_the_file(tmp_path: Path) -> None:
    file = write_weights(other_weights(), tmp_path / "backbone.safetensors")
    with pytest.raises(WeightsError, match=r"(?s)backbone\.safetensors.*32 wide, the model's 64"):
        Sapiens2("tiny", (64, 48), weights=str(file))
