"""The output of a run: which files there are, that each is whole, and that a second run goes on."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.inference.output import Output, open_output
from sapiens2_lit.inference.prediction import Prediction
from sapiens2_lit.inference.sources import Frame, Source, open_source
from sapiens2_lit.inference.writers.formats import FormatOptions


@pytest.fixture(scope="module")
def heads() -> dict[str, Head]:
    """The networks of the heads in `prediction`; only what they draw is of interest."""
    return {
        "pose": PoseHead(8, "coco17"),
        "seg": SegmentationHead(8),
        "normal": NormalHead(8),
        "depth": DepthHead(8),
        "albedo": AlbedoHead(8),
        "matte": MattingHead(8),
    }


@pytest.fixture
def source(tmp_path: Path, frame: Frame) -> Source:
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.fromarray(frame.image).save(tmp_path / "in" / f"{name}.png")
    return open_source(tmp_path / "in")


@pytest.fixture
def only(prediction: Prediction, heads: dict[str, Head]) -> Prediction:
    """What the heads predict, and no other."""
    return replace(prediction, maps={name: found for name, found in prediction.maps.items() if name in heads})


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def run(output: Output, source: Source, prediction: Prediction) -> list[str]:
    with output:
        done = []
        for frame in source.frames(output.done):
            output.write(frame, prediction)
            done.append(frame.name)
    return done


def test_defaults_are_what_each_head_has(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    out = tmp_path / "out"
    assert run(open_output(None, out, heads, source), source, only) == ["a", "b", "c"]
    kinds = ("seg/segmentation", "normal/normal", "depth/depth", "albedo/albedo", "matte/matte")
    expected = {f"{kind}/{name}.png" for kind in kinds for name in "abc"}
    expected |= {f"pose/keypoints/{name}.json" for name in "abc"}
    expected |= {f"{head}/overlay/{name}.jpg" for head in heads for name in "abc"}
    expected |= {f"{head}/about.json" for head in heads}
    assert files(out) == expected


def test_about_tells_units_and_names(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    options = FormatOptions(frame="opengl", depth_unit=0.01)
    output = open_output(["png", "npz", "json"], tmp_path / "out", heads, source, options=options)
    run(output, source, only)
    about = {head: json.loads((tmp_path / "out" / head / "about.json").read_text()) for head in heads}
    assert about["seg"]["segmentation"]["png"]["names"][0] == "Background"
    assert about["seg"]["segmentation"]["npz"]["unknown"] == 255
    assert about["normal"]["normal"]["png"]["frame"] == "opengl"
    assert about["depth"]["depth"]["png"]["unit"] == 0.01
    assert about["depth"]["depth"]["npz"]["unit"] == "metres"
    assert about["pose"]["keypoints"]["json"]["keypoints"][0] == "nose"
    assert about["matte"]["matte"]["png"]["premultiplied"] is False


def test_formats_go_where_they_mean_something(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    run(open_output(["npz", "coco"], tmp_path / "out", heads, source), source, only)
    found = files(tmp_path / "out")
    assert {name for name in found if name.endswith("a.npz")} == {
        "seg/segmentation/a.npz",
        "normal/normal/a.npz",
        "depth/depth/a.npz",
        "albedo/albedo/a.npz",
        "matte/alpha/a.npz",
        "matte/foreground/a.npz",
    }
    assert {"pose/coco_results.json", "pose/coco_images.json"} <= found


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (["pgn"], r"--formats: found 'pgn', expected some of coco, exr, glb"),
        (["png", "glb"], r"--formats: glb is a format of pointmap; the heads here predict keypoints, seg"),
    ],
)
def test_formats_are_checked_before_any_work(
    tmp_path: Path, source: Source, heads: dict[str, Head], formats: list[str], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        open_output(formats, tmp_path / "out", heads, source)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_to_is_an_error(
    tmp_path: Path, source: Source, heads: dict[str, Head]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="is a file, expected a folder"):
        open_output(None, tmp_path / "file", heads, source)
    with pytest.raises(SettingError, match="cannot be written"):
        open_output(None, tmp_path / "file" / "out", heads, source)


def test_resuming_makes_what_is_missing_and_nothing_else(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    out, formats = tmp_path / "out", ["png", "coco", "json"]
    run(open_output(formats, out, heads, source), source, only)
    whole = {name: (out / name).read_bytes() for name in files(out)}
    (out / "normal" / "normal" / "b.png").unlink()
    (out / "pose" / "keypoints" / "c.json").unlink()
    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    assert run(open_output(formats, out, heads, source, resume=True), source, only) == ["b", "c"]
    assert {name: (out / name).read_bytes() for name in files(out)} == whole
    assert (out / "normal" / "normal" / "a.png").stat().st_mtime_ns == before["normal/normal/a.png"]
    assert run(open_output(formats, out, heads, source, resume=True), source, only) == []
    assert run(open_output([*formats, "npy"], out, heads, source, resume=True), source, only) == [
        "a",
        "b",
        "c",
    ]
    assert run(open_output(formats, out, heads, source), source, only) == ["a", "b", "c"]


@contextmanager
def small_files() -> Iterator[None]:
    """No file may grow beyond 30 kB, as on a full disk. As a fixture it would limit pytest's own output, too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["npy", "exr"])
