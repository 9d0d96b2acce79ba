"""Files that are there whole or not at all, in a folder that one process at a time writes to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sapiens2_lit.atomic_write import own_file, unwritable_is_error, write_whole
from sapiens2_lit.errors import SettingError

try:
    import fcntl
except ImportError:  # Windows, which has no such locks
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

ADVICE = "Make room or choose another folder; the same command goes on where it stopped."


def write_file(root: Path, name: str, data: bytes) -> None:
    """Write `root`/`name` whole or not at all.

    Raises:
        SettingError: the folder cannot be written to, or is full.
    """
    write_whole(root / name, data, ADVICE)


def write_same(root: Path, name: str, data: bytes) -> None:
    """As `write_file`, where several processes may write the same at once."""
    with unwritable_is_error(root / name, ADVICE), own_file(root / name) as temporary:
        temporary.write_bytes(data)


@contextmanager
def sole_writer(root: Path, part: bool = False) -> Iterator[None]:
    """Make the folder `root` and keep it from other processes: two at once rename each other's half-written files.

    Parts of one dataset, which write different files, keep it from whole ones, and whole ones from all.

    The lock ends with the process, however that ends. A file system without locks goes without; a folder that cannot
    be made or opened is left to `write_file`, which says what is wrong.

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
            f"{root}: another process is generating people there: wait for it, or choose another folder"
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
    """Remove, when the block ends in an exception, what processes left that were killed while they wrote.

    Args:
        root: the dataset.
        own: which files are of this command.
    """
    try:
        yield
    except BaseException:
        for path in root.rglob(".*.unfinished"):
            if own(path):
                path.unlink(missing_ok=True)
        raise
