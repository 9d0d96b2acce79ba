"""Commands that write to a disk that is full or read-only: each should say so in one line and leave nothing half.

    python benchmarks/full_disks.py [NAME ...]      needs the right to mount a tmpfs (Linux, root)

Each command runs twice: on a disk of a few kilobytes, and on one that is mounted read-only.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kills import TINY, finish, make_data, start

FILL = 12  # kB that each full disk has
IN_PROCESS = ("--data.num_workers", "0")


@contextmanager
def disk(place: Path, read_only: bool) -> Iterator[Path]:
    """A small disk of its own."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FILL}k", "tmpfs", place], check=True)
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def commands(data: Path, run: Path, disk: Path) -> dict[str, list[str]]:
    """What is tried, by name; all of them write below `disk`."""
    fit = ["fit", "--config", "segmentation_29.yaml", *TINY, *IN_PROCESS, "--data.root", str(data)]
    last, output = str(run / "checkpoints" / "last.ckpt"), str(disk / "out")
    export = ["export", "--model", last, "--output", output, "--format"]
    return {
        "fit": [*fit, "--output", output],
        "fit, feature cache": [
            *fit,
            *("--output", str(disk.parent / f"{disk.name}_runs"), "--model.adapt.mode", "frozen"),
            *("--feature_cache.folder", output),
        ],
        "consolidate": ["consolidate", last, str(disk / "weights.safetensors")],
        "export, released": [*export, "released"],
        "export, onnx": [*export, "onnx"],
        "predict": ["predict", "--model", last, "--images", str(data / "images"), "--output", output],
        "synth": ["synth", output, "--num", "24", "--size", "128", "96"],
        "check": ["check", "--config", "segmentation_29.yaml", "--data.root", str(data), "--output", output],
    }


def main() -> int:
    """Print a row for each command; returns 1 where one did not end as it should."""
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        data = make_data(root / "data")
        args = ["fit", "--config", "segmentation_29.yaml", *TINY, *IN_PROCESS, "--data.root", str(data)]
        if finish(start([*args, "--output", str(root / "runs")], root / "fit.log")):
            raise SystemExit((root / "fit.log").read_text())
        sys.stdout.write("| command | disk | status | said | left behind |\n|---|---|---|---|---|\n")
        for number, name in enumerate(commands(data, root, root)):
            if not name.startswith(tuple(sys.argv[1:] or [""])):
                continue
            for read_only in (False, True):
                with disk(root / f"disk_{number}_{read_only}", read_only) as place:
                    log = root / f"{number}_{read_only}.log"
                    args = commands(data, root / "runs" / "version_0", place)[name]
                    status = finish(start(args, log))
                    left = sorted(path.name for path in place.rglob("*") if path.is_file())
                said = [line for line in log.read_text().splitlines() if line.startswith("error")]
                line = re.sub(re.escape(str(place)), "DISK", said[-1] if said else log.read_text()[-300:])
                failed |= status != 1 or len(said) != 1 or "Traceback" in log.read_text()
                kind = "read-only" if read_only else f"{FILL} kB"
                sys.stdout.write(f"| {name} | {kind} | {status} | {line} | {', '.join(left)} |\n")
                sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
