"""Files that are there whole or not at all."""

from contextlib import suppress
from pathlib import Path

from sapiens2_lit.errors import SettingError


def write_file(root: Path, name: str, data: bytes) -> None:
    """Write `root`/`name` under another name in its folder and rename it, so that a kill leaves no half of it.

    Raises:
        SettingError: the folder cannot be written to, or is full.
    """
    path = root / name
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise SettingError(
            f"{path} cannot be written: {error.strerror or error}. Make room or choose another folder; the same "
            "command goes on where it stopped."
        ) from error
