"""A handful of the kills of benchmarks/kills.py, where what is random must go on as it was."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_runs_with_dropout_and_drop_path_end_as_if_never_killed(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--kills",
        "1",
        "--kinds",
        "LoRA",
        "drop",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("| in all | 2 | 2 | yes |")
