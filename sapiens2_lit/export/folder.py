"""Write a folder that appears under its name completely or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from sapiens2_lit.atomic_write import bring_back, room, whole_folder
from sapiens2_lit.errors import SettingError

MANIFEST = "sapiens2_lit.json"  # only exports contain it


def check_place(out: Path, *, overwrite: bool) -> None:
    """Check that `out` can be written, before any work is done.

    Raises:
        SettingError: It exists and may not be replaced, or its parent cannot be written to.
    """
    if out.exists() or out.is_symlink():
        if not out.is_dir() or out.is_symlink():
            raise SettingError(f"{out}: exists and is not a folder; expected a new folder's name")
        if any(out.iterdir()):
            if not overwrite:
                raise SettingError(f"{out}: exists already; give another name, or --overwrite to replace it")
            if not (out / MANIFEST).is_file():
                raise SettingError(
                    f"{out}: --overwrite replaces only exports, and this folder has no {MANIFEST}; delete it yourself"
                )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"{out}: its parent folder cannot be made: {error.strerror}") from error
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise SettingError(f"{out}: {out.parent} cannot be written")


@contextmanager
def new_folder(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `out`, which is renamed if the block succeeds and deleted otherwise.

    Raises:
        Interrupted: A signal came while it was renamed; the folder is complete.
        SettingError: As `check_place`; also if a disk is full.
    """
    bring_back(out)
    check_place(out, overwrite=overwrite)
    try:
        with whole_folder(out) as temporary:
            yield temporary
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        left = room(error, out.parent) if isinstance(error, OSError) else ""
        raise SettingError(f"{out}: cannot be written: {reason}{left}; nothing is left of it") from error


def write_json(path: Path, content: object) -> None:
    """Write an object as indented JSON."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
