"""Packed pictures are predicted on as those of the folder, however they are named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import write_pose_model
from PIL import Image

from sapiens2_lit.cli.main import main
from sapiens2_lit.data.readers.images import find_images
from sapiens2_lit.data.shards.files import matching
from sapiens2_lit.data.shards.pack import pack
from sapiens2_lit.data.shards.paths import ShardPath
from sapiens2_lit.data.shards.roots import open_root
from sapiens2_lit.inference.sources import open_source

QUICK = ["--device", "cpu", "--detector", "none", "--batch_size", "4"]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pose_model(tmp_path_factory.mktemp("model") / "pose.safetensors")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photographs, one of them broken, a video and hidden files in one folder; and the same packed."""
    root, rng = tmp_path_factory.mktemp("mixed"), np.random.default_rng(0)
    folder, packed = root / "pool", root / "packed"
    for name in ("images/0.png", "images/sub/10.png", "images/sub/deep/20.png", "images/21.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (50, 40, 3), dtype=np.uint8)).save(folder / name)
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    (folder / "images" / "walk.mp4").write_bytes(b"no video")  # stays beside the shards
    (folder / "images" / "._0.png").write_bytes(b"of a Mac")
    pack(folder, packed, 10_000, "fast", 1, lambda _: None)
    return folder, packed


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "count"), [("images", 10), ("images/*[13].jpg", 2), ("images/000004.jpg", 1)]
)
def test_files_are_those_of_the_folder(
    people: Path, packed: Path, model: str, place: str, count: int, tmp_path: Path
) -> None:
    for root, out in ((people, "folder"), (packed, "shards")):
        given = ["predict", "--model", model, "--images", str(root / place), "--output", str(tmp_path / out)]
        assert main([*given, *QUICK, "--formats", "json", "coco", "overlay"]) == 0
    found = tree(tmp_path / "shards")
    assert found == tree(tmp_path / "folder")
    assert len([name for name in found if "overlay" in name]) == count


@pytest.mark.slow
def test_a_dataset_of_packed_pictures_is_that_of_the_folder(
    people: Path, packed: Path, model: str, tmp_path: Path, capsys: Captured
) -> None:
    given = ["predict", "--model", model, *QUICK, "--copy_images"]
    for root, out in ((people, "folder"), (packed, "shards")):
        where = ["--images", str(root / "images"), "--as_dataset", str(tmp_path / out)]
        assert main([*given, *where]) == 0
        refused = [
            *given,
            *where[:-1],
            str(tmp_path / "none"),
            "--held_out",
            str(packed / "images" / "*[13].*"),
        ]
        capsys.readouterr()
        assert main(refused) == 1
        assert "2 of 10 pictures are among those of --held_out" in capsys.readouterr().err
    assert tree(tmp_path / "shards") == tree(tmp_path / "folder")


@pytest.mark.parametrize(
    "place",
    ["", "images", "images/sub", "images/*", "images/**", "**/*.png", "*/sub/*", "images/**/deep/2?.png"],
)
def test_patterns_and_folders_find_what_they_find_on_disk(mixed: tuple[Path, Path], place: str) -> None:
    """Also where files beside the shards make a folder of the pack exist on disk."""
    sources = [open_source(root / place) for root in mixed]
    for kind in ("photos", "videos"):
        first, second = ([str(path) for path in getattr(source, kind)] for source in sources)
        assert first == second
    names = [
        [path.relative_to(root).as_posix() for path in find_images(open_root(root / place))] for root in mixed
    ]
    assert names[0] == names[1]
    assert sources[1].photos and names[1]
    if "*" in place:
        files = [
            sorted(
                path.relative_to(root).as_posix()
                for path in matching(open_root(root / place))
                if path.is_file()
            )
            for root in mixed
        ]
        assert files[0] == files[1]


def test_a_folder_that_only_lies_below_a_pack_is_a_plain_one(
    mixed: tuple[Path, Path], tmp_path: Path
) -> None:
    packed = tmp_path / "packed"
    shutil.copytree(mixed[1], packed)
    (packed / "predictions").mkdir()
    found = open_root(packed / "predictions")
    assert found == packed / "predictions"
    assert not isinstance(found, ShardPath)
    assert isinstance(open_root(packed / "images"), ShardPath)
