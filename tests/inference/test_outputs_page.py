"""docs/outputs.md: its snippets run on what is written, its lists are complete, its results are labels."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.datamodules import NormalDataModule
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.output import open_output
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import open_source
from sapiens2_lit.inference.writers.formats import all_formats

from .conftest import MakeModel, MakePicture

PAGE = (Path(__file__).parents[2] / "docs" / "outputs.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
ALL_FORMATS = all_formats()


@pytest.fixture(scope="module")
def written(
    tmp_path_factory: pytest.TempPathFactory, every_head: InferenceModel, picture: MakePicture
) -> Path:
    """A folder with `photos` and, of every head in every format, `predictions`."""
    for package in ("OpenEXR", "trimesh", "pyarrow"):
        pytest.importorskip(package)
    root = tmp_path_factory.mktemp("page")
    (root / "photos").mkdir()
    Image.fromarray(picture(70, 60)).save(root / "photos" / "photo.png")
    predict(every_head, root, "predictions", ALL_FORMATS)
    return root


def predict(model: InferenceModel, root: Path, out: str, formats: Sequence[str]) -> None:
    """Write what a model says about the photographs below `root`."""
    source = open_source(root / "photos")
    predictor = Predictor(model)
    with open_output(formats, root / out, dict(model.named_heads()), source) as output:
        for frame in source:
            output.write(frame, predictor.predict(frame.image))


@pytest.mark.parametrize("place", range(len(SNIPPETS)))
def test_snippets_run(written: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.chdir(written)
    exec(SNIPPETS[place], {})


def test_snippets_read_what_was_predicted(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)
    found: dict[str, np.ndarray] = {}
    exec(next(snippet for snippet in SNIPPETS if "normals = " in snippet), found)
    assert np.abs(found["normals"] - found["exact"])[found["known"]].max() <= 1.01 / 65535
    exec(next(snippet for snippet in SNIPPETS if "unit = " in snippet), found)
    exact = np.load("predictions/pointmap/depth/photo.npy")
    assert np.abs(found["meters"] - exact).max() <= 0.00051
    exec(next(snippet for snippet in SNIPPETS if "OpenEXR" in snippet), found)
    np.testing.assert_array_equal(found["meters"], exact)


def test_every_format_is_listed(written: Path) -> None:
    listed = re.findall(r"^\| (`.*?) \|", PAGE, flags=re.MULTILINE)
    names = {name for row in listed for name in re.findall(r"`([\w-]+)`", row)}
    assert set(ALL_FORMATS) <= names
    kinds = {path.parent.name for path in (written / "predictions").glob("*/*/*")}
    assert all(f"`{kind}`" in PAGE for kind in kinds)


def test_results_are_labels(written: Path, make_model: MakeModel) -> None:
    """As the page says: a datamodule takes photographs and predicted normals, of one format."""
    predict(make_model("normal"), written, "labels", ["png"])
    Path(written / "photos" / "all.txt").write_text("photo\n")
    data = NormalDataModule(
        str(written / "photos"),
        (64, 48),
        images=".",
        normals="../labels/normal/normal",
        train="all.txt",
        val=None,
        test=None,
        num_workers=0,
        batch_size=1,
        allow=["flat_normals"],  # what an untrained head predicts
    )
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["normal"].shape == (1, 3, 64, 48)
    assert batch["valid"].any()
