"""`sapiens2-lit predict --images`: predict on images and videos and write what was found."""

import logging
import sys
from argparse import (
    ArgumentError,
    ArgumentParser,
    BooleanOptionalAction,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from sapiens2_lit.errors import DataError, SettingError
from sapiens2_lit.inference.boxes import BoxFile, read_boxes
from sapiens2_lit.inference.detect import build_detector
from sapiens2_lit.inference.inputs import check
from sapiens2_lit.inference.output import Output, check_writable, open_output
from sapiens2_lit.inference.predictor import Predictor, load
from sapiens2_lit.inference.sources import Frame, Source, open_source
from sapiens2_lit.inference.timeline import Timeline
from sapiens2_lit.inference.writers.formats import FormatOptions
from sapiens2_lit.messages import set_up_messages

DESCRIPTION = """\
Predict on images and videos, and write what was found.

The model is a checkpoint of a run (--ckpt_path), or a released task model (--model): a file, a folder or a hub id.
Results are in the pixels of the images that you give, whatever their size."""
EXAMPLES = """\
examples:
  sapiens2-lit predict --ckpt_path runs/pose_17/version_0/checkpoints/last.ckpt --images photos --boxes boxes.json
  sapiens2-lit predict --model facebook/sapiens2-seg-0.4b --images 'photos/*.jpg' --out masks --formats png overlay
  sapiens2-lit predict --model facebook/sapiens2-normal-0.4b --mask-with facebook/sapiens2-seg-0.4b --images walk.mp4

Without --images, `sapiens2-lit predict --ckpt_path FILE --data.predict IMAGES` predicts by the data of a run's
configuration, through the Trainer; `sapiens2-lit test --help` lists its options.
"""
STOPPED = 130  # what a shell calls a command that Ctrl-C ended

log = logging.getLogger(__name__)


class Parser(ArgumentParser):
    """Raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(None, message)


def build_parser() -> ArgumentParser:
    """All options of the command."""
    parser = Parser(
        "sapiens2-lit predict",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    model = parser.add_argument_group("model")
    source = model.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--ckpt_path", metavar="FILE", help="a checkpoint; `last` or `best`: of the newest run of --output"
    )
    source.add_argument("--model", metavar="SOURCE", help="a task model: file, folder or hub id")
    model.add_argument("--output", default="runs/default", metavar="DIR", help="folder of runs (%(default)s)")
    model.add_argument(
        "--backbone", metavar="SOURCE", help="the pretrained backbone of a checkpoint, if it has moved"
    )
    model.add_argument(
        "--ema", action=BooleanOptionalAction, default=True, help="take averaged weights (yes)"
    )
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    model.add_argument("--precision", default="float32", help="float32 or bf16 (%(default)s)")
    model.add_argument(
        "--compile", action="store_true", help="compile the backbone's blocks: worth it for many images"
    )

    images = parser.add_argument_group("images and people")
    images.add_argument(
        "--images", required=True, metavar="PATH", help="an image, a video, a folder, or a quoted pattern"
    )
    people = images.add_mutually_exclusive_group()
    people.add_argument(
        "--boxes", type=Path, metavar="JSON", help="people: {FILE: [[x, y, width, height, score]]}, or COCO"
    )
    people.add_argument(
        "--detector",
        metavar="NAME",
        help="finds people: torchvision/NAME, or a hub id or folder of transformers",
    )
    images.add_argument("--threshold", type=float, metavar="S", help="the detector's lowest score (0.5)")
    images.add_argument("--track", action="store_true", help="keep people's ids over the frames of a video")
    images.add_argument(
        "--smooth", action="store_true", help="One-Euro filter on the keypoints of a video; implies --track"
    )

    views = parser.add_argument_group("how it is predicted")
    views.add_argument("--batch-size", type=int, default=4, metavar="N", help="views at a time (%(default)s)")
    views.add_argument("--flip", action="store_true", help="average with the mirrored images")
    views.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], metavar="S", help="sizes to average over (1)"
    )
    views.add_argument(
        "--dense-view", choices=("whole", "crop"), default="whole", help="what dense heads see (%(default)s)"
    )
    views.add_argument(
        "--box-padding", type=float, metavar="F", help="factor on boxes (as in training, else 1.25)"
    )
    views.add_argument(
        "--mask-with", metavar="HEAD", help="dense maps only on people, by this head, or another model's"
    )

    results = parser.add_argument_group("results")
    results.add_argument(
        "--out", type=Path, default=Path("predictions"), metavar="DIR", help="folder (%(default)s)"
    )
    results.add_argument(
        "--formats", nargs="+", metavar="F", help="see docs/outputs.md (json png ply overlay)"
    )
    results.add_argument(
        "--frame", default="opencv", help="of normals and points: opencv or opengl (%(default)s)"
    )
    results.add_argument(
        "--depth-unit", type=float, default=0.001, metavar="M", help="of depth png, metres (%(default)s)"
    )
    results.add_argument("--resume", action="store_true", help="leave out what is there already")
    return parser


def predict(args: list[str]) -> int:
    """Do what `args` ask for; returns the exit status: 1 where a file could not be predicted on.

    Raises:
        ArgumentError: wrong usage.
        SettingError, DataError, WeightsError: naming the option or the file; nothing was predicted then, or all that
            was is whole.
    """
    options = build_parser().parse_args(args)
    set_up_messages()
    check_writable(options.out)
    source = open_source(options.images, without=options.out)
    boxes = None if options.boxes is None else find_boxes(options.boxes, source)
    predictor = build_predictor(options)
    timeline = build_timeline(options, predictor, source)
    ids = None if boxes is None else boxes.ids_of(files_of(source))
    formats = FormatOptions(frame=options.frame, depth_unit=options.depth_unit, image_ids=ids)
    problems: list[str] = []
    done = 0
    try:
        with open_output(
            options.formats,
            options.out,
            dict(predictor.model.named_heads()),
            source,
            options=formats,
            resume=options.resume,
            sequential=options.track or options.smooth,
        ) as output:
            done = run(predictor, source, output, boxes, timeline, problems)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command with --resume goes on from here\n")
        return STOPPED
    return report(options.out, done, [*source.problems, *problems])


def build_predictor(options: Namespace) -> Predictor:
    """The model and how it is used.

    Raises:
        SettingError, WeightsError: naming the option that does not fit.
    """
    model = options.model or find_checkpoint(options.ckpt_path, Path(options.output))
    predictor = load(
        model,
        device=options.device,
        precision=options.precision,
        compile=options.compile,
        ema=options.ema,
        backbone=options.backbone,
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
                "leave it out, or give --dense-view crop."
            )
    if options.detector is not None:
        threshold = 0.5 if options.threshold is None else options.threshold
        predictor.detector = build_detector(options.detector, predictor.model.device, threshold)
    elif options.threshold is not None:
        raise SettingError("--threshold is the detector's lowest score; it means nothing without --detector")
    if predictor.uses_boxes and options.boxes is None and options.detector is None:
        log.info("no --boxes and no --detector: each image is taken for one person who fills it")
    return predictor


def build_timeline(options: Namespace, predictor: Predictor, source: Source) -> Timeline:
    """What is done with people from frame to frame.

    Raises:
        SettingError: it is asked for, but there are no people, or no frames.
    """
    for name, value in (("--track", options.track), ("--smooth", options.smooth)):
        if value and not predictor.top_down:
            raise SettingError(f"{name}: no head of {predictor.model.origin} predicts keypoints of people")
        if value and not source.videos:
            raise SettingError(f"{name}: there is no video in {options.images}; photographs are not in a row")
    return Timeline(track=options.track, smooth=options.smooth)


def find_checkpoint(ckpt_path: str, output: Path) -> str:
    """The file that --ckpt_path means; `last` and `best` are those of the newest run of --output."""
    if Path(ckpt_path).exists():
        return ckpt_path
    from sapiens2_lit.run import find_checkpoint as of_runs  # Lightning, which nothing else here needs

    return of_runs(ckpt_path, output) or ckpt_path


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


def files_of(source: Source) -> list[str]:
    """The photographs of a source, as frames call them."""
    return [path.relative_to(source.root).as_posix() for path in source.photos.values()]


def run(
    predictor: Predictor,
    source: Source,
    output: Output,
    boxes: BoxFile | None,
    timeline: Timeline,
    problems: list[str],
) -> int:
    """Predict on all frames, some at a time, in their order; returns how many were written."""
    done = 0
    with tqdm(total=source.total, unit="image", disable=None, dynamic_ncols=True) as bar:

        def skip(name: str) -> bool:
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
