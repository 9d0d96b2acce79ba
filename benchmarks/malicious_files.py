"""Files that try to run a command, each in a folder of its own: how many were tried, and how many ran nothing.

    python benchmarks/malicious_files.py [--verbose]

Every attack would create a marker file of its own. An attack is refused when its marker is not there afterwards and the
command either ended with one line of error or left the setting out.
"""

import contextlib
import io
import os
import sys
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does

import cv2
import numpy as np
from attacks import FIT, PICTURE, Attack, attacks

from sapiens2_lit.cli.main import main as command


@dataclass(frozen=True)
class Outcome:
    """What came of an attack: whether its marker is there, how the command ended, and what it printed as its error."""

    attack: Attack
    ran: bool
    status: Any
    error: str

    @property
    def refused(self) -> bool:
        clean = self.status in (1, 2) and self.error.strip().startswith("error:")
        left_out = self.attack.obeys and self.status == 0
        return not self.ran and "weights_only" not in self.error and (clean or left_out)


def attempt(attack: Attack, folder: Path, data: Path) -> Outcome:
    """Make the file in an empty folder, run the command there, in this process, and see what it did.

    Args:
        attack: what is tried.
        folder: is made.
        data: a dataset with normals, for commands that get as far as that.
    """
    marker, here, path = folder / "MARKER", Path.cwd(), list(sys.path)
    folder.mkdir(parents=True)
    os.chdir(folder)
    output, error = io.StringIO(), io.StringIO()
    status: Any
    try:
        cv2.imwrite(PICTURE, np.zeros((96, 72, 3), np.uint8))
        Path("data").symlink_to(data)
        attack.prepare(marker)
        assert not marker.exists(), "the attack marked while it was prepared"
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
            status = command([*attack.args])
    except (Exception, SystemExit) as raised:
        status = raised
    finally:
        os.chdir(here)
        sys.path[:] = path
        sys.modules.pop("marks", None)
    lines = error.getvalue().strip().splitlines()
    found = next((at for at, line in enumerate(lines) if line.startswith("error:")), 0)
    return Outcome(attack, marker.exists(), status, "\n".join(lines[found:]))


def make_data(folder: Path) -> Path:
    """A dataset of eight small pictures with normals, and `last.ckpt`, the checkpoint of a run of one step on it."""
    from sapiens2_lit.synthetic.dataset.dataset import make_dataset
    from sapiens2_lit.synthetic.dataset.manifest import Settings

    make_dataset(folder, 8, Settings(size=(96, 72), tasks=("normal",)), workers=1, progress=False)
    (folder / "splits").mkdir(exist_ok=True)
    stems = sorted(path.stem for path in (folder / "images").iterdir())
    for split, chosen in (("train", stems[:4]), ("val", stems[4:6]), ("test", stems[6:])):
        (folder / "splits" / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    place = folder / "runs"
    options = ("--data.root", str(folder), "--output", str(place), "--trainer.max_steps", "1")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert command(["fit", *FIT, *options]) == 0
    (place / "version_0" / "checkpoints" / "last.ckpt").rename(folder / "last.ckpt")
    return folder


def main() -> int:
    """Try all and print the table; returns 1 if an attack was not refused."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="print how each attack ended")
    verbose = parser.parse_args().verbose
    counts: dict[str, list[int]] = {}
    with TemporaryDirectory() as place:
        os.environ["HF_HUB_OFFLINE"] = "1"
        data = make_data(Path(place, "data").resolve())
        for number, attack in enumerate(attacks()):
            outcome = attempt(attack, Path(place, str(number)).resolve(), data)
            count = counts.setdefault(attack.kind, [0, 0, 0])
            for at, happened in enumerate((True, outcome.refused, outcome.ran)):
                count[at] += happened
            if verbose or not outcome.refused:
                verdict = "refused" if outcome.refused else "NOT REFUSED"
                print(f"{verdict}: {attack.kind}, {attack.name}: {outcome.status!r} {outcome.error[:600]}")
    print("| file | tried | refused | ran something |\n|---|---|---|---|")
    for kind, count in [
        *counts.items(),
        ("in all", [sum(column) for column in zip(*counts.values(), strict=True)]),
    ]:
        print(f"| {kind} | {' | '.join(map(str, count))} |")
    return int(any(tried != refused for tried, refused, _ in counts.values()))


if __name__ == "__main__":
    raise SystemExit(main())
