"""The options of `curate`; building them needs no torch."""

from pathlib import Path

from sapiens2_lit.cli.engine_options import add_engine_options
from sapiens2_lit.cli.options import Parser, add_trust_options

CURATE = """\
Choose from a pool of pictures those worth learning from: `score` measures every picture once, `select` cuts, drops
duplicates and balances, as often as you like. See docs/curation.md."""
SCORE = """\
Write a row for each picture into DIR/part-*.parquet: file, EXIF, damage, sharpness, exposure, perceptual hash; with a
detector its people, with a pose model whether a head is seen, with a backbone an embedding.

The same command again computes only the shards that are not there."""
SELECT = """\
Write a list of pictures, beside it a JSON of what each stage has left, and a page with the pictures on both sides of
every threshold. Without --config duplicates alone are dropped."""


def curate_parser() -> Parser:
    """Return the parser of `curate score` and `curate select`."""
    parser = Parser("sapiens2-lit curate", description=CURATE)
    steps = parser.add_subparsers(
        dest="step", metavar="score | select", required=True, parser_class=StepParser
    )
    add_score_options(steps.add_parser("score", help="measure every picture", description=SCORE))
    add_select_options(steps.add_parser("select", help="choose pictures by their scores", description=SELECT))
    return parser


class StepParser(Parser):
    """A `Parser` that argparse can build for a step."""

    def __init__(self, **settings: object) -> None:
        super().__init__(str(settings.pop("prog")), **settings)


def add_score_options(parser: Parser) -> None:
    """Add the options of `curate score`."""
    parser.add_argument("images", type=Path, metavar="IMAGES", help="folder of pictures")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the scores")
    parser.add_argument("--shard", metavar="I/N", help="every N-th shard, from the I-th, counted from 1")
    parser.add_argument(
        "--shard_size", type=int, default=1000, metavar="N", help="pictures in a file (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="threads that decode (one on each CPU, at most 8)"
    )
    parser.add_argument("--max_pixels", type=int, metavar="N", help="largest picture, width x height")
    parser.add_argument("--device", default="auto", help="of networks: cpu, cuda, mps or auto (%(default)s)")
    add_engine_options(parser)
    people = parser.add_argument_group("people")
    people.add_argument(
        "--detector",
        metavar="NAME",
        help="finds people: torchvision/NAME, a hub id or folder of transformers",
    )
    people.add_argument("--detector_weights", type=Path, metavar="FILE", help="weights of torchvision/NAME")
    people.add_argument("--threshold", type=float, metavar="S", help="the detector's lowest score (0.5)")
    people.add_argument(
        "--model", metavar="SOURCE", help="a pose model, which sees whether heads are visible"
    )
    add_trust_options(parser, people)
    more = parser.add_argument_group("other columns")
    more.add_argument(
        "--backbone", metavar="SOURCE", help="embeds: a hub id, a file, a run, timm/NAME, random:SIZE"
    )
    more.add_argument(
        "--image_size", type=int, nargs=2, default=[256, 192], metavar=("HEIGHT", "WIDTH"),
        help="input size of the backbone (256 192)",
    )  # fmt: skip
    more.add_argument(
        "--batch_size", type=int, default=16, metavar="N", help="pictures at a time (%(default)s)"
    )
    more.add_argument(
        "--columns", nargs="+", default=[], metavar="CLASS",
        help="columns of your own, such as sapiens2_lit.curation.Colorfulness",
    )  # fmt: skip


def add_select_options(parser: Parser) -> None:
    """Add the options of `curate select`."""
    parser.add_argument(
        "scores", type=Path, nargs="+", metavar="SCORES", help="folders of scores, or files of them"
    )
    parser.add_argument(
        "--config", "-c", metavar="FILE", help="cuts, duplicates, clusters and sample, as YAML"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="LIST", help="the list, such as selected.txt"
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="where the pictures are, if they have moved"
    )
    parser.add_switch("stems", False, "list pictures without suffix, as split files of `fit` do")
    parser.add_switch("partial", False, "select although shards are missing")
