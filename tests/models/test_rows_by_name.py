"""Rows of last layers by name: what a head knew of a point or a class it knows in another vocabulary, to the bit."""

import json
import logging
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from own_points import OWN_POINTS
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import released_state, take_head
from sapiens2_lit.checkpoints.format import META
from sapiens2_lit.errors import WeightsError
from sapiens2_lit.heads import PoseHead, SegmentationHead
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.vocabularies import load_classes, load_skeleton

IMAGES = torch.arange(3 * 64 * 48).reshape(1, 3, 64, 48).remainder(251).to(torch.uint8)


def make(heads, weights=None, **settings) -> SapiensModule:
    torch.manual_seed(3)
    module = SapiensModule(partial(Sapiens2, "test"), heads, weights=weights and str(weights), **settings)
    module.configure_model()
    return module.eval()


def pose(skeleton, **settings):
    return {"pose": partial(PoseHead, skeleton=skeleton, **settings)}


def trained(heads) -> SapiensModule:
    """A module whose every weight differs from a fresh one's."""
    module = make(heads)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module


def released(module: SapiensModule, folder: Path, head: str = "pose") -> Path:
    path = folder / "model.safetensors"
    save_file(released_state(module.state_dict(), head), path)
    return path


def checkpoint(module: SapiensModule, folder: Path) -> Path:
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    path = folder / "version_0" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    return path


def outputs(module: SapiensModule, head: str = "pose") -> torch.Tensor:
    with torch.no_grad():
        return module(IMAGES)[head]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"keypoints": [*OWN_POINTS]}))
    return path


@pytest.mark.parametrize("decoder", ["deconv", "pixel_shuffle"])
def test_all_24_own_points_predict_what_those_of_the_308_did(decoder, own, tmp_path, caplog):
    source = trained(pose("sociopticon308", decoder=decoder))
    with caplog.at_level(logging.INFO):
        loaded = make(pose(own, decoder=decoder), released(source, tmp_path))
    places = [load_skeleton("sociopticon308").keypoints.index(name) for name in OWN_POINTS.values()]
    assert torch.equal(outputs(loaded), outputs(source)[:, places])
    last = loaded.heads["pose"].conv_pose
    assert torch.equal(last.bias, source.heads["pose"].conv_pose.bias[places])
    assert "24 of 24 rows" in caplog.text and "l_eye from left_eye" in caplog.text
    assert "2 of them by name, 24 of 24 rows" in caplog.text and "fresh" not in caplog.text


def test_rows_that_are_new_start_as_those_of_a_fresh_head_and_are_told(tmp_path, caplog):
    path = tmp_path / "own.yaml"
    path.write_text("keypoints: [tail, L_Ear, left_hand_root, nose]")
    source = trained(pose("sociopticon308"))
    loaded = make(pose(path), released(source, tmp_path)).heads["pose"].conv_pose
    fresh = make(pose(path)).heads["pose"].conv_pose
    names = load_skeleton("sociopticon308").keypoints
    for name in ("weight", "bias"):
        own, new, theirs = (
            layer.state_dict()[name] for layer in (loaded, fresh, source.heads["pose"].conv_pose)
        )
        assert torch.equal(own[0], new[0])
        for row, other in ((1, "left_ear"), (2, "left_wrist"), (3, "nose")):
            assert torch.equal(own[row], theirs[names.index(other)])
    warned = "\n".join(one.getMessage() for one in caplog.records if one.levelno == logging.WARNING)
    otherwise = "L_Ear from left_ear", "left_hand_root from left_wrist"
    for said in ("3 of 4 rows", "same name (1): nose", "fresh (1): tail", *otherwise):
        assert said in warned


def test_of_many_points_the_log_counts_by_group(tmp_path, caplog):
    make(pose("coco_wholebody133"), released(trained(pose("sociopticon308")), tmp_path))
    assert "  left_hand: 21 of 21" in caplog.text and max(map(len, caplog.text.splitlines())) < 1500