def test_a_full_disk_leaves_whole_files_and_says_so(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction, name: str
) -> None:
    if name == "exr":
        pytest.importorskip("OpenEXR")
    large = np.random.default_rng(0).normal(size=(100, 100, 3)).astype(np.float32)
    grown = replace(only, maps={**only.maps, "normal": {"normal": large}})
    chosen = {"normal": heads["normal"]}
    out = tmp_path / "out"
    with (
        small_files(),
        pytest.raises(
            SettingError, match=rf"b\.{name} cannot be written: .*large.*existing files are complete"
        ),
        open_output([name], out, chosen, source) as output,
    ):
        for frame, prediction in zip(source, (only, grown, only), strict=True):
            output.write(frame, prediction)
    assert files(out) == {f"normal/normal/a.{name}", "normal/about.json"}


def test_nobody_there_is_a_map_of_nothing(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    """Dense heads that see people alone say nothing where nobody is; files come all the same."""
    nobody = replace(only, maps={}, instances=[])
    out = tmp_path / "out"
    assert run(open_output(["png", "npy", "json", "overlay"], out, heads, source), source, nobody)
    assert (np.asarray(Image.open(out / "seg" / "segmentation" / "a.png")) == 255).all()
    assert np.isnan(np.load(out / "normal" / "normal" / "a.npy")).all()
    assert np.load(out / "depth" / "depth" / "a.npy").shape == nobody.image_size
    assert not np.asarray(Image.open(out / "matte" / "matte" / "a.png"))[..., 3].any()
    assert json.loads((out / "pose" / "keypoints" / "a.json").read_text())["people"] == []


class Contact(NormalHead):
    """A head of one's own, of a kind that this package does not know."""

    targets = ("contact",)


def test_custom_heads_are_written_as_arrays(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    contact = np.random.default_rng(0).random((24, 31)).astype(np.float32)
    own = {"seg": heads["seg"], "touch": Contact(8)}
    prediction = replace(only, maps={"seg": only.maps["seg"], "touch": {"contact": contact}})
    out = tmp_path / "out"
    run(open_output(["npy"], out, own, source), source, prediction)
    np.testing.assert_array_equal(np.load(out / "touch" / "contact" / "c.npy"), contact)
    assert np.load(out / "seg" / "segmentation" / "c.npy").dtype == np.uint8


def test_overlays_show_people_and_their_numbers(
    tmp_path: Path, source: Source, heads: dict[str, Head], only: Prediction
) -> None:
    chosen = {"pose": heads["pose"]}
    out = tmp_path / "out"
    run(open_output(["overlay"], out, chosen, source, options=FormatOptions(overlay="png")), source, only)
    drawn = np.asarray(Image.open(out / "pose" / "overlay" / "a.png")).astype(int)
    image = np.asarray(Image.open(tmp_path / "in" / "a.png")).astype(int)
    assert drawn.shape == image.shape
    changed = np.abs(drawn - image).max(axis=2) > 20
    x, y, width, _ = only.instances[0].box.round().astype(int)
    assert changed[y, x : min(x + width, 30)].all(), "the box's upper side"
    unknown = replace(only, instances=[])
    run(open_output(["overlay"], out, chosen, source, options=FormatOptions(overlay="png")), source, unknown)
    np.testing.assert_array_equal(np.asarray(Image.open(out / "pose" / "overlay" / "a.png")), image)
