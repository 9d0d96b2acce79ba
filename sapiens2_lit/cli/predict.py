"""`sapiens2-lit predict`: predict on images and videos, and write the results."""

import logging
import signal
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable
from sapiens2_lit.cli.find_run import find_model, with_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.options import with_underscores
from sapiens2_lit.cli.predict_dataset import begin_dataset, check_pool, say_how_to_train, settle_options
from sapiens2_lit.cli.predict_options import build_parser
from sapiens2_lit.cli.predict_people import detector_of, find_boxes, image_ids, who_finds_people
from sapiens2_lit.cli.start import say_loading
from sapiens2_lit.data.pixel_limit import set_max_pixels
from sapiens2_lit.errors import DataError, Interrupted, SettingError
from sapiens2_lit.inference.boxes import BoxFile
from sapiens2_lit.inference.inputs import check
from sapiens2_lit.inference.shard import Shard, parse_shard
from sapiens2_lit.inference.sources import Frame, Source, open_source

if TYPE_CHECKING:  # torch is imported after the arguments have been checked
    from sapiens2_lit.cli.predict_tally import Tally
    from sapiens2_lit.inference.output import Output
    from sapiens2_lit.inference.predictor import Predictor
    from sapiens2_lit.inference.sharded_run import ShardedRun
    from sapiens2_lit.inference.video_tracking import VideoTracking

log = logging.getLogger(__name__)

# options that may differ between shards
OF_EACH_SHARD = ("shard", "devices", "device", "output", "as_dataset", "resume", "verify")


def predict(args: list[str]) -> int:
    """Predict as `args` say; return the exit status: 1 if a file could not be predicted on.

    Raises:
        ArgumentError: Wrong usage.
        Interrupted: A signal came; files that exist are complete.
        SettingError, DataError, WeightsError: Naming the option or the file; nothing was predicted, or all existing
            results are complete.
    """
    set_up_messages()
    if any(arg.startswith("--data.predict") for arg in args):
        raise SettingError("--data.predict is gone: give --images PATH, and --boxes FILE for people")
    typed = with_model(with_underscores(args))
    parser = build_parser()
    options = parser.parse_args(typed)
    settle_options(options, Namespace(**{name: parser.get_default(name) for name in vars(options)}))
    if options.devices is not None:
        from sapiens2_lit.cli.predict_devices import predict_on_devices

        return predict_on_devices(options, typed)
    set_max_pixels(options.max_pixels)
    with empty_folders_removed(options.output):
        return predict_to(options)


def predict_to(options: Namespace) -> int:
    """Predict as the parsed options say; return the exit status, and raise as `predict` does."""
    check_writable(options.output, "--output" if options.as_dataset is None else "--as_dataset")
    shard = None if options.shard is None else parse_shard(options.shard)
    source = open_source(options.images, without=options.output, only=options.list)
    for name, value in (("--resume", options.resume), ("--shard", options.shard)):
        if source.stream is not None and value:
            raise SettingError(f"{name}: {source.stream.label} is a stream, which cannot start over")
    if options.as_dataset is not None:
        check_pool(options, source)
    boxes = None if options.boxes is None else find_boxes(options.boxes, source)
    predictor = build_predictor(options)
    from sapiens2_lit.cli.predict_tally import Tally, report

    timeline = build_timeline(options, predictor, source)
    tally = Tally(people=bool(predictor.top_down))
    opened = results_of(options, predictor, source, boxes)
    part = begin_part(options, shard, source)
    own = source if shard is None else shard.of(source)
    try:
        with interrupts.asked(), opened(own, part) as output:
            run(predictor, own, output, boxes, timeline, tally)
    except Interrupted as error:
        report(options.output, tally, own)
        if source.stream is None:
            raise error.with_advice("the same command with --resume goes on from here") from None
        if error.signal != signal.SIGINT:
            raise
        interrupts.settle()  # Ctrl-C is how a stream ends
    else:
        report(options.output, tally, own)
        if options.as_dataset is not None and output.whole:
            say_how_to_train(options.as_dataset)
    return 1 if own.problems or tally.problems else 0


def results_of(
    options: Namespace, predictor: "Predictor", source: Source, boxes: BoxFile | None
) -> Callable[[Source, "ShardedRun | None"], "Output"]:
    """Return a function that opens the output for the pictures of a shard, or for all of them.

    Args:
        options: Of the command.
        predictor: Whose results are written.
        source: All pictures and videos.
        boxes: The file of `--boxes`, or None.

    Raises:
        SettingError, DataError: An option does not fit, or the folder holds something else.
    """
    if options.as_dataset is not None:
        return begin_dataset(options, predictor, source)
    from sapiens2_lit.inference.output import open_output
    from sapiens2_lit.inference.writers.formats import FormatOptions

    ids = None if boxes is None else image_ids(boxes, source, options.formats or ())
    formats = FormatOptions(
        frame=options.frame, depth_unit=options.depth_unit, overlay=options.overlay_format, image_ids=ids
    )

    def opened(own: Source, part: "ShardedRun | None") -> "Output":
        return open_output(
            options.formats,
            options.output,
            dict(predictor.model.named_heads()),
            own,
            options=formats,
            resume=options.resume,
            sequential=options.track or options.smooth,
            part=part,
        )

    return opened


