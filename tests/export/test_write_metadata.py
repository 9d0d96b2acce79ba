"""What lies beside the weights: licence, model card, manifest."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from torch.utils.tensorboard import SummaryWriter

from sapiens2_lit.cli.main import main
from sapiens2_lit.export.configuration import without_places
from sapiens2_lit.export.licence import licence_beside

HUB = "facebook/sapiens2-pretrain-0.4b"


def export(source: Path | str, out: Path, *options: str, form: str = "released") -> Path:
    assert main(["export", str(source), str(out), "--format", form, *options]) == 0
    return out


def test_card_has_task_data_metrics_and_configuration(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    source = checkpoint({"people": heads["pose"]})
    with SummaryWriter(str(source.parents[1])) as log:
        for step, ap in ((20, 0.25), (40, 0.5), (60, 0.75)):  # the checkpoint is of step 40
            log.add_scalar("val/people/AP", ap, step)
        log.add_scalar("val/people/AR", float("nan"), 40)
        log.add_scalar("train/loss", 3.0, 40)
        log.add_scalar("val/score", 0.5, 40)
        log.add_scalar("val/another/AP", 0.5, 40)
    folder = export(source, tmp_path / "my-people")
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "other"
    assert card.data.license_name == "sapiens2-license"
    assert card.data.license_link == "LICENSE"
    assert card.data.pipeline_tag == "keypoint-detection"
    assert card.data.base_model == HUB
    assert {"sapiens2", "released", "pose"} <= set(card.data.tags)
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("people/AP", 0.5)
    assert result.dataset_name == "people (validation)"
    assert "| people/AP | 0.5 |" in card.text
    assert "40 optimizer steps" in card.text
    assert "left_wrist" in card.text
    assert "SyntheticDataModule" in card.text
    assert "/home/somebody" not in str(card)
    assert str(tmp_path) not in str(card)
    assert json.loads((folder / "sapiens2_lit.json").read_text())["heads"]["people"]["sigma"] == 6.0


@pytest.mark.parametrize("form", ["released", "transformers"])
def test_every_card_is_valid_yaml_and_names_its_library(
    form: str, checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    folder = export(
        checkpoint({"seg": heads["seg"]}),
        tmp_path / form,
        "--check",
        "false",
        form=form,
    )
    text = (folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert front["library_name"] == {"released": "sapiens2-lit"}.get(form, form)
    assert ModelCard(text).data.to_dict()["pipeline_tag"] == "image-segmentation"
    assert "Not checked on export" in text


def test_without_a_licence_at_hand_a_notice_says_what_to_do(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = export(checkpoint({"seg": heads["seg"]}), tmp_path / "out")
    text = (folder / "LICENSE").read_text()
    assert "This file is a notice and not the licence" in text
    assert f"https://huggingface.co/{HUB}" in text
    assert "sapiens2_test_seg.safetensors" in text
    assert "put the text of the Sapiens2 License there" in capsys.readouterr().out
    again = export(folder, tmp_path / "again", "--check", "false", form="transformers")
    assert (
        "(model.safetensors)" in (again / "LICENSE").read_text()
    )  # a notice of its own, not a copy of the other
    assert ModelCard.load(again / "README.md").data.base_model == HUB


def test_the_licence_beside_the_weights_goes_with_them(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    """From the folder of the pretrained weights to the export, and from there to an export of the export."""
    base = tmp_path / "sapiens2-pretrain-0.4b"
    base.mkdir()
    (base / "model.safetensors").write_bytes(b"")
    (base / "LICENSE.md").write_text("the text of the licence\n")
    source = checkpoint({"seg": heads["seg"]}, weights=str(base))
    first = export(source, tmp_path / "first")
    assert (first / "LICENSE").read_text() == "the text of the licence\n"
    assert str(tmp_path) not in (first / "README.md").read_text()
    second = export(first, tmp_path / "second", "--check", "false", form="transformers")
    assert (second / "LICENSE").read_text() == "the text of the licence\n"
    assert ModelCard.load(second / "README.md").data.license == "other"


def test_networks_trained_from_nothing_are_their_owners(
    checkpoint: Any, heads: dict[str, Any], tmp_path: Path
) -> None:
    folder = export(checkpoint({"seg": heads["seg"]}, weights=None), tmp_path / "out")
    assert (folder / "LICENSE").read_text().startswith("No licence chosen")
    again = export(folder, tmp_path / "again")
    for each in (folder, again):
        card = ModelCard.load(each / "README.md")
        assert card.data.license == "unknown"
        assert card.data.base_model is None


def test_a_notice_is_no_licence_of_another_folder(tmp_path: Path) -> None:
    assert licence_beside(str(tmp_path / "absent")) is None
    assert licence_beside("nobody/nothing-that-is-in-the-cache") is None


def test_cards_hold_no_places_of_this_machine() -> None:
    settings = {"root": "/data/people", "files": ["C:\\data\\a.json", "~/b.json", "c/d.json"], "lr": 1e-4}
    assert without_places(settings) == {
        "root": "people",
        "files": ["a.json", "b.json", "c/d.json"],
        "lr": 1e-4,
    }
