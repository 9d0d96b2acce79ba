"""One iteration over photographs and videos, whatever place is given."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.sources import open_source

from .conftest import MakeVideo, spoil


def write_image(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((6, 8, 3), value, dtype=np.uint8))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, name in enumerate(["b.png", "a.jpg", "sub/a.png"]):
        write_image(tmp_path / "in" / name, 40 * place)
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    return tmp_path / "in"


def test_folders_files_and_globs(folder: Path) -> None:
    names = [frame.name for frame in open_source(folder)]
    assert names == ["a", "b", "sub/a"]
    assert [frame.name for frame in open_source(folder / "b.png")] == ["b"]
    assert [frame.name for frame in open_source(str(folder / "**" / "*.png"))] == ["b", "sub/a"]
    first = next(iter(open_source(folder)))
    assert (first.file, first.index, first.time, first.image.shape) == ("a.jpg", 0, None, (6, 8, 3))


def test_videos_follow_with_numbered_frames(folder: Path, make_video: MakeVideo) -> None:
    make_video("in/walk.mp4", 4)
    source = open_source(folder)
    frames = list(source)
    assert [frame.name for frame in frames][3:] == [f"walk/{index:06}" for index in range(4)]
    assert frames[-1].file == "walk.mp4"
    assert frames[-1].time == pytest.approx(0.12)
    assert frames[-1].video is source.videos["walk"]
    assert source.total == 7


def test_what_is_skipped_is_not_read(folder: Path, make_video: MakeVideo) -> None:
    make_video("in/walk.mp4", 4)
    (folder / "b.png").write_bytes(b"broken")
    source = open_source(folder)
    left = [frame.name for frame in source.frames(lambda name: name in ("b", "walk/000001"))]
    assert left == ["a", "sub/a", "walk/000000", "walk/000002", "walk/000003"]
    assert not source.problems
    assert [frame.name for frame in source.frames(lambda name: name in ("b", "walk"))] == ["a", "sub/a"]


def test_unreadable_files_are_reported_and_the_others_come(folder: Path, make_video: MakeVideo) -> None:
    (folder / "b.png").write_bytes(b"broken")
    spoil(make_video("in/walk.mp4", 30), 12)
    (folder / "empty.mp4").touch()
    source = open_source(folder)
    frames = list(source)
    assert [frame.name for frame in frames][:2] == ["a", "sub/a"]
    assert 20 < len(frames) < 32
    names = [Path(problem.split(":")[0]).name for problem in source.problems]
    assert names == ["b.png", "empty.mp4", "walk.mp4"]
    assert len(list(source)) == len(frames)
    assert len(source.problems) == 3, "of one iteration, not of all"


def test_files_of_one_stem_have_results_of_their_own(folder: Path) -> None:
    write_image(folder / "b.jpg")
    assert [frame.name for frame in open_source(folder)] == ["a", "b_jpg", "b_png", "sub/a"]
    write_image(folder / "b_png.png")
    with pytest.raises(DataError, match=r"b\.png and b_png\.png would have the same name"):
        open_source(folder)


def test_a_video_and_a_folder_of_one_name(folder: Path, make_video: MakeVideo) -> None:
    make_video("in/sub.mp4", 2)
    names = [frame.name for frame in open_source(folder)]
    assert names == ["a", "b", "sub/a", "sub_mp4/000000", "sub_mp4/000001"]


def test_results_are_not_taken_for_images(folder: Path) -> None:
    assert [frame.name for frame in open_source(folder, without=folder / "sub")] == ["a", "b"]
    assert len(open_source(folder, without=folder.parent).photos) == 3, "images below the results are images"
    assert len(open_source(folder / "a.jpg", without=folder).photos) == 1
    assert len(open_source(str(folder / "*.png"), without=folder).photos) == 1
    for place in (folder, str(folder / "**" / "*.png")):
        with pytest.raises(SettingError, match="is also the folder of the images"):
            open_source(place, without=folder)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none", "no such file"),
        ("in/notes.txt", r"found a \.txt"),
        ("empty", "found no image"),
        ("in/*.gif", "found no"),
    ],
)
def test_nothing_to_read_is_an_error(folder: Path, place: str, message: str) -> None:
    (folder.parent / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        open_source(folder.parent / place)
