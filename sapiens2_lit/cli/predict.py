"""`sapiens2-lit predict`: predict on images and videos and write what was found."""

import logging
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable
from sapiens2_lit.cli.find_run import find_model, with_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.options import with_underscores
from sapiens2_lit.cli.predict_options import build_parser
from sapiens2_lit.cli.start import say_loading
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import DataError, Interrupted, SettingError
from sapiens2_lit.inference.boxes import BoxFile, read_boxes
from sapiens2_lit.inference.inputs import check
from sapiens2_lit.inference.sources import Frame, Source, open_source

if TYPE_CHECKING:  # torch is imported when all that was asked for is there
    from sapiens2_lit.inference.output import Output
    from sapiens2_lit.inference.predictor import Predictor
    from sapiens2_lit.inference.video_tracking import VideoTracking

log = logging.getLogger(__name__)


def predict(args: list[str]) -> int:
    """Do what `args` ask for; returns the exit status: 1 where a file could not be predicted on.

    Raises:
        ArgumentError: wrong usage.
        Interrupted: a signal came; what is there is whole.
        SettingError, DataError, WeightsError: naming the option or the file; nothing was predicted then, or all that
            was is whole.
    """
    set_up_messages()
    if any(arg.startswith("--data.predict") for arg in args):
        raise SettingError("--data.predict is gone: give --images PATH, and --boxes FILE for people")
    options = build_parser().parse_args(with_model(with_underscores(args)))
    set_max_pixels(options.max_pixels)
    with empty_folders_removed(options.output):
        return predict_to(options)


def predict_to(options: Namespace) -> int:
    """Do what options ask for; returns and raises as `predict` does."""
    check_writable(options.output, "--output")
    source = open_source(options.images, without=options.output)
    boxes = None if options.boxes is None else find_boxes(options.boxes, source)
    predictor = build_predictor(options)
    from sapiens2_lit.inference.output import open_output
    from sapiens2_lit.inference.writers.formats import FormatOptions

    timeline = build_timeline(options, predictor, source)
    ids = None if boxes is None else image_ids(boxes, source, options.formats or ())
    formats = FormatOptions(frame=options.frame, depth_unit=options.depth_unit, image_ids=ids)
    problems: list[str] = []
    done = 0
    try:
        with (
            interrupts.asked(),
            open_output(
                options.formats,
                options.output,
                dict(predictor.model.named_heads()),
                source,
                options=formats,
                resume=options.resume,
                sequential=options.track or options.smooth,
            ) as output,
        ):
            done = run(predictor, source, output, boxes, timeline, problems)
    except Interrupted as error:
        raise error.with_advice("the same command with --resume goes on from here") from None
    return report(options.output, done, [*source.problems, *problems])


@contextmanager
def empty_folders_removed(folder: Path) -> Iterator[None]:
    """Remove a folder, and those above it, that this block has made, if they are empty at its end, signals included."""
    folder = folder.absolute()
    new = [path for path in (folder, *folder.parents) if not path.exists()]

    def remove() -> None:
        with suppress(OSError):  # not empty, or never made
            for path in new:
                path.rmdir()

    with interrupts.undone(remove):
        try:
            yield
        finally:
            remove()


def build_predictor(options: Namespace) -> "Predictor":
    """The model and how it is used.

    Raises:
        SettingError, WeightsError: naming the option that does not fit.
    """
    model = find_model(options.model)
    say_loading("PyTorch")
    from sapiens2_lit.archives.verify import set_verification
    from sapiens2_lit.inference.predictor import load

    set_verification(options.verify)
    predictor = load(
        model,
        device=options.device,
        precision=options.precision,
        compile=options.compile,
        ema=options.ema,
        backbone=options.backbone,
        trust=options.trust,
        allow_nonfinite=options.allow_nonfinite,
        batch_size=options.batch_size,
        flip=options.flip,
        scales=options.scales,
        dense_view=options.dense_view,
        box_padding=options.box_padding,
        mask_with=options.mask_with,
    )
    for name, value in (("--boxes", options.boxes), ("--detector", options.detector)):
        if value is not None and not predictor.uses_boxes:
            raise SettingError(
                f"{name}: no head of {predictor.model.origin} ({', '.join(predictor.dense)}) sees people one by one; "
                "leave it out, or give --dense_view crop."
            )
    if options.detector is not None:
        from sapiens2_lit.inference.detect import build_detector  # torchvision, seconds

        threshold = 0.5 if options.threshold is None else options.threshold
        predictor.detector = build_detector(options.detector, predictor.model.device, threshold)
    elif options.threshold is not None:
        raise SettingError("--threshold is the detector's lowest score; it means nothing without --detector")
    if predictor.uses_boxes and options.boxes is None and options.detector is None:
        log.info("no --boxes and no --detector: each image is taken for one person who fills it")
    return predictor


