"""What cannot be probed is refused with one clear error, before a backbone is loaded or a picture read."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

import sapiens2_lit.probing.run as run
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.probing import ProbeData, ProbeSettings, probe
from sapiens2_lit.probing.settings import read_settings
from sapiens2_lit.probing.sources import read_sources, split_label
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

SPLITS = {"train": range(8), "val": range(8, 11), "test": range(11, 15)}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifteen people with masks, in splits of files."""
    root = tmp_path_factory.mktemp("people")
    make_dataset(root, 15, Settings(size=(64, 48), tasks=("segmentation",)), workers=1, progress=False)
    write_splits(root)
    return root


def write_splits(root: Path) -> None:
    stems = sorted(path.stem for path in (root / "images").iterdir())
    (root / "splits").mkdir(exist_ok=True)
    for name, places in SPLITS.items():
        (root / "splits" / f"{name}.txt").write_text("\n".join(stems[place] for place in places))


def try_probe(root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Probe with a backbone that may not be loaded."""

    def nothing(*args: Any) -> None:
        raise AssertionError("it was computed")

    monkeypatch.setattr(run, "make_rows", nothing)
    data = {"min_test_images": 4, "image_size": (64, 48), **settings.pop("data", {})}
    probe(["random:test"], ProbeSettings(data=ProbeData(root=str(root), **data), **settings))


def test_data_without_labels_of_a_wanted_task(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"normal is wanted, but .* expected normals; .* segmentation"):
        try_probe(people, monkeypatch, tasks=("segmentation", "normal"))


def test_too_few_test_images(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"segmentation: found 4 test images .* at least 5"):
        try_probe(people, monkeypatch, data={"min_test_images": 5})


def test_data_that_fit_pass_the_checks(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="it was computed"):
        try_probe(people, monkeypatch)


@pytest.mark.parametrize("kind", ["copied", "encoded again"])
def test_a_picture_in_two_splits_whatever_its_name(
    kind: str, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "people"
    shutil.copytree(people, root)
    first, *_, last = sorted((root / "images").iterdir())
    shutil.copy(root / "masks" / f"{first.stem}.png", root / "masks" / f"{last.stem}.png")
    if kind == "copied":
        shutil.copy(first, last)
    else:
        cv2.imwrite(str(last), cv2.imread(str(first)), [cv2.IMWRITE_JPEG_QUALITY, 80])
    with pytest.raises(DataError, match="the same picture is in two splits"):
        try_probe(root, monkeypatch)


def test_a_subject_in_two_splits(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"of the same subject or video \(0\)"):
        try_probe(people, monkeypatch, data={"group": r"^(\d)"})
    with pytest.raises(SettingError, match="expected folder, none, or a regular expression with a group"):
        try_probe(people, monkeypatch, data={"group": "s"})


@pytest.mark.parametrize(
    ("backbones", "message"),
    [
        (["nowhere.safetensors"], "nowhere.safetensors: no such file or folder; expected a hub id"),
        (["random:nani"], "did you mean random:nano"),
        (["a=random:nano", "a=random:pico"], "'a' occurs 2 times"),
        (["random:nano", "random:nano"], "'random:nano' occurs 2 times; .* first=random:nano"),
        (["pixels=random:nano"], "'pixels' is reserved for a row that every table has"),
        ([], "found none"),
    ],
)
def test_sources_that_mean_nothing(backbones: list[str], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read_sources(backbones, (64, 48))


def test_labels_are_told_from_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert split_label("mine=facebook/sapiens2-pretrain-0.4b") == (
        "mine",
        "facebook/sapiens2-pretrain-0.4b",
    )
    assert split_label("timm/vit_base") == ("timm/vit_base", "timm/vit_base")
    path = "runs/pose/version_0/checkpoints/epoch=3.ckpt"
    assert split_label(path) == (path, path)
    assert split_label(f"mine={path}") == ("mine", path)
    monkeypatch.chdir(tmp_path)
    Path("epoch=3.ckpt").touch()
    assert split_label("epoch=3.ckpt") == ("epoch=3.ckpt", "epoch=3.ckpt")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"step": 3}, "step: probe has no such setting; did you mean steps"),
        ({"data": {"image_sise": 3}}, "did you mean data.image_size"),
        ({"seeds": 0}, "seeds: found 0, expected a whole number of 1 or more"),
        ({"seeds": "three"}, "seeds: found 'three', expected int"),
        ({"tasks": ["normals"]}, "tasks: found 'normals', .* did you mean normal"),
        ({"learning_rates": [0.0]}, "learning_rates"),
        ({"data": {"image_size": [64, 50]}}, "data.label_stride: found 4, expected a divisor"),
        ({"data": {"image_size": [64]}}, "data.image_size"),
    ],
)
def test_settings_that_mean_nothing(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        read_settings(values)


def test_settings_take_other_spellings() -> None:
    found = read_settings({"tasks": ["seg"], "learning_rates": ["1e-3", 1], "data": {"image_size": [64, 48]}})
    assert found.tasks == ("segmentation",)
    assert found.learning_rates == (1e-3, 1.0)
    assert found.data.image_size == (64, 48)
