"""Training on a folder whose generation was stopped says so, instead of taking what happens to be there."""

from pathlib import Path

import pytest

from sapiens2_lit.datamodules import DepthDataModule, PoseDataModule
from sapiens2_lit.errors import DataError
from sapiens2_lit.synthetic.dataset.dataset import make_dataset, make_sample
from sapiens2_lit.synthetic.dataset.manifest import NAME, Settings, check_finished, write_manifest

SETTINGS = Settings(size=(48, 32), tasks=("pose", "depth"))


@pytest.mark.parametrize("module", [DepthDataModule, PoseDataModule])
def test_a_stopped_generation_is_to_be_finished(tmp_path: Path, module: type) -> None:
    root = tmp_path / "my people"
    write_manifest(root, SETTINGS, 0)
    make_sample(root, 0, SETTINGS)
    with pytest.raises(DataError, match="was stopped, or is still running") as caught:
        module(str(root)).setup("fit")
    assert f"sapiens2-lit synth '{root}' --num NUMBER --size 48 32" in str(caught.value)
    assert "--tasks pose depth" in str(caught.value)
    make_dataset(root, 9, SETTINGS, workers=1, progress=False)
    module(str(root)).setup("fit")


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"num": 0}', '{"generator": "mine", "num": 0}'])
def test_other_folders_are_their_owners_business(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / NAME).write_text(content)
    check_finished(tmp_path)
