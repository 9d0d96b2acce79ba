"""Some of the kills of benchmarks/kills.py: what is random, and the order of shards, must go on as they were."""

from pathlib import Path

import pytest
from processes import start_script

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["drop", "packed"])
def test_a_run_ends_as_if_never_killed(kind: str, tmp_path: Path) -> None:
    options = ["--kills", "1", "--kinds", kind, "--folder", str(tmp_path / "runs")]
    script = start_script(SCRIPT, options, tmp_path / "log")
    assert script.wait() == 0, script.printed()
    assert script.printed().splitlines()[-1].startswith("| in all | 1 | 1 | yes |")
