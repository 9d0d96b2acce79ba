"""`fit --config FILE --help`: the settings of a run that people change, with their values; `--help_all`: all."""

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

from sapiens2_lit.cli.choose_steps import validate_in_steps
from sapiens2_lit.cli.config_files import config_files, merged, shown
from sapiens2_lit.cli.fit import SapiensCLI, run
from sapiens2_lit.cli.link_settings import share_settings
from sapiens2_lit.cli.plan_settings import NoTrainer
from sapiens2_lit.cli.pretrain import PretrainCLI
from sapiens2_lit.cli.run_settings import Setting, run_settings, trained_by
from sapiens2_lit.training.pretraining.module import PretrainModule

GROUPS = {
    "data": (
        "data.root",
        "data.train",
        "data.val",
        "data.test",
        "data.images",
        "data.masks",
        "data.num_samples",
        "data.datasets.*.root",
        "data.view",
        "data.augment.flip",
        "data.augment.scale",
        "data.augment.rotation",
        "data.augment.photometric",
    ),
    "sizes": (
        "data.image_size",
        "data.batch_size",
        "data.datasets.*.batch_size",
        "data.num_workers",
        "model.backbone.size",
        "model.backbone.name",
        "model.backbone.activation_checkpointing",
        "trainer.accumulate_grad_batches",
        "trainer.devices",
        "trainer.strategy",
        "trainer.precision",
    ),
    "rates": (
        "model.optimizer.lr",
        "model.optimizer.weight_decay",
        "model.warmup_steps",
        "model.layer_decay",
        "model.backbone_lr",
        "model.head_lr",
        "trainer.gradient_clip_val",
        "model.ema.decay",
    ),
    "objective": (
        "model.mae.mask_ratio",
        "model.mae.weight",
        "model.contrast",
        "model.dino.weight",
        "model.anchor.weight",
        "model.decoder_first_steps",
        "data.global_views",
        "data.local_views",
        "data.local_size",
        "data.boxes",
        "data.frame_step",
        "data.least_side",
    ),
    "adaptation": (
        "model.backbone.weights",
        "model.weights",
        "model.reinitialize",
        "model.adapt.mode",
        "model.adapt.last",
        "model.adapt.rank",
        "model.adapt.frozen_dtype",
    ),
    "heads": ("model.heads.*.*", "model.loss_weighting"),
    "duration": (
        "trainer.max_steps",
        "trainer.max_epochs",
        "trainer.val_check_interval",
        "trainer.log_every_n_steps",
        "patience",
    ),
    "run": (
        "output",
        "ckpt_path",
        "seed_everything",
        "checkpoint.monitor",
        "last_checkpoint.every_n_steps",
        "pictures.num_samples",
        "trainer.logger",
        "report",
    ),
}
TEXTS = {
    "trainer.accumulate_grad_batches": "batches in one step of the optimizer",
    "trainer.devices": "how many GPUs or processes, or which: [0, 2]",
    "trainer.strategy": "how several devices share the work: ddp, or --config strategy/fsdp2.yaml",
    "trainer.precision": "bf16-mixed, or 32-true",
    "trainer.gradient_clip_val": "largest norm of the gradient",
    "trainer.max_steps": "-1: 100 epochs, 500 to 10,000 steps",
    "trainer.max_epochs": "epochs at most",
    "trainer.val_check_interval": "batches between two validations",
    "trainer.log_every_n_steps": "steps between two lines of the log",
    "trainer.logger": "instead of TensorBoard: WandbLogger, MLFlowLogger, ...; false for none",
    "model.optimizer.lr": "learning rate",
    "model.optimizer.weight_decay": "weight decay",
    "checkpoint.monitor": "the number by which the best checkpoint is chosen",
}  # short texts for settings of libraries
WIDEST_VALUE = 26


class HelpCLI(SapiensCLI):
    """Parse the settings of a run and keep them; check, build and write nothing."""

    def before_instantiate_classes(self) -> None:
        """Fill in linked settings."""
        settings = self.config[self.subcommand]
        share_settings(settings)
        validate_in_steps(settings.trainer)

    def instantiate_classes(self) -> None:
        self.model = self.datamodule = None
        self.config_init = self.config
        self.trainer = NoTrainer()  # type: ignore[assignment]  # has all methods that are called

    def after_instantiate_classes(self) -> None:
        """Save nothing."""


