"""Find the checkpoint that a run, or a folder of runs, means."""

import re
from pathlib import Path

PATTERNS = {"best": "best*.ckpt", "last": "last.ckpt"}


def checkpoint_in(folder: Path) -> Path | None:
    """Return the best checkpoint of the newest run that has one, else the newest run's last one; None without runs."""
    return newest(folder, "best") or newest(folder, "last")


def checkpoint_of_run(source: Path) -> Path | None:
    """Return the checkpoint of a run's folder or a folder of runs, optionally with `/best` or `/last` appended.

    None if the path means no run.
    """
    if source.is_dir():
        return checkpoint_in(source)
    return None if source.exists() or source.name not in PATTERNS else newest(source.parent, source.name)


def newest(folder: Path, kind: str) -> Path | None:
    """Return the `best` or `last` checkpoint (`kind`) of a run, or of the newest run in a folder; None without any."""
    pattern = PATTERNS[kind]
    found = [*folder.glob(f"version_*/checkpoints/{pattern}"), *folder.glob(f"checkpoints/{pattern}")]
    if not found:
        return None
    run = max((path.parents[1] for path in found), key=version_number)
    of_run = [path for path in found if path.parents[1] == run]
    if len(of_run) == 1:
        return of_run[0]
    from sapiens2_lit.checkpoints.kept_best import best_of  # imports torch, to read the checkpoints

    return best_of(of_run)


def version_number(folder: Path) -> int:
    """Return the number at the end of a folder's name, -1 without one."""
    number = re.search(r"\d+$", folder.name)
    return int(number[0]) if number else -1
