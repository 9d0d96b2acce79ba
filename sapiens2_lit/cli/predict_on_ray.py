"""`predict --engine ray`: the shards of a run as units of Ray; the lists of the whole run are made here, at the end."""

import math
import pickle
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.cli.engine_options import engine_of
from sapiens2_lit.cli.predict_dataset import say_how_to_train
from sapiens2_lit.cli.predict_parts import run_in_parts
from sapiens2_lit.cli.predict_people import find_boxes
from sapiens2_lit.cli.predict_stages import build_predictor, build_timeline, find_source, results_of, run
from sapiens2_lit.cli.predict_tally import Tally, report
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.engines.units import Unit
from sapiens2_lit.errors import Interrupted
from sapiens2_lit.inference.shard import Shard

if TYPE_CHECKING:
    from sapiens2_lit.inference.sharded_run import ShardedRun

PICTURES = 256  # of a unit, about: what is done again when a worker dies
MOST_UNITS = 4096  # then units have more pictures
_EACH = 4  # units of a worker at least, so that all end at about the same time


@dataclass
class PartDone:
    """What a worker says of a part.

    Attributes:
        tally: of its pictures.
        pictures: photographs and videos in it.
        problems: a line for each file that could not be read.
        writers: of the first part those of files of the whole run, pickled; of others nothing.
    """

    tally: Tally
    pictures: int
    problems: list[str]
    writers: bytes


def predict_on_ray(options: Namespace) -> int:
    """Do what options ask for; returns and raises as `predict` does."""
    from sapiens2_lit.inference.sharded_run import shards_of_unfinished

    source = find_source(options)
    if options.boxes is not None:
        find_boxes(options.boxes, source)
    pictures = len(source.photos) + len(source.videos)
    tally, writers = Tally(people=False), b""
    places = [Path(place).expanduser() for place in given_places(options)]
    try:
        with interrupts.asked(), engine_of(options, options.output, places) as engine:
            assert engine is not None
            number = shards_of_unfinished(options.output) or number_of_units(pictures, engine.concurrency)
            shards = [Shard(index, number) for index in range(1, number + 1)]
            whole = run_in_parts(options, shards[0], source)
            whole.begin()
            units = [Unit(f"shard {shard}", shard) for shard in shards]
            with tqdm(total=pictures, unit="image", disable=None, dynamic_ncols=True) as bar:
                for done in engine.run(partial(PartJob, options), units):
                    tally.merge(done.tally)
                    source.problems += done.problems
                    writers = writers or done.writers
                    bar.update(done.pictures)
            whole.complete(pickle.loads(writers))
    except Interrupted as error:
        report(options.output, tally, source, "in finished parts, ")
        raise error.with_advice("the same command with --resume goes on from here") from None
    source.problems.sort()  # units end in any order
    tally.problems.sort()
    report(options.output, tally, source)
    if options.as_dataset is not None:
        say_how_to_train(options.as_dataset)
    return 1 if source.problems or tally.problems else 0


def number_of_units(pictures: int, workers: int) -> int:
    """How many parts a new run has."""
    wanted = max(math.ceil(pictures / PICTURES), _EACH * workers)
    return min(wanted, max(MOST_UNITS, workers), pictures)


def given_places(options: Namespace) -> Sequence[str]:
    """Files and folders that options name, and names that are none."""
    names = ("images", "model", "backbone", "list", "boxes", "detector", "detector_weights", "mask_with")
    return [str(getattr(options, name)) for name in names if getattr(options, name) is not None]


class PartJob:
    """Predicts on parts of a run in a worker, as `predict --shard` does, with networks that are loaded once.

    Args:
        options: of the command.

    Raises:
        SapiensError: as `predict` does.
    """

    def __init__(self, options: Namespace) -> None:
        set_max_pixels(options.max_pixels)
        self.options = options
        self.source = find_source(options)
        self.boxes = None if options.boxes is None else find_boxes(options.boxes, self.source)
        self.predictor = build_predictor(options)
        self.opened = results_of(options, self.predictor, self.source, self.boxes)
        self.run: ShardedRun | None = None

    def __call__(self, shard: Shard) -> PartDone:
        """Predict on one part."""
        self.run = self.run or run_in_parts(self.options, shard, self.source)
        part = self.run.other(shard)
        part.begin()
        own = shard.of(self.source)
        tally = Tally(people=bool(self.predictor.top_down))
        timeline = build_timeline(self.options, self.predictor, self.source)
        with self.opened(own, part) as output:
            run(self.predictor, own, output, self.boxes, timeline, tally)
        writers = run_writers(output.writers) if shard.index == 1 else b""
        return PartDone(tally, len(own.photos) + len(own.videos), own.problems, writers)


def run_writers(writers: Sequence[object]) -> bytes:
    """Those of files of the whole run, pickled."""
    from sapiens2_lit.inference.writers.base import RunWriter

    return pickle.dumps([writer for writer in writers if isinstance(writer, RunWriter)])