class PretrainHelpCLI(PretrainCLI, HelpCLI):
    """Do for `pretrain` what HelpCLI does for `fit`."""

    def before_instantiate_classes(self) -> None:
        """Fill in linked settings."""
        settings = self.config["fit"]
        self.share_settings(settings)
        validate_in_steps(settings.trainer)

    instantiate_classes = HelpCLI.instantiate_classes
    after_fit = after_instantiate_classes = HelpCLI.after_instantiate_classes


def print_help(command: str, args: Sequence[str], everything: bool) -> None:
    """Print the settings of a run.

    Args:
        command: `fit`, `pretrain`, `validate` or `test`.
        args: Its options, without those that ask for help.
        everything: Whether to print all settings, not only those that people change.
    """
    # settings of data and heads depend on their classes, so without options nothing is parsed
    values = parsed(command, args) if args else merged(args)
    module, callbacks = trained_by(command)
    sys.stdout.write(help_text(command, args, run_settings(values, module, callbacks), everything))


def parsed(command: str, args: Sequence[str]) -> Any:
    """Return the settings of a run, as the command parses them."""
    if command != "pretrain":
        return run([command, *args], HelpCLI).config[command]
    return run(["fit", *args], PretrainHelpCLI, PretrainModule).config["fit"]


def help_text(command: str, args: Sequence[str], settings: Sequence[Setting], everything: bool) -> str:
    """Return the page of help on settings.

    Args:
        command: As typed.
        args: Its options.
        settings: All settings of the run.
        everything: Whether to print all settings, not only those that people change.
    """
    names = " ".join(f"--config {shown(file)}" for file in config_files(args))
    lines = [f"usage: sapiens2-lit {command} {names or '--config FILE'} [--KEY VALUE ...]", ""]
    lines += ["all settings" if everything else "settings that people change", ""]
    for group, members in (by_section(settings) if everything else by_group(settings)).items():
        lines += [group, *_table(members), ""]
    if everything:
        lines += ["Each class has its own settings: choose it, such as by --data CLASS, and ask again."]
    else:
        lines += [
            f"{len(settings)} settings in all: --help_all shows them, --print_config prints the configuration."
        ]
    return "\n".join(lines) + "\n"


def by_group(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """Return the settings that people change, by group, in the order of `GROUPS`."""
    found = {}
    for group, patterns in GROUPS.items():
        members = [
            one
            for pattern in patterns
            for one in settings
            if fnmatch(one.key, pattern) and one.key.count(".") == pattern.count(".")
        ]
        if members:
            found[group] = members
    return found


def by_section(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """Return all settings by the first part of their keys."""
    found: dict[str, list[Setting]] = {}
    for one in settings:
        section = one.key.partition(".")[0] if "." in one.key else "run"
        found.setdefault(section, []).append(one)
    return found


def _table(settings: Sequence[Setting]) -> list[str]:
    columns = max(80, shutil.get_terminal_size((120, 24)).columns)
    values = [textwrap.shorten(shown_value(one.value), WIDEST_VALUE, placeholder="...") for one in settings]
    widest, wide = max(len(one.key) for one in settings) + 2, max(map(len, values))
    rows = []
    for one, value in zip(settings, values, strict=True):
        left = f"  {'--' + one.key:{widest}}  {value:{wide}}  "
        text = TEXTS.get(one.key, one.text)
        rows.append(
            (left + textwrap.shorten(text, max(20, columns - len(left)), placeholder=" ...")).rstrip()
        )
    return rows


def shown_value(value: Any) -> str:
    """Return a value as it is typed on the command line; the name of a class."""
    if isinstance(value, dict):
        path = value.get("class_path")
        return str(path).rpartition(".")[2] if path else "{...}" if value else "{}"
    if value is None:
        return "null"
    if isinstance(value, bool | list):
        return json.dumps(value, default=str)
    return str(value)
