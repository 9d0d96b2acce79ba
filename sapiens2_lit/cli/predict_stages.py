"""The stages of a run of `predict`, or of a part of it: pictures, networks, people over time, results."""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from tqdm import tqdm

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import check_writable
from sapiens2_lit.cli.find_run import find_model
from sapiens2_lit.cli.predict_dataset import begin_dataset, check_pool
from sapiens2_lit.cli.predict_people import detector_of, image_ids, who_finds_people
from sapiens2_lit.cli.start import say_loading
from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.boxes import BoxFile
from sapiens2_lit.inference.inputs import check
from sapiens2_lit.inference.sources import Frame, Source, open_source

if TYPE_CHECKING:  # torch is imported when all that was asked for is there
    from sapiens2_lit.cli.predict_tally import Tally
    from sapiens2_lit.inference.output import Output
    from sapiens2_lit.inference.predictor import Predictor
    from sapiens2_lit.inference.sharded_run import ShardedRun
    from sapiens2_lit.inference.video_tracking import VideoTracking

log = logging.getLogger(__name__)


def find_source(options: Namespace) -> Source:
    """Find all pictures of a run, and make the folder of the results.

    Raises:
        SettingError, DataError: There are none, or they do not fit other options.
    """
    check_writable(options.output, "--output" if options.as_dataset is None else "--as_dataset")
    source = open_source(options.images, without=options.output, only=options.list)
    given = (
        ("--resume", options.resume),
        ("--shard", options.shard),
        ("--engine ray", options.engine == "ray"),
    )
    for name, value in given:
        if source.stream is not None and value:
            raise SettingError(f"{name}: {source.stream.label} is a stream, which does not begin again")
    if options.as_dataset is not None:
        check_pool(options, source)
    return source


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
    from sapiens2_lit.checkpoints.fingerprint import fingerprint
    from sapiens2_lit.inference.output import open_output
    from sapiens2_lit.inference.writers.formats import FormatOptions

    ids = None if boxes is None else image_ids(boxes, source, options.formats or ())
    formats = FormatOptions(
        frame=options.frame, depth_unit=options.depth_unit, overlay=options.overlay_format, image_ids=ids
    )

    model = fingerprint(predictor.model.state_dict())[:16]

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
            model=model,
        )

    return opened


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
                "leave it out, or give --dense_view crop."
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
        boxes: Of people; None if no file of boxes is given.
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
