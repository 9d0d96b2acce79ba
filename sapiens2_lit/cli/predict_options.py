"""The options of `sapiens2-lit predict`."""

from pathlib import Path

from sapiens2_lit.cli.engine_options import add_engine_options
from sapiens2_lit.cli.options import Parser, add_trust_options, true_or_false
from sapiens2_lit.data.pixel_limit import MAX_PIXELS

DESCRIPTION = """\
Predict on images and videos, and write what was found.

The model is a run (its folder, or a folder of runs, with /best or /last), a checkpoint, or a released task model:
a file, a folder or a hub id.
Results are in the pixels of the images that you give, whatever their size."""
EXAMPLES = """\
examples:
  sapiens2-lit predict --model runs/pose_17 --images photos --boxes boxes.json
  sapiens2-lit predict --model facebook/sapiens2-seg-0.4b --images 'photos/*.jpg' --output masks --formats png overlay
  sapiens2-lit predict --model runs/pose_17 --images rtsp://camera.local/live --mask_with facebook/sapiens2-seg-0.4b
  sapiens2-lit predict --model facebook/sapiens2-normal-0.4b --mask_with facebook/sapiens2-seg-0.4b --images walk.mp4
  sapiens2-lit predict --model runs/pose_17 --images pool --as_dataset pseudo
"""


def build_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser("sapiens2-lit predict", description=DESCRIPTION, epilog=EXAMPLES)
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        required=True,
        metavar="SOURCE",
        help="a run, RUNS/best, RUNS/last, a checkpoint, a task file or folder, or a hub id",
    )
    model.add_argument(
        "--backbone", metavar="SOURCE", help="the pretrained backbone of a checkpoint, if it has moved"
    )
    parser.add_switch("ema", True, "take averaged weights", model)
    add_trust_options(parser, model)
    model.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (%(default)s)")
    model.add_argument("--precision", default="float32", help="float32 or bf16 (%(default)s)")
    parser.add_switch("compile", False, "compile backbone and decoders: worth it for many images", model)

    images = parser.add_argument_group("images and people")
    images.add_argument(
        "--images",
        required=True,
        metavar="PATH",
        help="an image, a video, a folder, a quoted pattern, the number of a camera, or a stream's address (rtsp://, "
        "http://, udp:// ...)",
    )
    images.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="only these pictures of --images: one path per line, relative to it, as `curate select` writes them",
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
        help="finds people: self (the mask of the model's segmentation or matting head, or of --mask_with; the default "
        "if there is one), torchvision/NAME, a hub id or folder of transformers, or none (each image is one person)",
    )
    images.add_argument(
        "--detector_weights", type=Path, metavar="FILE", help="weights of torchvision/NAME (trained on COCO)"
    )
    images.add_argument("--threshold", type=float, metavar="S", help="the detector's lowest score (0.5)")
    images.add_argument(
        "--tiles",
        metavar="N",
        help="find tiny people: look at N overlapping parts along the longer side, too (auto for detectors: as many as "
        "large images need; 1 for self)",
    )
    images.add_argument(
        "--person_score",
        type=float,
        metavar="S",
        help="skeletons with a lower score are doubtful and not drawn, unless boxes or a detector found them (0.05 "
        "above the head's draw_threshold: 0.35)",
    )
    parser.add_switch("track", False, "keep people's ids over the frames of a video", images)
    parser.add_switch("smooth", False, "One-Euro filter on the keypoints of a video; implies --track", images)

    views = parser.add_argument_group("how it is predicted")
    views.add_argument("--batch_size", type=int, default=4, metavar="N", help="views at a time (%(default)s)")
    views.add_argument(
        "--flip",
        type=true_or_false,
        nargs="?",
        const=True,
        metavar="true|false",
        help="average with the mirrored images (false; with --as_dataset true)",
    )
    views.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], metavar="S", help="sizes to average over (1)"
    )
    views.add_argument(
        "--dense_view", choices=("whole", "crop"), default="whole", help="what dense heads see (%(default)s)"
    )
    views.add_argument(
        "--box_padding", type=float, metavar="F", help="factor on boxes (as in training, else 1.25)"
    )
    views.add_argument(
        "--mask_with", metavar="HEAD", help="keep dense maps only on people, by this head, or another model"
    )

    results = parser.add_argument_group("results")
    results.add_argument("--output", type=Path, metavar="DIR", help="folder (predictions)")
    results.add_argument(
        "--formats", nargs="+", metavar="F", help="see docs/outputs.md (json png ply overlay)"
    )
    results.add_argument(
        "--frame", default="opencv", help="of normals and points: opencv or opengl (%(default)s)"
    )
    results.add_argument(
        "--depth_unit",
        type=float,
        default=0.001,
        metavar="M",
        help="meters of 1 in a depth png (%(default)s)",
    )
    results.add_argument(
        "--overlay_format", default="jpg", help="of overlays of photographs: jpg or png (%(default)s)"
    )
    dataset = parser.add_argument_group("pseudo-labels")
    dataset.add_argument(
        "--as_dataset",
        type=Path,
        metavar="DIR",
        help="write a dataset to train on instead: images, labels of every head, confidences (docs/distillation.md)",
    )
    parser.add_switch("copy_images", False, "copy its images instead of linking them", dataset)
    dataset.add_argument(
        "--held_out",
        nargs="+",
        metavar="PATH",
        help="images that must not be among --images, byte for byte, such as those you validate on",
    )
    several = parser.add_mutually_exclusive_group()
    several.add_argument(
        "--shard",
        metavar="I/N",
        help="do the I-th of N parts, from 1; the last part to finish writes the lists of all",
    )
    several.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="do N parts at once, each in a process on a device of its own",
    )
    add_engine_options(parser)
    parser.add_switch("resume", False, "skip pictures that already have results", results)
    return parser