def build_timeline(options: Namespace, predictor: "Predictor", source: Source) -> "VideoTracking":
    """What is done with people from frame to frame.

    Raises:
        SettingError: it is asked for, but there are no people, or no frames.
    """
    from sapiens2_lit.inference.video_tracking import VideoTracking

    for name, value in (("--track", options.track), ("--smooth", options.smooth)):
        if value and not predictor.top_down:
            raise SettingError(f"{name}: no head of {predictor.model.origin} predicts keypoints of people")
        if value and not source.videos:
            raise SettingError(f"{name}: there is no video in {options.images}; photographs are not in a row")
    return VideoTracking(track=options.track, smooth=options.smooth)


def find_boxes(path: Path, source: Source) -> BoxFile:
    """Boxes for the pictures of a source.

    Raises:
        DataError: the file cannot be read, or knows none of the pictures.
    """
    boxes = read_boxes(path)
    files = files_of(source)
    unknown = [file for file in files if boxes.find(file) is None]
    if files and not source.videos and len(unknown) == len(files):
        raise DataError(
            f"{path}: has boxes of none of the {len(files)} images, such as {files[0]}; it knows "
            f"{', '.join(list(boxes.boxes)[:3])}, ..."
        )
    if unknown:
        log.warning(
            "%s: knows nobody on %d of %d images, such as %s", path, len(unknown), len(files), unknown[0]
        )
    return boxes


def image_ids(boxes: BoxFile, source: Source, formats: Sequence[str]) -> dict[str, int] | None:
    """COCO's `image_id` of each photograph; None where the boxes' file gives none.

    Raises:
        DataError: results are wanted in COCO's form, and the file has ids of some of the pictures alone.
    """
    files = files_of(source)
    ids = boxes.ids_of(files)
    if ids is None or "coco" not in formats:
        return None
    if without := [file for file in files if file not in ids] + list(source.videos):
        raise DataError(
            f"{boxes.path}: has no `image_id` of {len(without)} pictures, such as {without[0]}, for --formats coco; "
            "leave them out, or give boxes by file names."
        )
    return ids


def files_of(source: Source) -> list[str]:
    """The photographs of a source, as frames call them."""
    return [path.relative_to(source.root).as_posix() for path in source.photos.values()]


def run(
    predictor: "Predictor",
    source: Source,
    output: "Output",
    boxes: BoxFile | None,
    timeline: "VideoTracking",
    problems: list[str],
) -> int:
    """Predict on all frames, some at a time, in their order; returns how many were written."""
    done = 0
    with tqdm(total=source.total, unit="image", disable=None, dynamic_ncols=True) as bar:

        def skip(name: str) -> bool:
            interrupts.check()  # asked before every photograph is read
            skipped = output.done(name)
            if skipped:
                bar.update((source.videos[name].num_frames or 0) if name in source.videos else 1)
            return skipped

        for frames in in_batches(usable(source.frames(skip), problems), predictor.batch_size):
            found = predictor.predict(
                [frame.image for frame in frames],
                None if boxes is None else [boxes.of(frame) for frame in frames],
            )
            for frame, prediction in zip(frames, found, strict=True):
                interrupts.check()
                output.write(frame, timeline(prediction, frame))
                done += 1
                bar.update()
    return done


def usable(frames: Iterator[Frame], problems: list[str]) -> Iterator[Frame]:
    """The frames that can be predicted on; what is wrong with others goes into `problems`."""
    for frame in frames:
        try:
            check(frame.image, frame.file)
        except DataError as error:
            problems.append(str(error))
            continue
        yield frame


def in_batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def report(out: Path, done: int, problems: list[str]) -> int:
    """Say what was done and what could not be; returns the exit status."""
    sys.stdout.write(f"{out}: results of {done} image{'' if done == 1 else 's'}\n")
    if not problems:
        return 0
    lines = "".join(f"  {problem}\n" for problem in problems)
    sys.stderr.write(
        f"\nerror: {len(problems)} of the files could not be predicted on, or not in whole:\n{lines}"
    )
    return 1
