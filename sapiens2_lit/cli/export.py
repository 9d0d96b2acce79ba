"""`sapiens2-lit export`: a trained model in the format of others, with licence and model card."""

import sys
from argparse import Namespace
from pathlib import Path

from huggingface_hub import HfApi

from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.atomic_write import check_room
from sapiens2_lit.cli.find_run import PATTERNS, find_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.options import Parser, add_trust_options
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.folder import MANIFEST, check_place, new_folder, write_json
from sapiens2_lit.export.hub import check_login, push
from sapiens2_lit.export.licence import write_licence
from sapiens2_lit.export.manifest import manifest
from sapiens2_lit.export.model_card import write_card
from sapiens2_lit.export.onnx import OPSETS, write_onnx
from sapiens2_lit.export.plan import Exported, Options, Writer
from sapiens2_lit.export.provenance import Provenance, provenance
from sapiens2_lit.export.released import write_released
from sapiens2_lit.export.torch_export import write_torch_export
from sapiens2_lit.export.training_run import TrainingRun, read_run
from sapiens2_lit.export.transformers import write_transformers
from sapiens2_lit.inference.model import InferenceModel, load_model

DESCRIPTION = """\
Write a trained model in another format, into a folder with its licence and a model card.

  released       safetensors as Meta's task files, one head; `sapiens2-lit` reads it back
  transformers   a folder for transformers' Sapiens2For....from_pretrained: pose, segmentation, normals, point maps,
                 mattes; one head
  torch-export   a package of torch.export, any heads
  onnx           ONNX, any heads, with a program that uses it by numpy and onnxruntime alone

What was written is run and compared with the model, unless --check false."""
FORMATS: dict[str, Writer] = {
    "released": write_released,
    "transformers": write_transformers,
    "torch-export": write_torch_export,
    "onnx": write_onnx,
}
SMALL_FILES = 4_000_000  # bytes: of a graph and what lies beside it


def export(args: list[str], api: HfApi | None = None) -> int:
    """Export as `args` ask for; returns the exit status.

    Raises:
        SettingError: an option does not fit, or the format cannot hold the model.
        WeightsError: the checkpoint is not found or not readable.
        ExportError: the export does not compute what the model does.
    """
    options = parse(args)
    set_up_messages()
    set_verification(options.verify)
    out: Path = options.output.expanduser()
    check_place(out, overwrite=options.overwrite)
    api = api or HfApi()
    if options.push_to_hub:
        check_login(options.push_to_hub, api)
    elif options.private:
        raise SettingError("--private has no effect without --push_to_hub")
    source: str = options.model
    model = load_model(
        source,
        device=options.device,
        ema=options.ema,
        backbone=options.backbone,
        trust=options.trust,
        allow_nonfinite=options.allow_nonfinite,
    )
    check_room(out, round(1.05 * sum(p.numel() * p.element_size() for p in model.parameters())) + SMALL_FILES)
    with new_folder(out, overwrite=options.overwrite) as folder:
        settings = Options(options.head, options.check, options.opset)
        exported = FORMATS[options.format](model, folder, settings)
        origin = provenance(model, source, options.backbone)
        run = read_run(source, ema=options.ema).of(exported.heads)
        licence = write_metadata(model, folder, exported, origin, run, name=options.push_to_hub or out.name)
    sys.stdout.write(report(out, exported, licence))
    if options.push_to_hub:
        message = f"Export by sapiens2-lit (--format {options.format})"
        address = push(out, options.push_to_hub, options.private, message, api)
        sys.stdout.write(f"uploaded to {address}\n")
    return 0


def parse(args: list[str]) -> Namespace:
    """The options, with `model` and `output` set.

    Raises:
        ArgumentError: wrong usage.
        SettingError: an option without effect, or no model or no folder.
    """
    parser = Parser("sapiens2-lit export", description=DESCRIPTION)
    parser.add_argument("older", nargs="*", metavar="CKPT OUT", help="older form of --model and --output")
    parser.add_argument(
        "--model",
        metavar="SOURCE",
        help="a run, RUNS/best, RUNS/last, a checkpoint, a task file or folder, or a hub id",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="the folder to write")
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="what to write")
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
    options = parser.parse_args(args)
    options.model, options.output = model_and_output(options)
    if options.format != "onnx" and options.opset is not None:
        raise SettingError(f"--opset has no effect with --format {options.format}")
    options.opset = options.opset or OPSETS[0]
    return options


def model_and_output(options: Namespace) -> tuple[str, Path]:
    """What to export, and where to, from `--model` and `--output` or from the older `CKPT OUT [--output RUNS]`.

    Raises:
        SettingError: one of them is not given, or the model is given twice.
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


def write_metadata(
    model: InferenceModel, folder: Path, exported: Exported, origin: Provenance, run: TrainingRun, name: str
) -> str:
    """Write manifest, licence and card; returns what became of the licence."""
    write_json(folder / MANIFEST, manifest(model, exported, origin))
    licence = write_licence(folder, exported.weights, origin.base, origin.places)
    card = write_card(name, model, exported, origin, run)
    (folder / "README.md").write_text(str(card), encoding="utf-8")
    return licence


def report(out: Path, exported: Exported, licence: str) -> str:
    """What was written, and what is left to do."""
    files = ", ".join(sorted(path.name for path in out.iterdir()))
    todo = {
        "notice": f"\n{out / 'LICENSE'} is a notice: put the text of the Sapiens2 License there before you pass it on",
        "own": f"\n{out / 'LICENSE'}: choose a licence",
        "copied": "",
    }
    heads = ", ".join(exported.heads)
    return f"{out}: {exported.form} with {heads}; {exported.checked or 'not checked'}\n  {files}{todo[licence]}\n"
