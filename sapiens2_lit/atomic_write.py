"""Files that are there whole or not at all: written under another name in their folder, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from sapiens2_lit import interrupts
from sapiens2_lit.errors import SettingError

ADVICE = "Make room or choose another folder; what is there is whole."


@contextmanager
def whole_file(path: Path, mark: str = "unfinished") -> Iterator[Path]:
    """A temporary name to write `path` under; it replaces `path` when the block ends well, and else is removed.

    Folders are made as needed. A process that is killed leaves `.NAME.MARK` behind, and `path` as it was.

    Args:
        mark: ends the temporary name; give each writer its own where several may write the same file at once.

    Raises:
        OSError: the folder cannot be written to, or is full.
    """
    temporary = path.with_name(f".{path.name}.{mark}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with interrupts.undone(partial(temporary.unlink, missing_ok=True)):
            yield temporary
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes, advice: str = ADVICE) -> None:
    """Write a file, replacing it; a kill leaves no half of it.

    Args:
        advice: ends the message of an error.

    Raises:
        SettingError: the folder cannot be written to, or is full.
    """
    with unwritable_is_error(path, advice), whole_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def unwritable_is_error(path: Path, advice: str = ADVICE) -> Iterator[None]:
    """Turn the system's refusal to write `path` into a message.

    Raises:
        SettingError: naming the file and what to do.
    """
    try:
        yield
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror or error}. {advice}") from error


def check_writable(folder: Path, setting: str) -> None:
    """Make a folder, and see whether files can be made in it, before work begins whose results go there.

    Args:
        setting: what names the folder, for the message, such as `--output`.

    Raises:
        SettingError: they cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{setting} {folder} is a file, expected a folder")
    with unwritable_is_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
