"""Find the file that `--model` and `--ckpt_path` mean: of a run, of a folder of runs, or a file by itself."""

import logging
from collections.abc import Sequence
from pathlib import Path

from sapiens2_lit.atomic_write import bring_back
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.checkpoints.runs import PATTERNS, checkpoint_in, newest, version_number
from sapiens2_lit.cli.options import DEFAULT_RUNS, value_of, without
from sapiens2_lit.errors import SettingError

_log = logging.getLogger(__name__)


def find_model(source: str) -> str:
    """Return the checkpoint, released file, folder or hub id that `--model` means.

    Args:
        source: A file or a hub id, returned as it is; or a run's folder or a folder of runs, for the best checkpoint of
            the newest run that has one, else the last checkpoint of the newest run; or such a folder followed by
            `/best` or `/last`, for that checkpoint alone.

    Raises:
        SettingError: There is no such file or folder, or no such checkpoint in it.
    """
    path = Path(source).expanduser()
    if path.is_dir() and (found := checkpoint_in(path)):
        return str(found)
    if path.exists():
        return source
    if path.name not in PATTERNS:
        expect_hub_id(source)
        return source
    if (found := newest(path.parent, path.name)) is None:
        raise SettingError(
            f"--model {source}: {path.parent} has no run with checkpoints/{PATTERNS[path.name]}"
        )
    return str(found)


def expect_hub_id(source: str) -> None:
    """Check that a name without a file can be a repository on the hub.

    Raises:
        SettingError: It cannot, or its folder holds runs, and this is none of them.
    """
    beside = sorted(path.parent.name for path in Path(source).expanduser().parent.glob("*/version_*"))
    if not is_hub_id(source) or beside:
        known = f"; in {Path(source).parent} there are {', '.join(dict.fromkeys(beside))}" if beside else ""
        raise SettingError(
            f"{source}: no such file or folder{known}; expected a run, RUNS/best, RUNS/last, a checkpoint (.ckpt), a "
            "task model (folder or .safetensors), or a hub id such as facebook/sapiens2-pose-0.4b"
        )


def find_checkpoint(ckpt_path: str | None, output: Path) -> str | None:
    """Return the checkpoint that `--ckpt_path` means.

    Args:
        ckpt_path: A path; `last` or `best` of the newest run in `output` that has one; `auto`: `last` if there is one;
            or
            None.
        output: Folder of the runs.

    Returns:
        A path, or None if `ckpt_path` is None, or `auto` without a checkpoint.

    Raises:
        SettingError: There is no such checkpoint.
    """
    if ckpt_path is None or Path(ckpt_path).exists() or "://" in ckpt_path:
        return ckpt_path
    if ckpt_path not in (*PATTERNS, "auto"):
        raise SettingError(
            f"--ckpt_path {ckpt_path}: no such file (a path, or `last`, `best` or `auto` of --output)"
        )
    kind = "last" if ckpt_path == "auto" else ckpt_path
    for old in output.glob("version_*/checkpoints/.*.ckpt.*old"):
        bring_back(old.with_name(f"{old.name[1:].partition('.ckpt')[0]}.ckpt"))
    found = newest(output, kind)
    if found is None and ckpt_path != "auto":
        raise SettingError(f"--ckpt_path {ckpt_path}: no {output}/version_*/checkpoints/{PATTERNS[kind]}")
    return None if found is None else str(found)


def next_run(output: Path) -> Path:
    """Return the folder of the next run in `output`."""
    return output / f"version_{1 + max(map(version_number, output.glob('version_*')), default=-1)}"


def run_of(ckpt_path: str | None) -> Path | None:
    """Return the run folder that a checkpoint lies in; None if it lies elsewhere."""
    folder = (
        Path(ckpt_path).parents[1] if ckpt_path and Path(ckpt_path).parent.name == "checkpoints" else None
    )
    return folder if folder and (folder / "config.yaml").is_file() else None


def with_model(options: Sequence[str]) -> list[str]:
    """Translate the older `--ckpt_path` and `--out` to `--model` and `--output`; accepted until 1.0.

    `--ckpt_path best --output RUNS --out DIR` becomes `--model RUNS/best --output DIR`.

    Raises:
        SettingError: `--ckpt_path` and `--model` are both given.
    """
    checkpoint, out = value_of(options, "--ckpt_path"), value_of(options, "--out")
    if checkpoint is None and out is None:
        return list(options)
    if checkpoint is not None and value_of(options, "--model") is not None:
        raise SettingError("--ckpt_path is an older name of --model: give one of them")
    kept = without(options, "--ckpt_path", "--out")
    if checkpoint in PATTERNS and not Path(checkpoint).exists():
        checkpoint = f"{value_of(options, '--output') or DEFAULT_RUNS}/{checkpoint}"
        kept = without(kept, "--output")
    elif out is not None:
        kept = without(kept, "--output")
    new = [*(["--model", checkpoint] if checkpoint else []), *(["--output", out] if out else [])]
    _log.info("--ckpt_path and --out are older names; this is now %s", " ".join(new))
    return [*new, *kept]
