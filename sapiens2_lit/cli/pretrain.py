"""`sapiens2-lit pretrain`: train a backbone on images without labels, in a run like those of `fit`."""

import json
import sys
import time
from pathlib import Path

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from sapiens2_lit.backbones.licences import SAPIENS2
from sapiens2_lit.callbacks import LastCheckpoint
from sapiens2_lit.callbacks.curves import Curves
from sapiens2_lit.callbacks.reconstruction import ReconstructionPictures
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.checkpoints.pretraining_file import NAME, ORIGIN, gathered_backbone, read_origin
from sapiens2_lit.checkpoints.writer import write_weights
from sapiens2_lit.cli.before_after import Comparison, compare_with_start
from sapiens2_lit.cli.closing import pace
from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.cli.fit_options import add_run_options
from sapiens2_lit.datamodules.unlabeled import local_size_of
from sapiens2_lit.errors import SettingError
from sapiens2_lit.export.licence import write_licence
from sapiens2_lit.export.provenance import Provenance
from sapiens2_lit.training.pretraining.module import PretrainModule
from sapiens2_lit.visualization.words import duration

CALLBACKS: dict[str, type[Callback]] = {"last_checkpoint": LastCheckpoint, "pictures": ReconstructionPictures}
LOSS = "val/reconstruction_loss"
LOCAL_VIEWS = 4  # beside two global ones, with self-distillation
FILES = ("reconstruction.png", "views.png", "curves.png", "metrics.csv", "config.yaml")


def pretrain(args: list[str]) -> int:
    """Run a pretraining with these options; return the exit status."""
    run(["fit", *args], PretrainCLI, PretrainModule)
    return 0


class PretrainCLI(SapiensCLI):
    """The command `pretrain`; it differs from `fit` only in what is defined here."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run, and those of the comparison at its end."""
        add_run_options(parser, CALLBACKS, {})
        parser.add_class_arguments(Comparison, "comparison")

    def share_settings(self, settings: Namespace) -> None:
        share_pretrain_settings(settings)

    def observers(self, built: Namespace) -> list[L.Callback]:
        return [built.pictures, Curves(LOSS, "min")]

    def keepers(self, built: Namespace) -> list[L.Callback]:
        """Return the callback of the last checkpoint alone: no metric of this run tells which state is best.

        A probe does.
        """
        return [built.last_checkpoint]

    def warn(self, settings: Namespace) -> None:
        """Do nothing: there are no heads whose views could differ."""

    def after_fit(self) -> None:
        """Write the backbone, and print where it is and the commands that come next."""
        settings = self.config_init["fit"]
        if settings.trainer.fast_dev_run or settings.trainer.enable_checkpointing is False:
            return
        seconds = time.monotonic() - self.began
        target = write_backbone(self.model, self.trainer, self.folder)
        if self.trainer.is_global_zero:
            verdict, start = "", self.model.network.backbone.weights
            if settings.comparison.is_due(start):
                size = self.model.network.backbone.image_size
                verdict = compare_with_start(settings.comparison, start, target, size, self.folder)
            sys.stdout.write(closing(self.trainer, self.model, self.folder, target, seconds, verdict) + "\n")
            sys.stdout.flush()


def share_pretrain_settings(settings: Namespace) -> None:
    """Give the backbone the data's image size, and the data the views that the objective needs.

    Raises:
        SettingError: An option that has no effect here was given.
    """
    if settings.patience is not None:
        raise SettingError(
            "--patience has no effect in pretrain: none of its metrics tells which state is better"
        )
    data, backbone = (
        settings.data.get("init_args", Namespace()),
        settings.model.backbone.get("init_args", Namespace()),
    )
    if "image_size" in data and "image_size" in backbone:
        backbone.image_size = data.image_size
    if "global_views" not in data:
        return
    if data.global_views is None:
        data.global_views = 2 if settings.model.contrast else 1
    if data.local_views is None:
        data.local_views = LOCAL_VIEWS if settings.model.contrast == "dino" else 0
    if data.local_size is None:
        data.local_size = local_size_of(data.image_size, 64 if backbone.get("window_tokenizer") else 16)


def write_backbone(module: PretrainModule, trainer: L.Trainer, folder: Path) -> Path:
    """Write `backbone.safetensors` with license and origin into the run's folder; every rank must call it.

    Args:
        module: After training.
        trainer: Of the run.
        folder: Of the run.

    Returns:
        The file, which rank 0 writes.
    """
    backbone = module.final_backbone()
    tensors = gathered_backbone(backbone, module.network_adapt.lora.scale)
    target = folder / NAME
    if not trainer.is_global_zero:
        return target
    source = module.network.backbone.weights
    base = base_of(source)
    origin = {
        "objective": module.objective.name,
        "whose": "teacher" if module.teacher is not None and module.saved != "student" else "student",
        "steps": trainer.global_step,
        "started_from": source,
        "base": base,
        "licence": SAPIENS2 if base else None,
    }
    write_weights(tensors, target, metadata={ORIGIN: json.dumps(origin)})
    write_licence(
        folder, NAME, Provenance(base, None, [source] if source else [], SAPIENS2 if base else None)
    )
    return target


def base_of(source: str | None) -> str | None:
    """Return the released weights that a start was derived from, as text; None for random values."""
    if source is None:
        return None
    if (before := read_origin(source)) is not None:  # itself written by a pretraining
        return before.get("base")
    hub = is_hub_id(source) and not Path(source).expanduser().exists()
    return source if hub else f"Sapiens2 weights ({Path(source).name})"


def closing(
    trainer: L.Trainer, module: PretrainModule, folder: Path, target: Path, seconds: float, verdict: str
) -> str:
    """Return the last lines of a run.

    Args:
        trainer: After training.
        module: That it trained.
        folder: Of the run.
        target: File of the backbone.
        seconds: Duration of the training.
        verdict: Whether the result is better than the start; empty if they were not compared.
    """
    there = [name for name in FILES if (folder / name).exists()]
    lines = ["", f"pretrained to step {trainer.global_step:,} in {duration(seconds)}{pace(trainer)}"]
    if (loss := trainer.callback_metrics.get(LOSS)) is not None:
        lines.append(f"{LOSS} {float(loss):.4f}: how well pixels are guessed, not how good the features are")
    lines += [f"run: {folder}" + (f" ({', '.join(there)})" if there else ""), f"backbone: {target}"]
    lines += [verdict] if verdict else []
    lines += ["next:"]
    size = module.config["model"]["backbone"].get("init_args", {}).get("size", "SIZE")
    lines += [
        f"  sapiens2-lit fit --config segmentation_29.yaml --config size/{size}.yaml --data.root DIR "
        f"--model.backbone.weights {target}",
        f"  sapiens2-lit pretrain --config {folder / 'config.yaml'} --ckpt_path {folder / 'checkpoints' / 'last.ckpt'} "
        f"--trainer.max_steps {2 * trainer.global_step}",
    ]
    return "\n".join(lines)
