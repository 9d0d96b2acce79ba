"""Build the parsers of the small commands without torch, so that help, errors and completion are fast."""

from collections.abc import Callable
from pathlib import Path

from sapiens2_lit.cli.curate_options import curate_parser
from sapiens2_lit.cli.engine_options import add_engine_options
from sapiens2_lit.cli.export_options import export_parser
from sapiens2_lit.cli.options import Parser, add_trust_options, add_verify_option
from sapiens2_lit.cli.predict_options import build_parser as predict_parser
from sapiens2_lit.cli.probe_options import probe_parser
from sapiens2_lit.data.pixel_limit import MAX_PIXELS

ANY_MODEL = "a run, RUNS/best, RUNS/last, a checkpoint, a task file or folder, or a hub id"


def app_parser() -> Parser:
    """Return the parser of `app`."""
    parser = Parser(
        "sapiens2-lit app",
        description="Serve a page that shows what one checkpoint, or several side by side, predict for a picture.",
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help=ANY_MODEL)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for every network")
    parser.add_argument("--port", type=int, default=7860, help="(%(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps, or auto (%(default)s)")
    parser.add_argument(
        "--detector",
        metavar="NAME",
        help="detector of people, offered beside the model's own; as for `predict`",
    )
    parser.add_argument("--detector_weights", type=Path, metavar="FILE", help="weights of torchvision/NAME")
    add_trust_options(parser)
    parser.add_argument(
        "--max_upload", type=float, default=50, metavar="MB", help="largest picture, as a file (%(default)g)"
    )
    parser.add_argument(
        "--max_pixels", type=int, metavar="N", help=f"largest picture, decoded ({MAX_PIXELS:,})"
    )
    return parser


CHECK_USAGE = "sapiens2-lit check --config FILE [--data.KEY VALUE ...] [--output DIR] [--json FILE]"
CHECK = """\
Run all checks of labels on all files of the data, and write a page with the findings and pictures of the labels, as
they are and as the network sees them. All other options are those of `fit`; no network is built.

Exit status: 0 clean or notes alone, 1 errors, 2 wrong usage, 3 warnings alone.
"""


