"""What it costs to bring results to the picture and to write them: CPU milliseconds a picture by format.

    python benchmarks/prediction_writing.py [--profile] [--formats F ...]

One person of 1024 x 768 pixels, with 308 keypoints, 29 classes and normals; one thread. `--profile` adds the functions
that take most of the time of writing.
"""

import cProfile
import os
import pstats
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch
from canned_model import canned_model, make_people

from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.inference.output import open_output
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.sources import Frame, Source

RUNS = 15


def milliseconds(work: Callable[[], object]) -> float:
    """Least CPU time of several runs: others on the machine only add to it."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--formats", nargs="+")
    options = parser.parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        people = make_people(root / "people")
        path = next((people / "images").iterdir())
        image = read_image(path)
        rows = [("read the photograph", milliseconds(lambda: read_image(path)))]
        for names in (("seg",), ("normal",), ("pose",)):
            predictor = Predictor(canned_model(people, 0, names), detector=None)
            rows.append(
                (f"decode and restore: {names[0]}", milliseconds(lambda p=predictor: p.predict(image)))
            )
        model = canned_model(people, 0)
        prediction = Predictor(model, detector=None).predict(image)
        frame = Frame(image, "photo", path.name)
        output = open_output(options.formats, root / "out", dict(model.named_heads()), Source({}, {}, root))
        output.write(frame, prediction)
        writing = 0.0
        for writer in output.writers:
            spent = milliseconds(lambda w=writer: w.write(prediction, frame, root / "out"))
            writing += spent
            rows.append((f"write {writer.head}/{writer.kind or writer.key}.{writer.name}", spent))
        rows += [("writing together", writing), ("all", sum(spent for _, spent in rows))]
        print("| step | CPU ms a picture |\n|---|---|")
        for name, spent in rows:
            print(f"| {name} | {spent:.1f} |")
        if options.profile:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(RUNS):
                output.write(frame, prediction)
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(16)


if __name__ == "__main__":
    main()
