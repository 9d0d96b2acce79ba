"""`predict` beside its networks: pictures a second as a pipeline, one after the other, and of the networks alone.

    python benchmarks/prediction_pipeline.py [--seconds 0.5] [--num 16]     json, png and overlays, 1024 x 768
    python benchmarks/prediction_pipeline.py --video [--frames 60] [--formats json]   peak memory on 4K video

The network sleeps `--seconds` a picture; 308 keypoints, 29 classes and normals are then decoded, restored and written.
"""

import gc
import os
import resource
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import cv2
import numpy as np
from canned_model import canned_model, make_people

from sapiens2_lit.inference.output import Output, open_output
from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.inference.run import run_ahead
from sapiens2_lit.inference.sources import Frame, Source, open_source

FORMATS = ("json", "png", "overlay")


def one_after_the_other(predictor: Predictor, source: Source, output: Output) -> Iterator[Frame]:
    """The same work in one thread."""
    frames = iter(source)
    while some := list(islice(frames, predictor.batch_size)):
        for frame, prediction in zip(some, predictor.predict([frame.image for frame in some]), strict=True):
            output.write(frame, prediction)
            yield frame


def as_a_pipeline(predictor: Predictor, source: Source, output: Output) -> Iterator[Frame]:
    """As the command does it."""
    found = run_ahead(
        predictor,
        source,
        output,
        boxes_of=lambda frame: None,
        mend=lambda prediction, frame: prediction,
        skip=lambda name: False,
        usable=lambda frames: frames,
    )
    with closing(found):
        for frame, _ in found:
            yield frame


def measure(
    way: object, predictor: Predictor, images: Path, out: Path, formats: tuple[str, ...] = FORMATS
) -> tuple[float, float]:
    """Seconds until all is written, and CPU seconds."""
    source = open_source(images)
    start, cpu = time.perf_counter(), time.process_time()
    with open_output(formats, out, dict(predictor.model.named_heads()), source) as output:
        for _ in way(predictor, source, output):  # type: ignore[operator]
            pass
    return time.perf_counter() - start, time.process_time() - cpu


def throughput(seconds: float, num: int, batch: int) -> None:
    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        people = make_people(root / "people")
        image = next((people / "images").iterdir())
        (root / "photos").mkdir()
        for index in range(num):
            shutil.copy(image, root / "photos" / f"{index:04}.jpg")
        predictor = Predictor(canned_model(people, seconds), detector=None, batch_size=batch)
        measure(as_a_pipeline, predictor, next((people / "images").parent.iterdir()), root / "warm")
        alone = 1 / seconds
        print(f"{os.cpu_count()} cores, {num} pictures, {batch} at a time, {seconds} s of network each")
        print("| way | pictures a second | of the networks alone | CPU s a picture |\n|---|---|---|---|")
        for way in (one_after_the_other, as_a_pipeline):
            spent, cpu = measure(way, predictor, root / "photos", root / way.__name__)
            # the first batch has nothing to overlap with, and the last writes behind it: both belong to the run
            name, rate = way.__name__.replace("_", " "), num / spent
            print(f"| {name} | {rate:.3f} | {rate / alone:.3f} | {cpu / num:.3f} |")
        serial, pipeline = root / "one_after_the_other", root / "as_a_pipeline"
        files = [path.relative_to(serial) for path in serial.rglob("*") if path.is_file()]
        same = all((serial / file).read_bytes() == (pipeline / file).read_bytes() for file in files)
        print(f"files byte for byte equal: {same}")


def video(frames: int, formats: tuple[str, ...]) -> None:
    from sapiens2_lit.inference.writers.video import VideoEncoder

    with TemporaryDirectory() as scratch:
        root = Path(scratch)
        people = make_people(root / "people")
        predictor = Predictor(canned_model(people, 0.0), detector=None)
        (root / "videos").mkdir()
        encoder = VideoEncoder(root / "videos" / "walk.mp4", None)
        picture = cv2.resize(cv2.imread(str(next((people / "images").iterdir()))), (2160, 3840))
        for index in range(frames):
            encoder.add(np.roll(picture, 8 * index, axis=1), index / 25)
        encoder.close()
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        spent, _ = measure(as_a_pipeline, predictor, root / "videos" / "walk.mp4", root / "out", formats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print("| 4K frames | peak RSS, MB | before, MB | s a frame |\n|---|---|---|---|")
        print(f"| {frames} | {peak:.0f} | {before:.0f} | {spent / frames:.2f} |")


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--num", type=int, default=40)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--video", action="store_true")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--formats", nargs="+", default=FORMATS, help="of the video's results")
    options = parser.parse_args()
    if options.video:
        video(options.frames, tuple(options.formats))
    else:
        throughput(options.seconds, options.num, options.batch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