def check_parser() -> Parser:
    """Return the parser of the options of `check` besides those of `fit`."""
    parser = Parser("sapiens2-lit check", usage=CHECK_USAGE, description=CHECK)
    parser.add_argument(
        "--output", default="check", metavar="DIR", help="folder for check.html (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="all findings for other programs")
    return parser


def consolidate_parser() -> Parser:
    """Return the parser of `consolidate`."""
    parser = Parser(
        "sapiens2-lit consolidate",
        description="Write the weights of a checkpoint, sharded or not, into one safetensors file.",
    )
    parser.add_argument("model", metavar="MODEL", help="a run, RUNS/best, RUNS/last, or a checkpoint")
    parser.add_argument("out", type=Path, nargs="?", metavar="OUT", help="the same as --output")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write, FILE.safetensors")
    add_verify_option(parser)
    return parser


def demo_parser() -> Parser:
    """Return the parser of `demo`."""
    parser = Parser(
        "sapiens2-lit demo",
        description="Generate people once, fit pose and segmentation on them, print metrics of held-out ones, save "
        "predictions.png.",
    )
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder for images and the run")
    parser.add_argument(
        "--num", type=int, default=500, help="pictures, of which a tenth is held out (%(default)s)"
    )
    parser.add_argument("--steps", type=int, help="optimizer steps (as many as quickstart.yaml says)")
    return parser


PLAN_USAGE = """\
sapiens2-lit plan [--devices N] --memory GIB [--config FILE ...] [--KEY VALUE ...]
       sapiens2-lit plan --table [--sizes SIZE ...] [--gpus N ...]
"""


def plan_parser() -> Parser:
    """Return the parser of the options of `plan` besides those of `fit`."""
    parser = Parser("sapiens2-lit plan", usage=PLAN_USAGE)
    parser.add_argument("--devices", type=int, help="GPUs in all (default: trainer.devices x num_nodes)")
    parser.add_argument("--memory", type=float, help="memory of each GPU in GiB, as it is sold: 24, 80, 141")
    parser.add_argument("--card", help="card to estimate the hours for, such as H100 or 'RTX 4090'")
    parser.add_argument(
        "--images_per_second",
        type=float,
        help="speed that a run of this kind has logged (throughput/images_per_second); gives the hours",
    )
    parser.add_switch("table", False, "all sizes, modes, precisions and numbers of GPUs")
    parser.add_argument("--sizes", nargs="+", help="sizes of the table (all)")
    parser.add_argument("--gpus", type=int, nargs="+", help="numbers of GPUs in the table (1 2 4 8)")
    return parser


SYNTH = """\
Write pictures of synthetic people with exact labels, as the datamodules read them.

Run it again after a kill, or with a larger --num: it makes only what is missing. Eight of ten samples are for training,
one is for validation, one for testing."""


def synth_parser() -> Parser:
    """Return the parser of `synth`."""
    from sapiens2_lit.synthetic.dataset.frame import FIELDS_OF_VIEW
    from sapiens2_lit.synthetic.dataset.layout import TASKS

    parser = Parser("sapiens2-lit synth", description=SYNTH)
    parser.add_argument("out", type=Path, nargs="?", metavar="DIR", help="the same as --output")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the dataset")
    parser.add_argument("--num", type=int, default=500, help="pictures in all (%(default)s)")
    parser.add_argument(
        "--size", type=int, nargs=2, default=[512, 384], metavar=("HEIGHT", "WIDTH"), help="(512 384)"
    )
    parser.add_argument(
        "--people", type=int, nargs="+", default=[1], metavar="N", help="in a picture: N, or from N to N (1)"
    )
    parser.add_argument(
        "--field_of_view",
        type=float,
        nargs="+",
        default=list(FIELDS_OF_VIEW),
        metavar="DEGREES",
        help="vertical field of view of the cameras: one, or from one to another (18 75)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people (%(default)s)")
    parser.add_argument(
        "--tasks", nargs="+", default=["all"], metavar="TASK", help=f"all, or some of {', '.join(TASKS)}"
    )
    parser.add_argument("--workers", type=int, help="processes (one on each CPU)")
    parser.add_argument(
        "--shard", metavar="I/N", help="make the I-th of N parts, from 1; the last to finish writes splits"
    )
    add_engine_options(parser)
    return parser


COMPARE = """\
Compare the scores and settings of several runs, and write a page with their curves, metrics and pictures of the same
samples. RUN is a run (version_N) or a folder of runs, such as runs/pose_17 or runs/*.
"""
COMPARE_PAGE = "compare.html"


def compare_parser() -> Parser:
    """Return the parser of `compare`."""
    usage = "sapiens2-lit compare RUN [RUN ...] [--output DIR]"
    parser = Parser("sapiens2-lit compare", usage=usage, description=COMPARE)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run, or a folder of runs")
    parser.add_argument(
        "--output", default="compare", metavar="DIR", help=f"folder for {COMPARE_PAGE} (%(default)s)"
    )
    return parser


def completion_parser() -> Parser:
    """Return the parser of `completion`."""
    parser = Parser(
        "sapiens2-lit completion",
        description="Print a script that lets a shell complete commands, options, configurations and values.",
    )
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell that reads it")
    return parser


CONVERT = """\
Convert a dataset of another program to the layout that `fit` reads: images, annotations/*.json and a skeleton file for
keypoints; masks, splits and a classes file for outlines.

NAME is coco, yolo, cvat-xml, cvat-masks or labelme, which training also reads directly; deeplabcut or sleap; or any
format of datumaro, such as voc_segmentation or coco_person_keypoints. The last two kinds need
pip install 'sapiens2-lit[convert]' in an environment of its own.
"""


def convert_parser() -> Parser:
    """Return the parser of `convert`."""
    usage = "sapiens2-lit convert SRC DIR --from NAME"
    parser = Parser("sapiens2-lit convert", usage=usage, description=CONVERT)
    parser.add_argument(
        "source", type=Path, metavar="SRC", help="the dataset: its folder, or the file that names it"
    )
    parser.add_argument("out", type=Path, metavar="DIR", help="the folder to write; it must be new or empty")
    parser.add_argument("--from", dest="format", required=True, metavar="NAME", help="the format of SRC")
    return parser


PACK = """\
Pack a folder that a datamodule reads into tar shards, as webdataset reads them, with an index of every file.

`--data.root OUT` then gives the same samples, labels, splits and losses as the folder. Copied to object storage, it is
read from there: `--data.root s3://BUCKET/PREFIX`. Run it again after a kill: only unfinished shards are written again.
"""


def pack_parser() -> Parser:
    """Return the parser of `pack`."""
    parser = Parser("sapiens2-lit pack", description=PACK)
    parser.add_argument("source", type=Path, metavar="DIR", help="the folder of a dataset, or of images")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="the folder to write: new, empty, or of a pack that was killed"
    )
    parser.add_argument(
        "--shard_size", default="1GB", metavar="SIZE", help="most bytes of a shard (%(default)s)"
    )
    parser.add_argument(
        "--encode",
        choices=("fast", "keep"),
        default="fast",
        help="fast: labels in the format that loads fastest, with the same values; keep: every file as it is "
        "(%(default)s)",
    )
    parser.add_argument(
        "--workers", type=int, help="threads that read and encode (one for each CPU, at most 8)"
    )
    return parser


VERIFY = """\
Check this installation on this machine, and write a report to attach to an issue.

It looks at Python, packages, torch and cards; fetches released weights that fit, or takes those of --weights; loads
them strictly and compares every backbone and task model with `transformers` (pip install 'sapiens2-lit[verify]');
takes training steps of every task and mode; and measures memory, speed, sharding and exact resume. A check that cannot
run is reported as skipped, with the reason.

Exit status: 0 all that ran passed, 1 something failed, 2 wrong usage, 3 nothing failed but no weights were compared.
"""


def verify_parser() -> Parser:
    """Return the parser of `verify`."""
    parser = Parser("sapiens2-lit verify", description=VERIFY)
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="PATH",
        help="downloaded weights: files, folders of `hf download`, or a folder of those (released ones from the hub)",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=[],
        metavar="SIZE",
        help="released sizes, such as 0.4b 1b (all that fit)",
    )
    parser.add_argument(
        "--tasks", nargs="+", default=[], metavar="TASK", help="such as pose seg normal (all)"
    )
    parser.add_switch("quick", False, "the smallest size, fewer trainings, downloads of at most 0.5 GB")
    parser.add_switch("download", True, "fetch released weights that are not in the local cache")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps, or auto (%(default)s)")
    parser.add_argument(
        "--output",
        default="verify",
        metavar="DIR",
        help="folder for verify.html and verify.json (%(default)s)",
    )
    return parser


PARSERS: dict[str, Callable[[], Parser]] = {
    "predict": predict_parser,
    "app": app_parser,
    "export": export_parser,
    "check": check_parser,
    "plan": plan_parser,
    "consolidate": consolidate_parser,
    "compare": compare_parser,
    "convert": convert_parser,
    "pack": pack_parser,
    "probe": probe_parser,
    "curate": curate_parser,
    "synth": synth_parser,
    "demo": demo_parser,
    "verify": verify_parser,
    "completion": completion_parser,
}
