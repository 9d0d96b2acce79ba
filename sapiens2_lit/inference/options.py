"""The options of `sapiens2-lit predict --images`."""

from argparse import (
    ArgumentError,
    ArgumentParser,
    BooleanOptionalAction,
    RawDescriptionHelpFormatter,
    _ActionsContainer,
)
from pathlib import Path
from typing import NoReturn

from sapiens2_lit.pixel_limit import MAX_PIXELS

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


def add_trust_options(parser: _ActionsContainer) -> None:
    """Options of every command that builds the networks of a file."""
    parser.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="CLASS_OR_MODULE",
        help="a class that the file may name besides those of sapiens2_lit, torch and lightning, such as "
        "contact.ContactHead, or a module with all in it; may be repeated",
    )
    parser.add_argument(
        "--allow_nonfinite", action="store_true", help="use weights that are NaN or infinite all the same"
    )


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
    add_trust_options(model)
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    model.add_argument("--precision", default="float32", help="float32 or bf16 (%(default)s)")
    model.add_argument(
        "--compile", action="store_true", help="compile the backbone's blocks: worth it for many images"
    )

    images = parser.add_argument_group("images and people")
    images.add_argument(
        "--images", required=True, metavar="PATH", help="an image, a video, a folder, or a quoted pattern"
    )
    images.add_argument(
        "--max_pixels", type=int, metavar="N", help=f"largest photograph, width x height ({MAX_PIXELS:,})"
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
