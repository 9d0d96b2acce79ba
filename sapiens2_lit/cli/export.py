"""`sapiens2-lit export`: write a trained model in another program's format, with license and model card."""

import sys
from argparse import Namespace
from pathlib import Path

from huggingface_hub import HfApi

from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.atomic_write import check_room
from sapiens2_lit.backbones.licences import restriction
from sapiens2_lit.cli.export_options import parse
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.backbone_only import pretrained_file, write_backbone_folder
from sapiens2_lit.export.folder import MANIFEST, check_place, new_folder, write_json
from sapiens2_lit.export.hub import check_login, push
from sapiens2_lit.export.licence import write_licence
from sapiens2_lit.export.manifest import manifest
from sapiens2_lit.export.model_card import write_card
from sapiens2_lit.export.onnx import write_onnx
from sapiens2_lit.export.plan import Exported, Options, Writer
from sapiens2_lit.export.provenance import Provenance, provenance
from sapiens2_lit.export.released import write_released
from sapiens2_lit.export.torch_export import write_torch_export
from sapiens2_lit.export.training_run import TrainingRun, read_run
from sapiens2_lit.export.transformers import write_transformers
from sapiens2_lit.inference.model import InferenceModel, load_model

FORMATS: dict[str, Writer] = {
    "released": write_released,
    "transformers": write_transformers,
    "torch-export": write_torch_export,
    "onnx": write_onnx,
}
SMALL_FILES = 4_000_000  # bytes: of a graph and what lies beside it


def export(args: list[str], api: HfApi | None = None) -> int:
    """Export as `args` say; return the exit status.

    Raises:
        SettingError: An option does not fit, or the format cannot hold the model.
        WeightsError: The checkpoint is not found or not readable.
        ExportError: The exported model computes something else than the model.
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
    if (backbone := pretrained_file(source)) is not None:
        return export_backbone(backbone, out, options, api)
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
        origin = provenance(model, source, options.backbone)
        notice = restriction(origin.base, origin.licence)
        half = options.precision == "fp16"
        settings = Options(options.head, options.check, options.opset, half, notice)
        exported = FORMATS[options.format](model, folder, settings)
        run = read_run(source, ema=options.ema).of(exported.heads)
        licence = write_metadata(model, folder, exported, origin, run, name=options.push_to_hub or out.name)
    sys.stdout.write(report(out, exported, licence))
    if options.push_to_hub:
        message = f"Export by sapiens2-lit (--format {options.format})"
        address = push(out, options.push_to_hub, options.private, message, api)
        sys.stdout.write(f"uploaded to {address}\n")
    return 0


def export_backbone(source: Path, out: Path, options: Namespace, api: HfApi) -> int:
    """Export the backbone of a pretraining; return the exit status.

    Args:
        source: File of the backbone.
        out: Folder to write.
        options: Of the command.
        api: Client of the hub.
    """
    name = options.push_to_hub or out.name
    with new_folder(out, overwrite=options.overwrite) as folder:
        checked = write_backbone_folder(source, folder, options.format, name, options.check)
    sys.stdout.write(f"{out}: the backbone of a pretraining, without a head; {checked}\n")
    if options.push_to_hub:
        message = f"Export by sapiens2-lit (--format {options.format})"
        sys.stdout.write(f"uploaded to {push(out, options.push_to_hub, options.private, message, api)}\n")
    return 0


def write_metadata(
    model: InferenceModel, folder: Path, exported: Exported, origin: Provenance, run: TrainingRun, name: str
) -> str:
    """Write manifest, license and model card; return what was done about the license.

    Args:
        model: That was exported.
        folder: Of the export.
        exported: What was written.
        origin: Where the weights come from.
        run: The training.
        name: Title of the card.
    """
    write_json(folder / MANIFEST, manifest(model, exported, origin))
    licence = write_licence(folder, exported.weights, origin)
    card = write_card(name, model, exported, origin, run)
    (folder / "README.md").write_text(str(card), encoding="utf-8")
    return licence


def report(out: Path, exported: Exported, licence: str) -> str:
    """Return lines on what was written and what remains to be done.

    Args:
        out: Folder of the export.
        exported: What was written.
        licence: What `write_metadata` returned.
    """
    files = ", ".join(sorted(path.name for path in out.iterdir()))
    todo = {
        "notice": f"\n{out / 'LICENSE'} is a notice: put the text of the Sapiens2 License there before you pass it on",
        "notice of others": f"\n{out / 'LICENSE'} is a notice: put the text of the licence there before you pass it on",
        "own": f"\n{out / 'LICENSE'}: choose a licence",
        "copied": "",
    }
    heads = ", ".join(exported.heads)
    return f"{out}: {exported.form} with {heads}; {exported.checked or 'not checked'}\n  {files}{todo[licence]}\n"
