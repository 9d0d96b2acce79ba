"""The options of `sapiens2-lit export`."""

from argparse import Namespace
from pathlib import Path

from sapiens2_lit.cli.find_run import PATTERNS, find_model
from sapiens2_lit.cli.options import Parser, add_trust_options
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.plan import OPSETS

DESCRIPTION = """\
Write a trained model in another format, into a folder with its licence and a model card.

  released       safetensors as Meta's task files, one head; `sapiens2-lit` reads it back
  transformers   a folder for transformers' Sapiens2For....from_pretrained: pose, segmentation, normals, point maps,
                 mattes; one head
  torch-export   a package of torch.export, any heads
  onnx           ONNX, any heads, with a program that uses it by numpy and onnxruntime alone

The written model is run and compared with the original, unless --check false."""
FORMATS = ("released", "transformers", "torch-export", "onnx")


def export_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser("sapiens2-lit export", description=DESCRIPTION)
    parser.add_argument("older", nargs="*", metavar="CKPT OUT", help="older form of --model and --output")
    parser.add_argument(
        "--model",
        metavar="SOURCE",
        help="a run, RUNS/best, RUNS/last, a checkpoint, a task file or folder, or a hub id",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument("--format", required=True, choices=FORMATS, help="what to write")
    parser.add_argument(
        "--head", metavar="NAME", help="this head alone (needed where a format holds one head)"
    )
    parser.add_switch("ema", True, "averaged weights, where there are some")
    parser.add_switch("check", True, "run the result and compare")
    parser.add_argument(
        "--opset",
        type=int,
        choices=OPSETS,
        metavar="N",
        help=f"ONNX operators, {OPSETS[0]} to {OPSETS[-1]} ({OPSETS[0]})",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "fp16"),
        help="of an ONNX file; fp16: half the size, meant for GPUs (float32)",
    )
    parser.add_argument(
        "--device", default="cpu", help="cpu, cuda, mps or auto; torch-export keeps it (%(default)s)"
    )
    parser.add_argument(
        "--backbone",
        metavar="PATH",
        help="the pretrained backbone of a checkpoint without it, if it was moved",
    )
    add_trust_options(parser)
    parser.add_switch("overwrite", False, "replace an earlier export in DIR")
    parser.add_argument(
        "--push_to_hub", metavar="USER/NAME", help="upload the folder to the Hugging Face hub, too"
    )
    parser.add_switch("private", False, "make the repository private, if it is new")
    return parser


def parse(args: list[str]) -> Namespace:
    """Return the options, with `model` and `output` set.

    Raises:
        ArgumentError: Wrong usage.
        SettingError: An option has no effect, or model or folder are missing.
    """
    options = export_parser().parse_args(args)
    options.model, options.output = model_and_output(options)
    if options.format != "onnx" and options.opset is not None:
        raise SettingError(f"--opset has no effect with --format {options.format}")
    if options.format != "onnx" and options.precision is not None:
        raise SettingError(
            f"--precision has no effect with --format {options.format}, only with --format onnx"
        )
    options.opset = options.opset or OPSETS[0]
    return options


def model_and_output(options: Namespace) -> tuple[str, Path]:
    """Return what to export and where to, from `--model` and `--output`, or from the older `CKPT OUT [--output RUNS]`.

    Raises:
        SettingError: One of them is missing, or the model is given twice.
    """
    if options.older:
        if options.model is not None or len(options.older) != 2:
            raise SettingError(
                f"export: found {' '.join(options.older)}, expected --model SOURCE --output DIR alone"
            )
        checkpoint, out = options.older
        if checkpoint in PATTERNS and not Path(checkpoint).exists():
            if options.output is None:
                raise SettingError(f"{checkpoint}: of which run? Give --model RUNS/{checkpoint}")
            checkpoint = f"{options.output}/{checkpoint}"
        elif options.output is not None:
            raise SettingError(f"--output {options.output}: found beside {out}; expected one folder to write")
        return find_model(checkpoint), Path(out)
    if options.model is None or options.output is None:
        raise SettingError("export: expected --model SOURCE and --output DIR")
    return find_model(options.model), options.output
