"""What does not go together is named, with the remedy."""

from pathlib import Path

import pytest
from small_teachers import fit, student, write_teacher

from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import DepthHead, PoseHead, SegmentationHead
from sapiens2_lit.training.adaptation import Adapt
from sapiens2_lit.training.distillation.lessons import check_unit
from sapiens2_lit.training.distillation.settings import Teacher
from sapiens2_lit.training.distillation.source import find_teacher, settings_by_name
from sapiens2_lit.training.distillation.vocabulary import find_rows


def refused(settings: Teacher, folder: Path, **options: object) -> str:
    with pytest.raises((SettingError, WeightsError)) as error:
        fit(student(settings, **options), folder, epochs=1)
    return str(error.value)


def test_settings_are_checked() -> None:
    for wrong, named in (
        ({"weights": ""}, "weights: found none"),
        ({"weights": "x", "heads": {"seg": -1.0}}, "heads.seg: found -1"),
        ({"weights": "x", "features": float("nan")}, "features: found nan"),
        ({"weights": "x", "temperature": 0.0}, "temperature: found 0"),
        ({"weights": "x", "heads": []}, "it teaches nothing"),
        ({"weights": "x", "cache_limit_gb": 3.0}, "no effect without model.teacher.cache"),
    ):
        with pytest.raises(SettingError, match=named):
            Teacher(**wrong)  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.ckpt")
    text = refused(Teacher(missing), tmp_path)
    assert missing in text and "facebook/sapiens2-seg-1b" in text


def test_heads_without_a_teacher_are_named(tmp_path: Path) -> None:
    weights = write_teacher(tmp_path / "seg.ckpt", "seg")
    text = refused(Teacher(weights, heads=["normal"]), tmp_path)
    assert (
        "found normal, a NormalHead" in text
        and "seg (SegmentationHead)" in text
        and "leave normal out" in text
    )
    assert "found hands" in refused(Teacher(weights, heads=["hands"]), tmp_path)
    pose = write_teacher(tmp_path / "pose.ckpt", "pose")
    assert "no task in common" in refused(Teacher(pose), tmp_path)
    assert "teaches nothing here" in refused(Teacher([weights, pose]), tmp_path)
    assert "several heads could teach seg" in refused(Teacher([weights, weights], heads=["seg"]), tmp_path)


def test_features_of_a_frozen_backbone_cannot_learn(tmp_path: Path) -> None:
    weights = write_teacher(tmp_path / "seg.ckpt", "seg")
    text = refused(Teacher(weights, features=1.0), tmp_path, adapt=Adapt("frozen"))
    assert "teacher_features" in text and "model.adapt.mode" in text


def test_a_cache_that_nobody_opens_is_said(tmp_path: Path) -> None:
    weights = write_teacher(tmp_path / "seg.ckpt", "seg")
    assert "TeacherCache" in refused(Teacher(weights, cache=str(tmp_path / "cache")), tmp_path)


def test_keypoints_are_mapped_by_name_and_classes_all_or_none() -> None:
    coco, whole = PoseHead(32, "coco17"), PoseHead(32, "coco_wholebody133")
    rows = find_rows("pose", coco, whole, "file")
    assert rows is not None and all(rows.known) and not rows.whole
    assert [whole.skeleton.keypoints[row] for row in rows.index] == list(coco.skeleton.keypoints)
    back = find_rows("pose", whole, coco, "file")
    assert back is not None and sum(back.known) == 19, "the roots of both hands are wrists"

    names = {"name": "own", "names": ["background", "hair", "wheel"]}
    from sapiens2_lit.vocabularies import make_classes

    own = SegmentationHead(32, make_classes(names["names"], "own"))
    with pytest.raises(
        SettingError, match=r"file has other classes .*it lacks wheel.*Give the head the teacher's"
    ):
        find_rows("seg", own, SegmentationHead(32), "file")
    two = SegmentationHead(32, make_classes(["hair", "background"], "own"))
    found = find_rows("seg", two, SegmentationHead(32), "file")
    assert found is not None and not found.whole
    known = SegmentationHead(32).classes.names
    assert [known[row].lower() for row in found.index] == ["hair", "background"]


def test_metres_do_not_teach_relative_depth() -> None:
    check_unit("depth", DepthHead(32), DepthHead(32), "file")
    with pytest.raises(
        SettingError, match=r"file predicts meters, but model.heads.depth predicts relative depth"
    ):
        check_unit("depth", DepthHead(32, relative=True), DepthHead(32), "file")


def test_released_models_are_known_by_name_in_a_plan_alone(tmp_path: Path) -> None:
    found = settings_by_name("facebook/sapiens2-pose-5b")
    assert found is not None and found["backbone"]["init_args"]["size"] == "5b"
    assert settings_by_name("facebook/sapiens2-pretrain-1b") is None
    planned = find_teacher("facebook/sapiens2-seg-1b", planned=True)
    assert planned.image_size == (1024, 768) and planned.origin.licence == "sapiens2-license"
    assert [name for name, _ in planned.factory.build_empty().named_heads()] == ["seg"]
