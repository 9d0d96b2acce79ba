"""Images of keypoint files: names, folders, damage, EXIF, splits."""

import json
import unicodedata

import cv2
import numpy as np
import pytest
from PIL import Image
from pose_files import check_pose, check_pose_raw, found, rename

from sapiens2_lit.data.checks import LabelError
from sapiens2_lit.datamodules import PoseDataModule
from sapiens2_lit.errors import DataError


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name: f"images\\{name}", "'0001.jpg' is there"),
        (lambda name: f"/data/upload/18/{name}", "'0001.jpg' is there"),
        (lambda name: f"C:\\photos\\{name}", "'0001.jpg' is there"),
        (lambda name: f"../{name}", "'0001.jpg' is there"),
        (lambda name: f"other/{name}", "'0001.jpg' is there"),
        (lambda name: name.upper(), "'0001.jpg' is there: upper and lower case differ"),
        (lambda name: name.replace(".jpg", ".png"), "'0001.jpg' is there: another suffix"),
    ],
)
def test_names_that_are_not_there_say_what_is_and_invent_nothing(pose, change, told):
    def one(data):
        data["images"][0]["file_name"] = change(data["images"][0]["file_name"])

    with pytest.raises(DataError) as error:
        check_pose_raw(pose(one))
    text = str(error.value)
    assert told in text
    assert "->" in text  # what to do
    assert "image_id" not in text  # no problem of the annotations
    assert "annotation 1" not in text


@pytest.mark.parametrize(
    "change",
    [
        lambda name: f"images\\{name}",
        lambda name: f"/data/upload/18/{name}",  # Label Studio: https://labelstud.io/guide/export
        lambda name: f"/data/local-files/?d=photos/{name}",
        lambda name: f"images/0123abcd-{name}",
        lambda name: f"C:\\photos\\{name}",
        lambda name: f"../{name}",
        lambda name: f"other/{name}",
    ],
)
def test_names_of_another_machine_are_found_by_their_ends(pose, change):
    told = found(pose(rename(change)), "moved_images", "note")
    assert "0001.jpg" in told.message
    module = PoseDataModule(str(pose(rename(change))), "coco17", (64, 48), val=None, augment=None)
    module.setup("fit")
    assert module.datasets["train"][0]["image"].shape == (3, 64, 48)


def test_names_of_another_machine_that_may_be_two_files_are_refused(pose):
    root = pose(rename(lambda name: f"/data/upload/{name}"))
    (root / "images/a").mkdir()
    (root / "images/a/0001.jpg").write_bytes((root / "images/0001.jpg").read_bytes())
    with pytest.raises(DataError, match=r"`file_name` is '/data/upload/0001.jpg', expected a path inside"):
        check_pose_raw(root)


def test_a_folder_in_the_name_has_a_setting(pose):
    root = pose(rename(lambda name: f"photos/{name}"))
    (root / "images").rename(root / "photos")
    path = root / "annotations/train.json"
    data = json.loads(path.read_text())
    data["images"][0]["file_name"] = "0001.jpg"
    (root / "annotations/mixed.json").write_text(json.dumps(data))
    settings = {"val": None, "images": "photos", "train": "mixed.json"}
    with pytest.raises(LabelError, match=r"the folder 'photos' is in the name(?s:.)*--data.images \. looks"):
        PoseDataModule(str(root), "coco17", (64, 48), **settings).setup("fit")
    assert not [one for one in check_pose(root, images=".") if one.stops or one.warns]
    assert not [one for one in check_pose(root) if one.stops or one.warns]  # found where nothing is set


def test_images_in_another_folder_are_named_with_the_setting(pose):
    root = pose()
    (root / "images").rename(root / "photos")
    (root / "pictures").mkdir()
    with pytest.raises(DataError, match=r"'photos/0001.jpg' is in (?s:.)*--data.images photos looks there"):
        PoseDataModule(str(root), "coco17", (64, 48), val=None, images="pictures").setup("fit")


def test_names_in_another_unicode_form_are_the_same(pose):
    root = pose()
    name = unicodedata.normalize("NFC", "café 1.jpg")
    (root / "images/0001.jpg").rename(root / "images" / unicodedata.normalize("NFD", name))
    path = root / "annotations/train.json"
    data = json.loads(path.read_text())
    data["images"][0]["file_name"] = name
    path.write_text(json.dumps(data))
    module = PoseDataModule(str(root), "coco17", (64, 48), val=None, num_workers=0, augment=None)
    module.setup("fit")
    assert module.datasets["train"][0]["image"].shape == (3, 64, 48)


