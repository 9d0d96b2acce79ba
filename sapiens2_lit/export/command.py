"""`sapiens2-lit export`: a trained model in the format of others, with licence and model card."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from huggingface_hub import HfApi

from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.card import write_card
from sapiens2_lit.export.folder import MANIFEST, check_place, check_room, new_folder, write_json
from sapiens2_lit.export.hub import check_login, push
from sapiens2_lit.export.licence import write_licence
from sapiens2_lit.export.manifest import manifest
from sapiens2_lit.export.onnx import OPSETS, write_onnx
from sapiens2_lit.export.plan import Exported, Options, Writer
from sapiens2_lit.export.provenance import Provenance, provenance
from sapiens2_lit.export.released import write_released
from sapiens2_lit.export.run_facts import RunFacts, read_run
from sapiens2_lit.export.torch_export import write_torch_export
from sapiens2_lit.export.transformers import write_transformers
from sapiens2_lit.inference.model import InferenceModel, load_model
from sapiens2_lit.inference.options import add_trust_options
from sapiens2_lit.messages import set_up_messages

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
    out: Path = options.out.expanduser()
    check_place(out, overwrite=options.overwrite)
    api = api or HfApi()
    if options.push_to_hub:
        check_login(options.push_to_hub, api)
    elif options.private:
        raise SettingError("--private has no effect without --push-to-hub")
    source = find_source(options)
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
        licence = accompany(model, folder, exported, origin, run, name=options.push_to_hub or out.name)
    sys.stdout.write(report(out, exported, licence))
    if options.push_to_hub:
        message = f"Export by sapiens2-lit (--format {options.format})"
        address = push(out, options.push_to_hub, options.private, message, api)
        sys.stdout.write(f"uploaded to {address}\n")
    return 0


def parse(args: list[str]) -> Namespace:
    parser = ArgumentParser(
        "sapiens2-lit export", description=DESCRIPTION, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "checkpoint",
        metavar="CKPT",
        help="checkpoint (.ckpt), or `best` or `last` of --output; task file, folder, hub id",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write")
    parser.add_argument("--format", required=True, choices=list(FORMATS), help="what to write")
    parser.add_argument(
        "--head", metavar="NAME", help="this head alone (needed where a format holds one head)"
    )
    parser.add_argument(
        "--ema",
        type=true_or_false,
        default=True,
        metavar="true|false",
        help="averaged weights, where there are some (true)",
    )
    parser.add_argument(
        "--check",
        type=true_or_false,
        default=True,
        metavar="true|false",
        help="run the result and compare (true)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        choices=OPSETS,
        default=18,
        metavar="N",
        help="ONNX operators, 18 to 23 (%(default)s)",
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
    parser.add_argument("--output", type=Path, metavar="DIR", help="where runs are, for `best` and `last`")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in OUT")
    parser.add_argument(
        "--push-to-hub", metavar="USER/NAME", help="upload the folder to the Hugging Face hub, too"
    )
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    options = parser.parse_args(args)
    if options.format != "onnx" and any(arg == "--opset" or arg.startswith("--opset=") for arg in args):
        raise SettingError(f"--opset has no effect with --format {options.format}")
    return options


def true_or_false(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ArgumentTypeError(f"found {text!r}, expected true or false")
    return text.lower() == "true"


def find_source(options: Namespace) -> str:
    """The checkpoint that CKPT means.

    Raises:
        SettingError: `best` or `last` of a run that has none, or without --output.
    """
    if options.checkpoint not in ("best", "last") or Path(options.checkpoint).exists():
        if options.output is not None:
            raise SettingError(
                f"--output has no effect beside {options.checkpoint}; it is for `best` and `last`"
            )
        return options.checkpoint
    if options.output is None:
        raise SettingError(f"{options.checkpoint}: of which run? Give --output RUN, or the file")
    from sapiens2_lit.run import find_checkpoint  # imported here: it brings the whole Trainer along

    found = find_checkpoint(options.checkpoint, options.output)
    assert found is not None
    return found


def accompany(
    model: InferenceModel, folder: Path, exported: Exported, origin: Provenance, run: RunFacts, name: str
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