def test_a_checkpoint_of_ones_own_points_carries_their_names(own, tmp_path):
    source = trained(pose(own))
    place = checkpoint(source, tmp_path)
    assert torch.load(place, weights_only=True)[META]["vocabularies"]["pose"]["keypoints"] == [*OWN_POINTS]
    own.write_text(yaml.safe_dump({"keypoints": [*reversed(OWN_POINTS)]}))  # as many, in another order
    for weights in (place, tmp_path, f"{tmp_path}/last"):
        assert torch.equal(outputs(make(pose(own), weights)), outputs(source).flip(1))
    in_order = make(pose(own), place, reuse_rows=False)
    assert torch.equal(outputs(in_order), outputs(source))


def test_a_head_taken_out_carries_its_names(own, tmp_path):
    source = trained(pose(own))
    file = take_head(checkpoint(source, tmp_path), "pose", tmp_path / "pose.safetensors")
    own.write_text("keypoints: [l_wrist, Neck]")
    rows = [[*OWN_POINTS].index(name) for name in ("l_wrist", "Neck")]
    found = make(pose(own), file)
    loaded, expected = (one.heads["pose"].conv_pose for one in (found, source))
    assert torch.equal(loaded.weight, expected.weight[rows])
    assert torch.equal(loaded.bias, expected.bias[rows])
    torch.testing.assert_close(outputs(found), outputs(source)[:, rows])  # fewer rows may be summed otherwise


def test_classes_by_name_beside_points_that_stay(tmp_path):
    path = tmp_path / "clothes.yaml"
    path.write_text("classes: [background, hair, UpperClothes, left-shoe, right-shoe, umbrella]")
    seg = partial(SegmentationHead, classes="body29", class_weights="auto")
    source = trained(pose("coco17") | {"seg": seg})
    source.heads["seg"].balanced_terms()[0].set_counts(range(1, 30))
    heads = pose("coco17") | {"seg": partial(SegmentationHead, classes=path, class_weights="auto")}
    loaded = make(heads, checkpoint(source, tmp_path))
    names = load_classes("body29").names
    rows = [names.index(name) for name in ("Background", "Hair", "Upper_Clothing", "Left_Shoe", "Right_Shoe")]
    assert torch.equal(outputs(loaded, "seg")[:, :5], outputs(source, "seg")[:, rows])
    assert torch.equal(outputs(loaded), outputs(source))
    assert torch.equal(loaded.heads["seg"].balanced_terms()[0].balance, torch.ones(6))


def test_names_of_classes_beside_a_file_in_the_layout_of_transformers(tmp_path):
    classes = tmp_path / "own.yaml"
    classes.write_text("classes: [sky, tree, person]")
    head = {"seg": partial(SegmentationHead, classes=classes)}
    source = trained(head)
    released(source, tmp_path, "seg")
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "sky", "1": "tree", "2": "person"}}))
    classes.write_text("classes: [person, sky]")
    assert torch.equal(outputs(make(head, tmp_path), "seg"), outputs(source, "seg")[:, [2, 0]])


def test_reinitialized_layers_and_switched_off_rows_take_nothing(own, tmp_path):
    file = released(trained(pose("sociopticon308")), tmp_path)
    loaded = make(pose(own), file, reinitialize=["heads.pose.conv_pose"])
    torch.testing.assert_close(
        loaded.heads["pose"].conv_pose.state_dict(), make(pose(own)).heads["pose"].conv_pose.state_dict()
    )
    with pytest.raises(WeightsError, match=r"conv_pose.*\n.*reinitialize: \[heads.pose.conv_pose\]"):
        make(pose(own), file, reuse_rows=False)


def test_vocabularies_without_a_common_name_are_an_error_that_says_so(tmp_path, caplog):
    path = tmp_path / "fish.yaml"
    path.write_text("keypoints: [fin, gill]")
    with pytest.raises(WeightsError, match="conv_pose"):
        make(pose(path), released(trained(pose("sociopticon308")), tmp_path))
    assert "none of its keypoints (fin, gill) is among those of" in caplog.text


@pytest.mark.parametrize("given", [{"pose": {"keypoints": "nose"}}, {"pose": {}}, ["pose"]])
def test_a_checkpoint_whose_names_are_none_is_refused(given, own, tmp_path):
    place = checkpoint(make(pose("coco17")), tmp_path)
    content = torch.load(place, weights_only=True)
    content[META]["vocabularies"] = given
    torch.save(content, place)
    with pytest.raises(WeightsError, match=r"last\.ckpt: vocabularies"):
        make(pose(own), place)
