"""A file is there whole, or as it was."""

import errno
from pathlib import Path

import pytest

from sapiens2_lit.atomic_write import (
    bring_back,
    held,
    replace_folder,
    whole_file,
    whole_folder,
    write_whole,
)
from sapiens2_lit.errors import SettingError


def test_folders_are_made_and_files_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    for data in (b"first", b"second"):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_was_there_stays_when_writing_fails(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    write_whole(path, b"before")
    with pytest.raises(type(error)), whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert path.read_bytes() == b"before"
        raise error
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        SettingError, match=r"file/below cannot be written: .*Make room or choose another folder"
    ):
        write_whole(tmp_path / "file" / "below", b"")


def test_a_folder_appears_whole_or_what_was_there_stays(tmp_path: Path) -> None:
    place = tmp_path / "out"
    with whole_folder(place) as folder:
        (folder / "one").touch()
        assert not place.exists()
    with pytest.raises(KeyError), whole_folder(place) as folder:
        (folder / "two").touch()
        raise KeyError
    assert [path.name for path in place.iterdir()] == ["one"]
    with whole_folder(place) as folder:
        (folder / "three").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/three"]


def test_a_folder_whose_replacement_was_killed_comes_back_but_not_under_the_eyes_of_its_writer(
    tmp_path: Path,
) -> None:
    place, old = tmp_path / "out", tmp_path / f".out.{'a' * 32}.old"
    old.mkdir()
    (old / "kept").touch()
    with held(old):
        bring_back(place)
        assert not place.exists()
    bring_back(place)
    assert [path.name for path in place.iterdir()] == ["kept"] and not old.exists()


def test_a_folder_that_cannot_take_the_name_leaves_it_to_the_one_before(tmp_path: Path) -> None:
    place = tmp_path / "out"
    place.mkdir()
    (place / "kept").touch()
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "missing", place)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "kept"]
