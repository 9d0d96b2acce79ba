"""Tables of names, without the other library."""

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import (
    backbone_state,
    detect_layout,
    released_state,
    task_state,
    to_released,
    to_transformers,
)
from sapiens2_lit.decoders import build_decoder
from sapiens2_lit.errors import WeightsError


@pytest.fixture
def released() -> dict[str, torch.Tensor]:
    tensors = {f"backbone.{name}": t for name, t in Sapiens2("test", (64, 48)).state_dict().items()}
    decoder = build_decoder("pose", 32, 17, "deconv")
    return tensors | {f"decode_head.{name}": t for name, t in decoder.state_dict().items()}


def test_layouts_are_told_apart(released: dict[str, torch.Tensor]) -> None:
    theirs = to_transformers(released)
    assert detect_layout(released) == detect_layout(backbone_state(released)) == "released"
    assert detect_layout(theirs) == "transformers"
    assert detect_layout([name for name in theirs if name.startswith("decode_head.")]) == "transformers"
    # transformers writes this one name of its own into files in the released layout
    assert detect_layout([*released, "backbone.embeddings.mask_token"]) == "released"


def test_gate_is_the_first_half_of_w12(released: dict[str, torch.Tensor]) -> None:
    theirs = to_transformers(released)
    w12 = released["backbone.blocks.1.ffn.w12.weight"]
    assert torch.equal(theirs["model.model.layer.1.mlp.gate_proj.weight"], w12[:64])
    assert torch.equal(theirs["model.model.layer.1.mlp.up_proj.weight"], w12[64:])


def test_bare_backbones_stay_bare() -> None:
    tensors = Sapiens2("test", (64, 48)).state_dict()
    theirs = to_transformers(tensors)
    assert "model.layer.0.norm1.weight" in theirs
    back = to_released(theirs)
    assert back.keys() == tensors.keys() - {"rope_embed.periods"}
    assert all(torch.equal(back[name], tensors[name]) for name in back)


def test_half_a_feed_forward_network_is_refused(released: dict[str, torch.Tensor]) -> None:
    for half, other in (("gate_proj", "up_proj"), ("up_proj", "gate_proj")):
        theirs = to_transformers(released)
        del theirs[f"model.model.layer.0.mlp.{half}.bias"]
        with pytest.raises(WeightsError, match=f"{other}.bias without .*{half}.bias"):
            to_released(theirs, task="pose")


@pytest.mark.parametrize(
    "name", ["tokenizer.w_cls", "decode_head.conv_albedo.weight", "backbone.blocks.0.lora.weight"]
)
def test_names_in_no_table_are_refused(name: str, released: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match=name):
        to_transformers(released | {name: torch.zeros(1)})


def test_window_tokenizer_has_no_transformers_names() -> None:
    with pytest.raises(WeightsError, match="tokenizer"):
        to_transformers(Sapiens2("test", (64, 64), window_tokenizer=True).state_dict())


def test_task_names_go_there_and_back(released: dict[str, torch.Tensor]) -> None:
    ours = task_state(released, "body")
    assert {name.split(".")[0] for name in ours} == {"backbone", "heads"}
    assert released_state(ours, "body") == released
    other_head = {"heads.seg.conv_seg.bias": torch.zeros(3)}
    assert released_state(ours | other_head, "body") == released
    with pytest.raises(WeightsError, match=r"'face'.*body, seg"):
        released_state(ours | other_head, "face")
    with pytest.raises(WeightsError, match=r"ema\.decay"):
        released_state(ours | {"ema.decay": torch.zeros(1)}, "body")


def test_bare_backbone_files_get_the_prefix() -> None:
    tensors = Sapiens2("test", (64, 48)).state_dict()
    assert task_state(tensors, "pose").keys() == {f"backbone.{name}" for name in tensors}
    assert backbone_state(task_state(tensors, "pose")) == tensors
