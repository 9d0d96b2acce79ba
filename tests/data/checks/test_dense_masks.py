"""Masks that would teach nothing, or something else, are told before training."""

import logging

import cv2
import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.cli.main import main
from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.datamodules import SegmentationDataModule
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.vocabularies import load_classes

COLORS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 0, 128), (128, 128, 0)]


def data_of(root, classes="classes.yaml", **settings):
    path = root / classes
    settings = {"val": None, "augment": None, "num_workers": 0, **settings}
    return SegmentationDataModule(str(root), (64, 48), str(path) if path.exists() else classes, **settings)


def findings(root, classes="classes.yaml", **settings):
    data = data_of(root, classes, **settings)
    data.setup("fit")
    return {finding.check: finding for finding in data.report.findings}


def rewrite(root, change):
    for path in (root / "masks").iterdir():
        cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def two_classes(root, more=""):
    (root / "two.yaml").write_text(f"classes: [background, person]\n{more}")
    return "two.yaml"


@pytest.mark.parametrize("low", [0, 1])
def test_people_of_an_ignored_value_are_an_error_with_the_remap(folder, eight, low):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask > 0, 255, low).astype(np.uint8))
    kept = "background" if low == 0 else "person"
    other = "person" if low == 0 else "background"
    with pytest.raises(LabelError, match=rf"ignored_people.*(.|\n)*remap: {{{low}: {kept}, 255: {other}}}"):
        data_of(root, two_classes(root)).setup("fit")
    # the remedy, as the message gives it
    more = f"remap: {{{low}: {kept}, 255: {other}}}"
    assert not findings(root, two_classes(root, more))
    assert "ignored_people" in findings(root, two_classes(root), allow=["ignored_people"])


def test_many_classes_do_not_hide_ignored_people(folder, eight):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask > 0, 255, 0).astype(np.uint8))
    with pytest.raises(LabelError, match=r"only 'Background' is learned"):
        data_of(root, "body29").setup("fit")


def test_another_ignored_value_that_is_people(folder, eight):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask > 0, 9, 0).astype(np.uint8))
    with pytest.raises(LabelError, match=r"9 is ignored: only 'background' is learned"):
        data_of(root, two_classes(root, "ignore_index: 9")).setup("fit")


def test_ignored_borders_are_no_people(folder, eight):
    root = folder(eight)

    def border(mask):
        edge = cv2.morphologyEx((mask > 0).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        return np.where(edge > 0, 255, mask).astype(np.uint8)

    rewrite(root, border)
    assert not findings(root)


@pytest.mark.parametrize("value", [0, 2])
def test_masks_of_one_class_are_told(folder, eight, value, caplog):
    root = folder(eight)
    rewrite(root, lambda mask: np.full_like(mask, value))
    found = findings(root)["one_class"]
    assert found.severity == "warning"
    assert f"8 masks hold only '{['background', '', 'trunk'][value]}'" in found.message
    assert "one_class" in caplog.text


def test_classes_that_never_occur_are_named(folder, eight, caplog):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask == 3, 2, mask).astype(np.uint8))
    found = findings(root)["absent_classes"]
    assert (found.severity, found.count, found.total) == ("warning", 1, 5)
    assert "left_arm" in found.message
    few = findings(root, "body29")["absent_classes"]  # 4 of 29: most are missing
    assert few.severity == "warning"


def test_classes_with_their_shares_are_said_once_at_the_start(folder, eight, caplog):
    root = folder(eight)
    with caplog.at_level(logging.INFO):
        data = data_of(root)
        data.setup("fit")
    total = sum(np.bincount(one.mask.ravel(), minlength=5) for one in eight)
    assert caplog.text.count("train (masks): 8 files") == 1
    assert f"background {100 * total[0] / total.sum():.3g} %" in caplog.text


def palettes(root, colors_of, transform=lambda mask: mask):
    for index, path in enumerate(sorted((root / "masks").iterdir())):
        image = Image.fromarray(transform(np.array(Image.open(path)))).convert("P")
        image.putpalette([channel for color in colors_of(index) for channel in color])
        image.save(path)


def test_colored_masks_saved_with_a_palette_of_their_own_are_an_error(folder, people):
    root = folder(people(5))
    for path in (root / "masks").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        colored = Image.fromarray(np.array(COLORS, np.uint8)[mask])
        colored.convert("P", palette=Image.Palette.ADAPTIVE, colors=5).save(path)
    with pytest.raises(LabelError, match=r"palette_masks.*4 has the color of 'background'"):
        data_of(root).setup("fit")
    palettes(root, lambda index: COLORS[index % 5 :] + COLORS[: index % 5])
    with pytest.raises(LabelError, match=r"palette_masks.*5 indices have several colors in these files"):
        data_of(root).setup("fit")


def test_palettes_that_agree_are_no_error(folder, eight):
    root = folder(eight)
    palettes(root, lambda index: COLORS)
    assert not findings(root)


def test_a_palette_in_another_order_than_the_classes_is_an_error(folder, eight):
    root = folder(eight)
    rows = ", ".join(f"{{name: c{index}, color: {list(color)}}}" for index, color in enumerate(COLORS))
    (root / "own.yaml").write_text(f"classes: [{rows}]\nbackground: c0\n")
    palettes(root, lambda index: COLORS)
    assert not findings(root, "own.yaml")
    palettes(root, lambda index: [COLORS[0], *COLORS[:0:-1]])
    with pytest.raises(LabelError, match=r"palette_masks.*1 has the color of 'c4'"):
        data_of(root, "own.yaml").setup("fit")
    palettes(root, lambda index: COLORS[::-1])  # the classes have no colors, but black is the background's
    with pytest.raises(LabelError, match=r"palette_masks.*4 has the color of 'background'"):
        data_of(root).setup("fit")


