"""Which settings a fine-tuning on few pictures should have, on synthetic people; docs/choose.md has the tables.

    python benchmarks/defaults.py [--tasks pose segmentation] [--seeds 0 1 2] [--minutes 90] [--folder runs/defaults]

Trains a `pico` backbone on the points and the classes of 4,000 people as `synth` draws them. Then fine-tunes it, with a
fresh head, on 50, 200 and 800 pictures of people of another look (wide cameras from above, dim warm light, other
clothes): every mode of `model.adapt`; then, on 200 pictures, what lies around the mode that did best: rates, layer
decay, average of the weights, steps, width of heatmaps. Scores are of 200 other people of the other look. Runs of one
seed have the same pictures and the same fresh head. A result is a file of FOLDER/runs; what is there is not measured
again, and no run begins after `--minutes`. `--quick` is a rehearsal, whose numbers mean nothing.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does
sys.path.append(str(Path(__file__).parent))

from default_parts.grid import COUNTS, MODES, around, automatic, best_mode, compared_with, modes
from default_parts.people import held_out, make_other
from default_parts.runs import HEADS, SCORES, Pictures, Run, Sizes, measure, read
from default_parts.source import pretrain
from default_parts.tables import Results, header, row, sigma_line

QUICK = Sizes(source=20, pool=10, tested=10, source_steps=2, source_batch=4, steps=2, batch=2, network="test",
              image_size=(64, 48))  # fmt: skip


class Measurements:
    """Results by run and seed, of files or of runs that are made now."""

    def __init__(self, folder: Path, sizes: Sizes, until: float) -> None:
        self.folder, self.until = folder, until
        other = make_other(folder / "other", sizes.pool + sizes.tested)
        held_out(other, sizes.pool)
        self.backbone = pretrain(folder, other, sizes)
        self.pictures = Pictures(other, sizes)
        self.results: dict[tuple[str, int, str, int], dict] = {}

    def take(self, one: Run, seed: int) -> None:
        """Read a result, or make it unless the time is over."""
        if read(one.file(self.folder, seed)) is None and time.monotonic() > self.until:
            return
        found = measure(one, seed, self.folder, self.pictures, self.backbone)
        self.results[one.task, one.count, one.name, seed] = found
        score = found["scores"][SCORES[one.task]]
        print(f"{one.task}, {one.count} pictures, {one.name}, seed {seed}: {score:.4f}", flush=True)


def rounds(measured: Measurements, tasks: list[str], seeds: list[int]) -> Iterator[tuple[Run, int]]:
    """All runs, the most telling first: modes with two seeds, what lies around, then the other seeds."""
    for part in (seeds[:2], seeds[2:]):
        for seed in part:
            yield from ((one, seed) for one in modes(tasks))
        for seed in part:
            for task in tasks:
                yield from ((one, seed) for one in around(task, best_mode(task, measured.results, seeds[:2])))


def tables(results: Results, tasks: list[str], seeds: list[int]) -> Iterator[str]:
    """Modes against what `auto` is, then what lies around the best."""
    yield header("auto")
    for task in tasks:
        for count in COUNTS:
            base = automatic(count)
            yield from (row(results, task, count, mode, base) for mode in MODES)
    yield "\n" + header("the same without its last change")
    for task in tasks:
        for one in around(task, best_mode(task, results, seeds[:2])):
            yield row(results, task, one.count, one.name, compared_with(one))
    yield "\n" + sigma_line(results)


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=list(HEADS), default=list(HEADS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=90.0, help="after which no run begins")
    parser.add_argument("--folder", type=Path, default=Path("runs/defaults"))
    parser.add_argument("--quick", action="store_true", help="a rehearsal, whose numbers mean nothing")
    options = parser.parse_args(args)
    folder = (options.folder / "quick" if options.quick else options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * options.minutes
    measured = Measurements(folder, QUICK if options.quick else Sizes(), until)
    for one, seed in rounds(measured, options.tasks, options.seeds):
        measured.take(one, seed)
    print("\n" + "\n".join(tables(measured.results, options.tasks, options.seeds)))


if __name__ == "__main__":
    main()
