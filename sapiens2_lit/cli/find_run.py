"""What `last`, `best` and `auto` of an output folder mean, and the run that a checkpoint is of."""

import re
from pathlib import Path

from sapiens2_lit.errors import SettingError


def find_checkpoint(ckpt_path: str | None, output: Path) -> str | None:
    """What `--ckpt_path` means: a path; with `last`, `best` that of the newest run of `output`, with `auto` its last.

    Raises:
        SettingError: there is none.
    """
    if ckpt_path is None or Path(ckpt_path).exists() or "://" in ckpt_path:
        return ckpt_path
    if ckpt_path not in ("last", "best", "auto"):
        raise SettingError(
            f"--ckpt_path {ckpt_path}: no such file (a path, or `last`, `best` or `auto` of --output)"
        )
    pattern = "best*.ckpt" if ckpt_path == "best" else "last.ckpt"
    found = [*output.glob(f"version_*/checkpoints/{pattern}"), *output.glob(f"checkpoints/{pattern}")]
    if not found and ckpt_path == "auto":
        return None
    if not found:
        raise SettingError(
            f"--ckpt_path {ckpt_path}: no {output}/version_*/checkpoints/{pattern} to continue from"
        )
    return str(max(found, key=lambda path: (version_number(path.parents[1]), path.stat().st_mtime)))


def version_number(folder: Path) -> int:
    number = re.search(r"\d+$", folder.name)
    return int(number[0]) if number else -1


def run_of(ckpt_path: str | None) -> Path | None:
    """The run folder that a checkpoint of ours lies in."""
    folder = (
        Path(ckpt_path).parents[1] if ckpt_path and Path(ckpt_path).parent.name == "checkpoints" else None
    )
    return folder if folder and (folder / "config.yaml").is_file() else None