def test_a_side_without_partner_is_told(folder, eight):
    root = folder(eight)
    (root / "own.yaml").write_text("classes: [background, head, trunk, left_arm, arm_on_the_right]\n")
    assert "left_arm" in findings(root, "own.yaml")["unpaired_classes"].message
    (root / "own.yaml").write_text(
        "classes: [background, head, trunk, left_arm, arm_on_the_right]\nswaps: [[3, 4]]\n"
    )
    assert not findings(root, "own.yaml")


def test_what_remap_says_wins_over_the_default(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("classes: [background, person]\nremap: {0: background, 255: person}")
    assert load_classes(path).lookup()[[0, 255]].tolist() == [0, 1]
    path.write_text("classes: [background, person]\nremap: {0: background, 1: person}")
    assert load_classes(path).lookup()[[0, 1, 255]].tolist() == [0, 1, 255]
    path.write_text("classes: [background, person]\nremap: {0: background, 255: ignore}\nignore_index: 255")
    assert load_classes(path).lookup()[255] == 255
    path.write_text("classes: [background, person]\nremap: {0: background, 9: person}\nignore_index: [9]")
    with pytest.raises(
        SettingError, match=r"`ignore_index` has the mask value 9, and `remap` makes it 'person'"
    ):
        load_classes(path)


def test_a_value_that_is_no_class_comes_with_the_remap(folder, eight):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask > 0, 200, 0).astype(np.uint8))
    with pytest.raises(LabelError, match=r"remap: {0: background, 200: person}"):
        data_of(root, two_classes(root)).setup("fit")


@pytest.mark.parametrize("pattern", ["{}_mask", "mask_{}", "{}-seg", "{}.jpg"])
def test_masks_with_a_suffix_are_found_by_their_names(folder, eight, pattern):
    root = folder(eight)
    for path in list((root / "masks").iterdir()):
        path.rename(path.with_name(pattern.format(path.stem) + ".png"))
    with pytest.raises(DataError, match=rf"found {pattern.format('0000')}.png: (rename|convert or rename)"):
        data_of(root).setup("fit")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/0000.png masks/0000.png", r"'0000' is there: leave out folders and suffixes, column 1 of 2"),
        ("a,0001", r"'0001' is there: leave out folders and suffixes, column 2 of 2 only"),
        ("images\\0002.png", r"'0002' is there: leave out folders"),
        ("0003.png", r"leave out the suffix"),
        ("/data/images/0003.png", r"'0003' is there"),
    ],
)
def test_lines_of_splits_say_what_would_fit(folder, eight, line, message):
    root = folder(eight)
    (root / "splits/train.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        data_of(root).setup("fit")


def test_masks_that_cannot_be_read_stop_or_are_left_out(folder, eight, caplog):
    root = folder(eight)
    (root / "masks/0002.png").write_bytes(b"no mask")
    with pytest.raises(
        LabelError, match=r"broken_labels.*1 of 8 files(.|\n)*0002.png: the mask cannot be read"
    ):
        data_of(root).setup("fit")
    data = data_of(root, on_bad="skip")
    data.setup("fit")
    assert [finding.severity for finding in data.report.findings] == ["warning"]
    samples = [data.datasets["train"][index]["sample"] for index in range(8)]
    assert samples[2].endswith("0003.png")
    assert "0002.png" not in "".join(samples)
    data.teardown("fit")
    assert "1 of 8 samples were left out, they cannot be read" in caplog.text


def test_bad_samples_of_validation_do_not_count(folder, eight):
    root = folder(eight)
    (root / "splits/val.txt").write_text("0002\n0003")
    (root / "masks/0002.png").write_bytes(b"no mask")
    data = data_of(root, val="splits/val.txt", on_bad="skip")
    data.setup("validate")
    assert (data.datasets["val"][0]["segmentation"] == 255).all()
    assert (data.datasets["val"][1]["segmentation"] != 255).any()


@pytest.mark.slow
def test_the_command_stops_and_what_is_allowed_is_kept_with_the_run(folder, eight, capsys, tmp_path):
    root = folder(eight)
    rewrite(root, lambda mask: np.where(mask > 0, 255, 0).astype(np.uint8))
    command = [
        "fit",
        "--config",
        "segmentation_29.yaml",
        "--config",
        "size/test.yaml",
        "--data.root",
        str(root),
    ]
    command += ["--model.heads.seg.classes", str(root / two_classes(root)), "--trainer.max_steps", "1"]
    command += ["--data.val", "null", "--data.batch_size", "2", "--data.num_workers", "0"]
    command += ["--output", str(tmp_path / "runs"), "--trainer.accelerator", "cpu"]
    command += ["--trainer.enable_progress_bar", "false", "--trainer.precision", "32-true"]
    assert main(command) == 1
    said = capsys.readouterr()
    assert "remap: {0: background, 255: person}" in said.err + said.out
    assert "--data.allow '[ignored_people]'" in said.err + said.out
    assert main([*command, "--data.allow", "[ignored_people]"]) == 0
    kept = next((tmp_path / "runs").rglob("config.yaml")).read_text()
    assert "- ignored_people" in kept
