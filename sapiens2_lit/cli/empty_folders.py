"""Leave no empty folder behind where a command could not begin."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sapiens2_lit import interrupts


@contextmanager
def empty_folders_removed(folder: Path) -> Iterator[None]:
    """Remove the folder and its parents that this block creates if they are empty at its end, also after a signal."""
    folder = folder.absolute()
    new = [path for path in (folder, *folder.parents) if not path.exists()]

    def remove() -> None:
        with suppress(OSError):  # not empty, or never made
            for path in new:
                path.rmdir()

    with interrupts.undone(remove):
        try:
            yield
        finally:
            remove()
