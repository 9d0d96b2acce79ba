"""Write complete files only, in a folder for one writing process at a time."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sapiens2_lit.atomic_write import own_file, unwritable_is_error, write_whole
from sapiens2_lit.errors import SettingError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

ADVICE = "Free space or choose another folder; the same command continues where it stopped."


def write_file(root: Path, name: str, data: bytes) -> None:
    """Write `root`/`name` completely or not at all.

    Args:
        root: folder of the dataset.
        name: of the file, relative to the folder.
        data: its content.

    Raises:
        SettingError: the folder is not writable, or is full.
    """
    write_whole(root / name, data, ADVICE)


def write_same(root: Path, name: str, data: bytes) -> None:
    """Write a file as `write_file` does, where several processes may write the same at once.

    Args:
        root: Folder of the dataset.
        name: Of the file, below `root`.
        data: Its bytes.
    """
    with unwritable_is_error(root / name, ADVICE), own_file(root / name) as temporary:
        temporary.write_bytes(data)


@contextmanager
def sole_writer(root: Path, part: bool = False) -> Iterator[None]:
    """Make the folder `root` and lock it: two processes would rename each other's unfinished files.

    Parts of one dataset share a lock, since they write different files; a whole dataset needs the lock for itself.

    The lock ends with the process, however that ends. Without locks in the file system there is no lock. If the folder
    cannot be made or opened, `write_file` reports it later.

    Raises:
        SettingError: another process is writing to it.
    """
    opened = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        if fcntl is not None:
            opened = os.open(root, os.O_RDONLY)
            fcntl.flock(opened, (fcntl.LOCK_SH if part else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        assert opened is not None
        os.close(opened)
        raise SettingError(
            f"{root}: another process is generating people here: wait for it, or choose another folder"
        ) from error
    except OSError:
        pass
    try:
        yield
    finally:
        if opened is not None:
            os.close(opened)


@contextmanager
def remove_unfinished(root: Path, own: Callable[[Path], bool] = lambda path: True) -> Iterator[None]:
    """Remove files left by killed processes, if the block ends in an exception.

    Args:
        root: Folder of the dataset.
        own: Tells whether a file belongs to this command.
    """
    try:
        yield
    except BaseException:
        for path in root.rglob(".*.unfinished"):
            if own(path):
                path.unlink(missing_ok=True)
        raise
