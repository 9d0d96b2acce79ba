"""A teacher in the loop, as users call it."""

from pathlib import Path

import pytest
import yaml
from helpers import QUIET, series

from sapiens2_lit.cli.main import main
from sapiens2_lit.synthetic.dataset.dataset import make_dataset
from sapiens2_lit.synthetic.dataset.manifest import Settings

TINY = ["--config", "size/smoke.yaml", *QUIET, "--data.batch_size", "4", "--pictures.num_samples", "0"]
SEGMENTATION = ["fit", "--config", "segmentation_29.yaml", *TINY]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people")
    make_dataset(root, 24, Settings(size=(96, 72), tasks=("segmentation",)), workers=1, progress=False)
    return root


@pytest.fixture(scope="module")
def teacher(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("teacher")
    run = [*SEGMENTATION, "--trainer.max_steps", "2", "--data.root", str(people), "--output", str(output)]
    assert main(run) == 0
    return output


@pytest.mark.slow
def test_pictures_without_labels_beside_labelled_ones(
    people: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    dense = {
        "class_path": "sapiens2_lit.datamodules.SegmentationDataModule",
        "init_args": {"root": str(people)},
    }
    pool = {"root": str(people / "images")}
    init = {
        "schedule": "all",
        "datasets": {
            "mine": dense,
            "pool": {"class_path": "sapiens2_lit.datamodules.UnlabeledDataModule", "init_args": pool},
        },
    }
    data = {"class_path": "sapiens2_lit.datamodules.MultitaskDataModule", "init_args": init}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"data": data}))
    run = ["fit", "--config", "segmentation_29.yaml", "--config", str(tmp_path / "data.yaml"), *TINY]
    run += ["--model.teacher.weights", str(teacher), "--model.teacher.features", "1.0"]
    assert main([*run, "--trainer.max_steps", "3", "--output", str(tmp_path / "run")]) == 0
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert "24 images without labels to learn from" in said
    assert f"teacher: {teacher}" in said and "teaches seg, teacher_features" in said
    assert "times as fast as its teacher" in said
    folder = tmp_path / "run" / "version_0"
    assert series(folder).keys() >= {
        "train/seg/cross_entropy", "train/seg/teacher_kl", "train/teacher_features/cosine", "val/score",
    }  # fmt: skip
    assert main(["validate", "--model", str(tmp_path / "run"), *QUIET[:4]]) == 0, "without the teacher"


@pytest.mark.slow
def test_a_pool_alone(people: Path, teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = [*SEGMENTATION, "--data", "UnlabeledDataModule", "--data.root", str(people / "images")]
    run += ["--trainer.max_steps", "2", "--output", str(tmp_path / "run")]
    assert main([*run, "--model.teacher.weights", str(teacher)]) == 0
    captured = capsys.readouterr()
    assert "no val/score was measured" in captured.out
    assert main([*run, "--model.teacher.weights", str(tmp_path / "nobody")]) == 1
    assert "model.teacher.weights: found" in capsys.readouterr().err