@pytest.mark.parametrize("layout", ["coco", "roboflow", "named", "mapping"])
def test_folders_of_images_as_people_have_them(tmp_path, pose, layout):
    root = pose()
    new = tmp_path / "new"
    (new / "annotations").mkdir(parents=True)
    for split in ("train", "val"):
        folder, file = {
            "coco": (f"images/{split}2017", f"annotations/person_keypoints_{split}2017.json"),
            "roboflow": (split, f"{split}/_annotations.coco.json"),
            "named": (split, f"annotations/{split}.json"),
            "mapping": (f"photos/{split}", f"annotations/{split}.json"),
        }[layout]
        (new / folder).mkdir(parents=True)
        for path in (root / "images").iterdir():
            (new / folder / path.name).write_bytes(path.read_bytes())
        (new / file).write_text((root / "annotations/train.json").read_text())
    files = {
        "coco": {split: f"person_keypoints_{split}2017.json" for split in ("train", "val")},
        "roboflow": {split: f"{split}/_annotations.coco.json" for split in ("train", "val")},
    }.get(layout, {"train": "train.json", "val": "val.json"})
    images = {"images": {"train": "photos/train", "val": "photos/val"}} if layout == "mapping" else {}
    module = PoseDataModule(str(new), "coco17", (64, 48), **files, **images, augment=None, num_workers=0)
    module.setup("fit")
    assert "train" in str(module.files["train"][0].people.path(0))
    assert "val" in str(module.files["val"][0].people.path(0))
    assert module.datasets["train"][0]["image"].shape == (3, 64, 48)
    assert "same_picture_in_splits" in {one.check for one in module.report.findings}


def test_one_bad_row_of_many_stops_or_is_left_out_and_counted(pose):
    def change(data):
        data["annotations"][1]["keypoints"] = [1, 2, 3]
        data["images"][2]["file_name"] = "gone.jpg"
        data["images"][3]["id"] = "four"
        data["annotations"][3]["image_id"] = "four"

    finding = found(pose(change, people=20), "bad_entries", "error")
    assert "--data.on_bad skip" in finding.remedy
    assert finding.count == 3
    finding = found(pose(change, people=20), "bad_entries", "warning", on_bad="skip")
    assert "2 images and 3 annotations" in finding.message
    module = PoseDataModule(str(pose(change, people=20)), "coco17", (64, 48), val=None, on_bad="skip")
    module.setup("fit")
    assert len(module.datasets["train"]) == 17
    assert "3 that cannot be read" in module.describe()


def test_damaged_images_are_replaced_where_bad_ones_are_skipped(pose):
    root = pose()
    (root / "images/0002.jpg").write_bytes(b"")
    assert found(root, "damaged_images", "error").examples[0].file.endswith("0002.jpg")
    module = PoseDataModule(
        str(root), "coco17", (64, 48), val=None, on_bad="skip", augment=None, num_workers=0
    )
    module.setup("fit")
    assert "0003.jpg" in module.datasets["train"][1]["sample"]
    assert module.datasets["train"].bad.count == 1


def test_hidden_files_are_no_images(pose):
    from sapiens2_lit.data.readers.images import find_images

    root = pose() / "images"
    (root / "._0001.jpg").write_bytes(b"\0\5\x16\7")
    (root / ".cache").mkdir()
    (root / ".cache/0009.jpg").write_bytes((root / "0001.jpg").read_bytes())
    names = [path.name for path in find_images(root)]
    assert names == ["0001.jpg", "0002.jpg", "0003.jpg", "0004.jpg"]
    assert [path.name for path in find_images(root / "*")] == names
    assert [path.name for path in find_images(root / "**/*.jpg")] == names


def test_photographs_stored_turned_without_declared_sizes_warn(pose):
    root = pose(lambda data: [(one.pop("width"), one.pop("height")) for one in data["images"]])
    for path in sorted((root / "images").iterdir())[:3]:
        exif = Image.Exif()
        exif[0x112] = 6
        image = Image.open(path).transpose(Image.Transpose.ROTATE_90)
        image.save(path, exif=exif)
    finding = found(root, "turned_images", "warning")
    assert (finding.count, finding.total) == (3, 4)
    assert "upright" in finding.message


def test_wrong_declared_sizes_stop_before_the_first_step(pose):
    root = pose(lambda data: [one.update(width=128, height=96) for one in data["images"]])
    assert found(root, "image_sizes", "error").count == 4


def test_twelve_bits_in_sixteen_warn(pose):
    root = pose(rename(lambda name: name.replace("jpg", "png")), images=False)
    rng = np.random.default_rng(0)
    for number in range(1, 5):
        pixels = rng.integers(0, 4096, (128, 96, 3)).astype(np.uint16)
        cv2.imwrite(str(root / f"images/{number:04d}.png"), pixels)
    assert found(root, "twelve_bits", "warning").count == 4
    for number in range(1, 5):
        pixels = rng.integers(0, 65536, (128, 96, 3)).astype(np.uint16)
        cv2.imwrite(str(root / f"images/{number:04d}.png"), pixels)
    assert not [one for one in check_pose(root) if one.warns]


def test_pictures_in_two_splits_warn_by_name_and_by_content(pose):
    root = pose()
    path = root / "annotations/train.json"
    (root / "annotations/val.json").write_text(path.read_text())
    assert found(root, "same_file_in_splits", "warning", val="val.json").count == 4
    data = json.loads(path.read_text())
    (root / "images/copies").mkdir()
    for image in data["images"]:
        copied = root / "images/copies" / image["file_name"]
        copied.write_bytes((root / "images" / image["file_name"]).read_bytes())
        image["file_name"] = f"copies/{image['file_name']}"
        image["id"] += 100
    for one in data["annotations"]:
        one["image_id"] += 100
    (root / "annotations/val.json").write_text(json.dumps(data))
    finding = found(root, "same_picture_in_splits", "warning", val="val.json")
    assert finding.count == 4
    assert "are on training pictures" in finding.message
