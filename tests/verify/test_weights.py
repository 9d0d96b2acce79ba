"""Weights that cannot be used are a row with what to do."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sapiens2_lit.errors import WeightsError
from sapiens2_lit.verify import weights as weights_module
from sapiens2_lit.verify.comparison import BackboneComparison
from sapiens2_lit.verify.messages import Kept
from sapiens2_lit.verify.rows import Check, Row, run_check
from sapiens2_lit.verify.setting import Setting
from sapiens2_lit.verify.sources import Source, find_sources
from sapiens2_lit.verify.weights import Weights

Make = Callable[..., Setting]


def row_of(setting: Setting, number: int = 0) -> Row:
    """The row of one source's weights."""
    weights, source = Weights(setting), find_sources(setting)[number]
    return run_check(Check(source.name, lambda: weights.open(source)))


def copied(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released / "backbone", tmp_path / "sapiens2-pretrain-1b-4k" / "copy"))


def test_sources_are_found_and_named_without_their_paths(
    released: Path, tmp_path: Path, make_setting: Make
) -> None:
    (tmp_path / "sapiens2-pose-0.4b").mkdir()
    shutil.copy(released / "parts" / "model.safetensors", tmp_path / "sapiens2-pose-0.4b")
    for name in ("sapiens2_0.8b_seg.safetensors", "my_own_secret.safetensors"):
        shutil.copy(released / "parts" / "model.safetensors", tmp_path / name)
    found = {source.name: source.size for source in find_sources(make_setting(tmp_path))}
    assert found == {"seg 0.8b": "0.8b", "pose 0.4b": "0.4b", "weights 1": None}


def test_without_weights_of_ones_own_the_released_ones_are_taken(make_setting: Make) -> None:
    names = [source.name for source in find_sources(make_setting(sizes=("0.4b",), tasks=("pose", "seg")))]
    assert names == [f"facebook/sapiens2-{kind}-0.4b" for kind in ("pretrain", "pose", "seg")]
    assert len(find_sources(make_setting())) == 23


def test_a_checksum_that_differs_is_found(released: Path, tmp_path: Path, make_setting: Make) -> None:
    folder = Path(shutil.copytree(released / "backbone", tmp_path / "copy"))
    file, beside = folder / "model.safetensors", folder / ".cache" / "huggingface" / "download"
    beside.mkdir(parents=True)
    kept = hashlib.sha256(file.read_bytes()).hexdigest()
    (beside / "model.safetensors.metadata").write_text(f"0123456789abcdef\n{kept}\n1700000000.0\n")
    assert "SHA-256 as on the hub" in row_of(make_setting(folder)).figure
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    row = row_of(make_setting(folder))
    assert row.status == "failed" and "SHA-256" in row.reason and "hf download" in row.reason


def test_a_download_that_was_not_finished_is_told(tmp_path: Path, make_setting: Make) -> None:
    unfinished = tmp_path / ".cache" / "huggingface" / "download" / "abc.incomplete"
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    row = row_of(make_setting(tmp_path))
    assert row.status == "failed" and "not finished" in row.reason and "hf download" in row.reason


def test_values_that_are_not_finite_are_found_in_loading(
    released: Path, tmp_path: Path, make_setting: Make
) -> None:
    folder = Path(shutil.copytree(released / "backbone", tmp_path / "copy"))
    tensors = load_file(folder / "model.safetensors")
    tensors["blocks.3.ln1.weight"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors")
    setting = make_setting(folder)
    weights, (source,) = Weights(setting), find_sources(setting)
    weights.open(source)
    comparison = BackboneComparison(weights.opened[source.name], setting, Kept())
    loading, compared, _ = (run_check(check) for check in comparison.checks())
    assert loading.status == "failed" and "blocks.3.ln1.weight" in loading.reason
    assert compared.status == "skipped" and "not loaded" in compared.reason


def test_another_image_processor_is_refused(released: Path, tmp_path: Path, make_setting: Make) -> None:
    folder = Path(shutil.copytree(released / "normals", tmp_path / "copy"))
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_mean": [0.5, 0.5, 0.5]}))
    row = row_of(make_setting(folder))
    assert row.status == "failed" and "image_mean" in row.reason


def test_no_network_is_said_once_and_no_other_repository_is_asked(
    make_setting: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(place: str, find_files: object, download: bool = True) -> list[Path]:
        if download:
            asked.append(place)
        raise WeightsError(
            "weights: download failed (no connection); `hf download ...`" if download else "not here"
        )

    monkeypatch.setattr(weights_module, "fetch", fetch)
    monkeypatch.setattr(weights_module, "free_disk", lambda folder: 10**12)
    setting = make_setting(sizes=("0.4b",))
    weights = Weights(setting)
    rows = [run_check(Check(one.name, lambda one=one: weights.open(one))) for one in find_sources(setting)]
    assert [row.status for row in rows] == ["skipped"] * 5 and len(asked) == 1
    assert "download failed" in rows[0].reason
    assert all("No network" in row.reason and "--weights" in row.reason for row in rows[1:])


def test_a_full_disk_and_quick_fetch_nothing(make_setting: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(place: str, find_files: object, download: bool = True) -> list[Path]:
        assert not download
        raise WeightsError("not here")

    monkeypatch.setattr(weights_module, "fetch", fetch)
    monkeypatch.setattr(weights_module, "free_disk", lambda folder: 10**9)
    for settings, said in (
        ({"sizes": ("5b",)}, "GB of disk"),
        ({"sizes": ("5b",), "quick": True}, "leave out --quick"),
        ({"sizes": ("5b",), "download": False}, "--download false"),
    ):
        row = row_of(make_setting(**settings))
        assert row.status == "skipped" and said in row.reason


@pytest.mark.parametrize("released_size", ["0.1b", "0.4b", "0.8b", "1b", "5b"])
def test_the_size_of_a_download_is_known_beforehand(released_size: str) -> None:
    from sapiens2_lit.backbones import Sapiens2

    with torch.device("meta"):
        whole = sum(4 * one.numel() for one in Sapiens2(released_size).parameters())
    found = weights_module.released_bytes(Source("", "", True, released_size))
    assert whole <= found <= 1.3 * whole


def test_a_card_that_is_too_small_is_a_row(
    released: Path, make_setting: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Setting, "card_memory", lambda self: 1e-4)
    row = row_of(make_setting(released / "backbone"))
    assert row.status == "skipped" and "larger card" in row.reason
    monkeypatch.undo()
    monkeypatch.setattr(weights_module, "free_memory", lambda: 1000)
    assert "larger machine" in row_of(make_setting(released / "backbone")).reason