def begin_part(options: Namespace, shard: Shard | None, source: Source) -> "ShardedRun | None":
    """Return the run that a shard takes part in; None without a shard.

    Args:
        options: Of the command.
        shard: Of `--shard`, or None.
        source: All pictures and videos.

    Raises:
        SettingError: The folder holds shards of a run with other options, or unfinished shards while this run has none.
    """
    from sapiens2_lit.inference.sharded_run import ShardedRun, refuse_unfinished_shards

    if shard is None:
        refuse_unfinished_shards(options.output)
        return None
    settings = {f"--{name}": value for name, value in vars(options).items() if name not in OF_EACH_SHARD}
    part = ShardedRun(options.output, shard, source, settings)
    part.begin()
    return part


@contextmanager
def empty_folders_removed(folder: Path) -> Iterator[None]:
    """Remove the folder and its parents that this block creates if they are empty at its end, also after a signal."""
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
    """Load the model with the options of how it is used.

    Raises:
        SettingError, WeightsError: Naming the option that does not fit.
    """
    model = find_model(options.model)
    say_loading("PyTorch")
    from sapiens2_lit.archives.verify import set_verification
    from sapiens2_lit.inference.load import load

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
        detector=detector_of(options),
        tiles=1 if options.tiles is None or options.detector not in (None, "self") else options.tiles,
        person_score=options.person_score,
        confidence=options.as_dataset is not None,
    )
    for name, value in (
        ("--boxes", options.boxes),
        ("--detector", options.detector),
        ("--tiles", options.tiles),
    ):
        if value is not None and not predictor.uses_boxes:
            raise SettingError(
                f"{name}: no head of {predictor.model.origin} ({', '.join(predictor.dense)}) sees people one by one; "
                "leave the option out, or give --dense_view crop."
            )
    if predictor.uses_boxes and options.boxes is None:
        log.info(who_finds_people(options, predictor))
    return predictor


def build_timeline(options: Namespace, predictor: "Predictor", source: Source) -> "VideoTracking":
    """Return the tracking and smoothing of people from frame to frame.

    Args:
        options: Of the command.
        predictor: The model.
        source: All pictures and videos.

    Raises:
        SettingError: Tracking or smoothing is asked for, but no head predicts people, or there is no video.
    """
    from sapiens2_lit.inference.video_tracking import VideoTracking

    for name, value in (("--track", options.track), ("--smooth", options.smooth)):
        if value and not predictor.top_down:
            raise SettingError(f"{name}: no head of {predictor.model.origin} predicts keypoints of people")
        if value and not source.videos:
            raise SettingError(f"{name}: there is no video in {options.images}; photographs are not in a row")
    return VideoTracking(track=options.track, smooth=options.smooth)


def run(
    predictor: "Predictor",
    source: Source,
    output: "Output",
    boxes: BoxFile | None,
    timeline: "VideoTracking",
    tally: "Tally",
) -> None:
    """Predict on all frames in order, and write the results; a stream runs until a signal comes.

    Args:
        predictor: The model.
        source: Pictures and videos.
        output: Writes the results.
        boxes: Of people; None if there is no file of them.
        timeline: Tracks and smooths.
        tally: Counts the results.

    Raises:
        Interrupted: A signal came; all frames that the networks have seen are written.
    """
    from sapiens2_lit.inference.run import run_ahead

    ends = source.stream is None  # by itself
    with tqdm(total=source.total, unit="image", disable=None, dynamic_ncols=True) as bar:

        def skip(name: str) -> bool:
            if interrupts.received():
                return True  # asked before every photograph is read
            skipped = output.done(name)
            if skipped:
                bar.update((source.videos[name].num_frames or 0) if name in source.videos else 1)
            return skipped

        found = run_ahead(
            predictor,
            source,
            output,
            boxes_of=lambda frame: None if boxes is None else boxes.of(frame),
            mend=timeline,
            skip=skip,
            usable=lambda frames: usable(frames, tally),
        )
        with closing(found):
            for frame, prediction in found:
                tally.add(frame, prediction)
                bar.update()
    if ends:
        interrupts.check()


def usable(frames: Iterable[Frame], tally: "Tally") -> Iterator[Frame]:
    """Yield the frames that can be predicted on; add an error to the tally's problems for each other one."""
    for frame in frames:
        try:
            check(frame.image, frame.file)
        except DataError as error:
            tally.problems.append(str(error))
            continue
        yield frame
