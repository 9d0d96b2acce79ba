"""How many findings `sapiens2-lit check` has on synthetic people, which are right: there should be notes alone.

python benchmarks/false_alarms.py                      500 people at three sizes, every dataset of one task
python benchmarks/false_alarms.py --num 60 --sizes 96x72
"""

import json
import sys
import tempfile
from argparse import ArgumentParser
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from sapiens2_lit.cli.main import main as command

RUNS = {
    "pose_308.yaml": (),
    "segmentation_29.yaml": (),
    "normal.yaml": ("--data.cameras", "cameras"),
    "depth.yaml": (),
    "pointmap.yaml": (),
    "albedo.yaml": (),
    "matting.yaml": (),
}


def findings(config: str, options: tuple[str, ...], root: Path, output: Path) -> list[tuple[str, str, str]]:
    """Severity, name and message of what `check` finds."""
    answer = output / "findings.json"
    args = ["check", "--config", config, "--data.root", str(root), *options, "--output", str(output)]
    with redirect_stdout(StringIO()):
        status = command([*args, "--json", str(answer)])
    if status not in (0, 1, 3):
        raise SystemExit(f"check {config} ended with status {status}")
    found = json.loads(answer.read_text())["findings"]
    return [(one["severity"], one["check"], one["message"]) for one in found]


def main() -> int:
    """Print a row for every size and dataset; returns 1 where there is a warning or an error."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--sizes", nargs="+", default=["96x72", "192x192", "256x320"], help="HEIGHTxWIDTH")
    given = parser.parse_args()
    sys.stdout.write(
        "| size | dataset | errors | warnings | notes | checks with notes |\n|---|---|---|---|---|---|\n"
    )
    alarms = []
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as scratch:
            root, sides = Path(scratch) / "people", size.split("x")
            args = ["synth", str(root), "--num", str(given.num), "--size", *sides, "--people", "1", "3"]
            with redirect_stdout(StringIO()):
                if command(args):
                    raise SystemExit("synth failed")
            for config in given.runs:
                found = findings(config, RUNS[config], root, Path(scratch) / "page")
                count = Counter(severity for severity, _, _ in found)
                notes = sorted({name for severity, name, _ in found if severity == "note"})
                cells = [size, config, count["error"], count["warning"], count["note"], ", ".join(notes)]
                sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
                sys.stdout.flush()
                alarms += [(size, config, *one) for one in found if one[0] != "note"]
    for one in alarms:
        sys.stdout.write(f"{' '.join(one)}\n")
    return int(bool(alarms))


if __name__ == "__main__":
    sys.exit(main())
