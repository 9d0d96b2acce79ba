"""One of the kills of benchmarks/kills.py, where what is random must go on as it was; others: test_resume_random.py."""

from pathlib import Path

import pytest
from processes import start_script

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_run_with_drop_path_ends_as_if_never_killed(tmp_path: Path) -> None:
    options = ["--kills", "1", "--kinds", "drop", "--folder", str(tmp_path / "runs")]
    script = start_script(SCRIPT, options, tmp_path / "log")
    assert script.wait() == 0, script.printed()
    assert script.printed().splitlines()[-1].startswith("| in all | 1 | 1 | yes |")
