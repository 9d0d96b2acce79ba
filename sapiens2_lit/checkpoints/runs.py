"""Which checkpoint a run, or a folder of runs, means."""

import re
from pathlib import Path

PATTERNS = {"best": "best*.ckpt", "last": "last.ckpt"}


def checkpoint_in(folder: Path) -> Path | None:
    """The best checkpoint of the newest run that has one, else the last of the newest; None where there is no run."""
    return newest(folder, "best") or newest(folder, "last")


def checkpoint_of_run(source: Path) -> Path | None:
    """The checkpoint that a run's folder means, a folder of runs, or one of these with `/best` or `/last` behind it."""
    if source.is_dir():
        return checkpoint_in(source)
    return None if source.exists() or source.name not in PATTERNS else newest(source.parent, source.name)


def newest(folder: Path, kind: str) -> Path | None:
    """The best or the last checkpoint of a run, or of the newest run in a folder that has one; None without any."""
    pattern = PATTERNS[kind]
    found = [*folder.glob(f"version_*/checkpoints/{pattern}"), *folder.glob(f"checkpoints/{pattern}")]
    if not found:
        return None
    run = max((path.parents[1] for path in found), key=version_number)
    of_run = [path for path in found if path.parents[1] == run]
    if len(of_run) == 1:
        return of_run[0]
    from sapiens2_lit.checkpoints.kept_best import best_of  # torch, which reads what the checkpoints say

    return best_of(of_run)


def version_number(folder: Path) -> int:
    number = re.search(r"\d+$", folder.name)
    return int(number[0]) if number else -1
