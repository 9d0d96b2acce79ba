"""Write files that are complete or absent: under another name in their folder, then renamed."""

import errno
import glob
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from uuid import uuid4

from sapiens2_lit import interrupts
from sapiens2_lit.errors import SettingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

ADVICE = "Make room or choose another folder; existing files are complete."
DISK_ERRORS = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
A_DAY = 86_400.0  # s after which a file on a system without locks is treated as left over
_UNIQUE = re.compile(r"[0-9a-f]{32}")


@contextmanager
def whole_file(path: Path, mark: str = "unfinished", durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name to write `path` under; it replaces `path` if the block succeeds, and is removed otherwise.

    Folders are created as needed. A killed process leaves `.NAME.MARK` behind, and `path` unchanged.

    Args:
        path: Of the file.
        mark: End of the temporary name; must differ between processes that may write the same file at once.
        durable: Whether the file survives a loss of power after the block; takes the time of a write to the disk
            itself.

    Raises:
        OSError: The folder cannot be written to, or is full.
    """
    temporary = path.with_name(f".{path.name}.{mark}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with interrupts.undone(partial(temporary.unlink, missing_ok=True)):
            yield temporary
            if durable:
                flush(temporary)
            temporary.replace(path)
            if durable:
                flush(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def own_file(path: Path) -> Iterator[Path]:
    """Do what a durable `whole_file` does if several processes may write `path` at once; the last one wins.

    Files that killed processes have left from earlier writes of `path` are removed.

    Raises:
        OSError: The folder cannot be written to, or is full.
    """
    remove_leftovers(path)
    with ExitStack() as until_replaced, whole_file(path, mark=uuid4().hex, durable=True) as temporary:
        temporary.touch()
        until_replaced.enter_context(held(temporary))
        yield temporary


@contextmanager
def held(temporary: Path) -> Iterator[None]:
    """Let other processes see that a temporary file or folder is being written, while this block runs."""
    descriptor = None
    with suppress(OSError):  # a file system without locks
        descriptor = os.open(temporary, os.O_RDONLY) if fcntl else None
        if descriptor is not None:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which is renamed if the block succeeds and deleted otherwise.

    Folders that killed processes have left are removed, or get their name back.

    Raises:
        Interrupted: A signal came while the folder was renamed; it is complete.
        OSError: The parent cannot be written to, or is full.
    """
    bring_back(path)
    remove_leftovers(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with interrupts.undone(partial(delete_folder, temporary)):  # the caller handles signals nowhere else
            temporary.mkdir()
            with held(temporary):
                yield temporary
            with interrupts.asked():
                replace_folder(temporary, path)
    finally:
        delete_folder(temporary)


def replace_folder(new: Path, path: Path) -> None:
    """Give the finished folder `new` the name `path`; only then is an existing one deleted.

    If the process is killed in between, `bring_back` restores the existing one.

    Raises:
        OSError: A folder cannot be renamed; an existing one keeps its name.
    """
    if path.is_file() or path.is_symlink():
        path.unlink()
    if not path.exists():
        new.rename(path)
    else:
        old = path.with_name(f".{path.name}.{uuid4().hex}.old")
        with held(path):  # the folder, whatever its name
            path.rename(old)
            try:
                new.rename(path)
            except OSError:
                old.rename(path)
                raise
        delete_folder(old)
    flush(path.parent)


def bring_back(path: Path) -> None:
    """Restore the name of a folder that a killed process was about to replace; delete it if it was replaced."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*old"):
        if is_held(old):
            continue
        if path.exists():
            delete_folder(old)
        else:
            with suppress(FileNotFoundError):  # another process was faster
                old.rename(path)


def delete_folder(folder: Path) -> None:
    """Delete a folder, even while another thread may be writing to it."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def remove_leftovers(path: Path) -> None:
    """Remove files and folders `.NAME.<32 hex digits>` beside `path` whose writers are dead."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not _UNIQUE.fullmatch(left.name.rpartition(".")[2]) or is_held(left):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def is_held(temporary: Path) -> bool:
    """Return whether a process may still be writing a temporary file or folder."""
    try:
        descriptor = os.open(temporary, os.O_RDONLY) if fcntl else None
    except FileNotFoundError:
        return True
    except OSError:
        descriptor = None
    if descriptor is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            pass
        finally:
            os.close(descriptor)
    try:
        return time.time() - temporary.stat().st_mtime < A_DAY
    except OSError:
        return True


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk itself."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, advice: str = ADVICE) -> None:
    """Write a file, replacing an existing one; a killed process leaves no incomplete file.

    Args:
        path: Of the file.
        data: Its content.
        advice: End of an error's message.

    Raises:
        SettingError: The folder cannot be written to, or is full.
    """
    with unwritable_is_error(path, advice), whole_file(path) as temporary:
        temporary.write_bytes(data)


def write_own(path: Path, data: bytes) -> None:
    """Do what `write_whole` does if several processes may write `path` at once; the last one wins.

    A killed process leaves a file behind, which `remove_leftovers` removes.
    """
    with unwritable_is_error(path), whole_file(path, mark=uuid4().hex) as temporary:
        temporary.write_bytes(data)


@contextmanager
def unwritable_is_error(path: Path, advice: str = ADVICE, needed: int | None = None) -> Iterator[None]:
    """Turn the system's refusal to write `path` into a message.

    Args:
        path: Of the file or folder.
        advice: End of the message.
        needed: Size of the file in bytes; None if unknown.

    Raises:
        SettingError: Naming the file and what to do.
    """
    try:
        yield
    except OSError as error:
        raise SettingError(
            f"{path} cannot be written: {error.strerror or error}{room(error, path.parent, needed)}. {advice}"
        ) from error


def room(error: OSError, folder: Path, needed: int | None = None) -> str:
    """Say what a full or read-only disk needs and has, in parentheses, to be added to an error's message.

    Args:
        error: What the system said.
        folder: Where a file was to be written.
        needed: Size of the file in bytes, if known.

    Returns:
        An empty text for errors that have nothing to do with the disk.
    """
    if error.errno not in DISK_ERRORS:
        return ""
    wanted = "" if needed is None else f"needs {needed:,} bytes, "
    return f" ({wanted}{folder} has {free_bytes(folder):,} bytes free)"


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk where a folder is, or would be created."""
    here = folder.absolute()
    return shutil.disk_usage(next(place for place in (here, *here.parents) if place.exists())).free


def check_room(folder: Path, needed: int, advice: str = ADVICE) -> None:
    """Check that a folder has room, before anything is written into it.

    Args:
        folder: To write to.
        needed: Bytes.
        advice: End of an error's message.

    Raises:
        SettingError: Naming the folder, the needed and the free bytes.
    """
    if (free := free_bytes(folder)) < needed:
        raise SettingError(f"{folder}: needs {needed:,} bytes, its disk has {free:,} bytes free. {advice}")


def check_writable(folder: Path, setting: str) -> None:
    """Create a folder and check that files can be created in it, before the work whose results go there.

    Args:
        folder: To write to.
        setting: The option of the folder, for the message, such as `--output`.

    Raises:
        SettingError: They cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{setting} {folder} is a file, expected a folder")
    with unwritable_is_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
