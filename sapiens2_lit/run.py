"""The commands that need a Trainer: fit, validate, test, predict, by LightningCLI."""

import re
import sys
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import CheckpointIO

from sapiens2_lit.callbacks import (
    FeatureCache,
    LastCheckpoint,
    PredictionPictures,
    PredictionWriter,
    Preemption,
    RunProgressBar,
    RunScalars,
    StartTable,
)
from sapiens2_lit.callbacks.finite_weights import FiniteWeights
from sapiens2_lit.checkpoints.run_io import RunCheckpointIO
from sapiens2_lit.checkpoints.trust import Trust, trusted
from sapiens2_lit.class_kinds import check_kinds
from sapiens2_lit.config_files import resolve_configs
from sapiens2_lit.errors import SettingError
from sapiens2_lit.messages import set_up_messages
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.out_of_memory import advice, is_out_of_memory
from sapiens2_lit.report import TestReport
from sapiens2_lit.run_config import read_run_config, take_trust

BEST = {
    "checkpoint.monitor": "val/score",
    "checkpoint.mode": "max",
    "checkpoint.filename": "best-step={step}",
    "checkpoint.auto_insert_metric_name": False,
    "checkpoint.save_on_train_epoch_end": False,  # after validation, when the score is there
}


def run(args: list[str], command_line: "type[SapiensCLI] | None" = None) -> "SapiensCLI":
    """Run `[command, *options]`; returns the finished command line object with its trainer, model and data.

    Args:
        command_line: how options become a run, `SapiensCLI` by default.
    """
    set_up_messages()
    sys.path.append(str(Path.cwd()))  # class paths in YAML may name a user's file here
    entries, args = take_trust(args)
    args = with_saved_config(resolve_configs(args), trusted(entries))
    return (command_line or SapiensCLI)(
        SapiensModule,
        L.LightningDataModule,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"exit_on_error": False} | {name: {"exit_on_error": False} for name in COMMANDS},
        args=args,
    )


COMMANDS = ("fit", "validate", "test", "predict")


class SapiensCLI(LightningCLI):
    """One run lives in `OUTPUT/version_N`: config.yaml, checkpoints/, TensorBoard's events.

    `--ckpt_path last` or `best` means the newest run of `--output` that has one; `fit` goes on in its folder. `auto` is
    `last` where there is one, else nothing: the command of a job that is put back into the queue.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Runs the command.

        Raises:
            OutOfMemory: with what to change.
        """
        try:
            super().__init__(*args, **kwargs)
        except Exception as error:
            if is_out_of_memory(error) and self.subcommand is not None:
                trained = getattr(self, "model", None) if self.subcommand == "fit" else None
                ranks = getattr(getattr(self, "trainer", None), "world_size", None)
                raise advice(self.config[self.subcommand], error, trained, ranks) from error
            raise

    def _parse_ckpt_path(self) -> None:
        """Nothing: hyper-parameters in a checkpoint may come from a stranger, and the user's options win."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--output", default="runs/default", help="Folder for the runs of this configuration."
        )
        parser.add_argument(
            "--report",
            type=str | None,
            default=None,
            help="Folder for a page on the tested model: metrics, curves, the worst and the median samples.",
        )
        parser.add_argument(
            "--trust",
            type=list[str] | None,
            default=None,
            help="A class that the config.yaml beside a checkpoint may name besides those of sapiens2_lit, torch and "
            "lightning, or a module with all in it; may be repeated. What --config names is trusted anyway.",
        )
        parser.add_argument(
            "--allow_nonfinite",
            action="store_true",
            help="Evaluate weights that are NaN or infinite all the same.",
        )
        parser.add_class_arguments(ModelCheckpoint, "checkpoint")
        parser.set_defaults(BEST)
        parser.add_class_arguments(LastCheckpoint, "last_checkpoint")
        parser.add_class_arguments(PredictionPictures, "pictures")
        parser.add_class_arguments(FeatureCache, "feature_cache")

    def before_instantiate_classes(self) -> None:
        settings = self.config[self.subcommand]
        settings.ckpt_path = find_checkpoint(settings.ckpt_path, Path(settings.output))
        settings.weights_only = settings.weights_only is not False  # a checkpoint may come from a stranger
        if self.subcommand != "fit" and settings.ckpt_path is None and settings.model.weights is None:
            raise SettingError(
                f"{self.subcommand}: nothing is trained yet; give --ckpt_path or --model.weights"
            )
        if settings.trainer.precision in ("bf16-true", "16-true"):
            raise SettingError(
                f"trainer.precision: {settings.trainer.precision} also rounds positions and labels; use "
                f"{settings.trainer.precision.replace('true', 'mixed')}"
            )
        if self.subcommand == "predict":
            settings.return_predictions = False  # they are written batch by batch
        if settings.report is not None and self.subcommand != "test":
            raise SettingError(f"--report has no effect in {self.subcommand}: a page is written by test")
        if settings.trust is not None:
            raise SettingError("trust: found in a configuration, expected --trust on the command line")
        check_kinds(settings.model)
        share_settings(settings)
        validate_in_steps(settings.trainer)

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        settings = self.config[self.subcommand]
        kwargs.setdefault("default_root_dir", settings.trainer.default_root_dir or settings.output)
        if settings.trainer.logger in (None, True):
            kwargs["logger"] = TensorBoardLogger(settings.output, name="", version=self.run_folder())
        kwargs["callbacks"] = self.callbacks()
        kwargs["plugins"] = self.plugins()
        kwargs["enable_model_summary"] = False  # the start table says more, in fewer lines
        return super().instantiate_trainer(**kwargs)

    def callbacks(self) -> list[L.Callback]:
        """The user's own callbacks, and those that every run has."""
        built = self.config_init[self.subcommand]
        callbacks = built.trainer.callbacks or []
        callbacks = [*callbacks] if isinstance(callbacks, list) else [callbacks]
        if built.trainer.enable_progress_bar is not False:
            callbacks.append(RunProgressBar())
        if self.subcommand != "fit" and not built.allow_nonfinite:
            callbacks.append(FiniteWeights(str(built.ckpt_path or built.model.weights)))
        if self.subcommand == "predict":
            callbacks.append(PredictionWriter())
        if built.report is not None:
            callbacks.append(TestReport(built.report, run_of(built.ckpt_path)))
        if self.subcommand == "fit":
            callbacks += [RunScalars(), built.pictures, built.feature_cache]
            if built.trainer.enable_model_summary is not False:
                callbacks.append(StartTable(self.config.fit))
            if built.trainer.enable_checkpointing is not False:
                callbacks += [built.checkpoint, built.last_checkpoint, Preemption(built.last_checkpoint)]
        return callbacks

    def plugins(self) -> list[Any]:
        """The user's own plugins, and ours for checkpoints unless one of them is that."""
        plugins = self.config_init[self.subcommand].trainer.plugins or []
        plugins = [*plugins] if isinstance(plugins, list) else [plugins]
        if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            return plugins
        return [*plugins, RunCheckpointIO(optimizers=self.subcommand == "fit")]

    def run_folder(self) -> str | None:
        """Name of this run's folder under the output; None lets the logger count up."""
        assert self.subcommand is not None
        if self.subcommand != "fit":
            return self.subcommand
        settings = self.config.fit
        run = run_of(settings.ckpt_path)
        return run.name if run and run.parent.resolve() == Path(settings.output).resolve() else None

    def after_instantiate_classes(self) -> None:
        dump = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        self.model.config = dump[self.subcommand]
        self.model.resume_from = self.config[self.subcommand].ckpt_path


def share_settings(settings: Namespace) -> None:
    """Tell backbone and heads the data's image size, and the data the heads' vocabularies: one place decides each."""
    data = settings.data.get("init_args", Namespace())
    heads = [head.get("init_args", Namespace()) for head in settings.model.heads.values()]
    for network in (settings.model.backbone.get("init_args", Namespace()), *heads):
        if "image_size" in data and "image_size" in network:
            network.image_size = data.image_size
    for place, dataset in datasets_of(data).items():
        for head in heads:
            share_vocabularies(head, dataset, place)
            share_relative(head, dataset, place)


def datasets_of(data: Namespace) -> dict[str, Namespace]:
    """The settings of a datamodule, or of each one in a datamodule of several, by their place in the configuration."""
    nested = data.get("datasets")
    if not isinstance(nested, dict):
        return {"data": data}
    return {
        f"data.datasets.{name}": settings.init_args
        for name, settings in nested.items()
        if "init_args" in settings
    }


def share_vocabularies(head: Namespace, data: Namespace, place: str) -> None:
    """The data have the skeleton and the classes of the heads."""
    for vocabulary in ("skeleton", "classes"):
        predicted = head.get(vocabulary)
        if predicted is None or vocabulary not in data:
            continue
        if vocabulary == "classes" and place != "data" and data.get("masks", "masks") is None:
            continue  # another dataset has the masks
        if data[vocabulary] not in (None, predicted):
            raise SettingError(
                f"{place}.{vocabulary} is {data[vocabulary]}, but the head predicts {predicted}: give one of them"
            )
        data[vocabulary] = predicted


def share_relative(head: Namespace, data: Namespace, place: str) -> None:
    """Depth is relative for both or for neither: the head decides."""
    if "relative" not in head or "relative" not in data:
        return
    if data.relative and not head.relative:
        raise SettingError(
            f"{place}.relative is true, but the head predicts metres: set model.heads.NAME.relative, too"
        )
    data.relative = head.relative


def validate_in_steps(trainer: Namespace) -> None:
    """Unless told otherwise, validate ten times a run and at least every 500 optimizer steps.

    By epochs, few images would be validated without end and a million hardly ever.
    """
    if trainer.max_steps > 0 and trainer.val_check_interval is None and trainer.check_val_every_n_epoch == 1:
        trainer.check_val_every_n_epoch = None
        trainer.val_check_interval = (
            min(500, max(1, trainer.max_steps // 10)) * trainer.accumulate_grad_batches
        )


def find_checkpoint(ckpt_path: str | None, output: Path) -> str | None:
    """What `--ckpt_path` means: a path; with `last`, `best` that of the newest run of `output`, with `auto` its last.

    Raises:
        SettingError: there is none.
    """
    if ckpt_path is None or Path(ckpt_path).exists() or "://" in ckpt_path:
        return ckpt_path
    if ckpt_path not in ("last", "best", "auto"):
        raise SettingError(
            f"--ckpt_path {ckpt_path}: no such file (a path, or `last`, `best` or `auto` of --output)"
        )
    pattern = "best*.ckpt" if ckpt_path == "best" else "last.ckpt"
    found = [*output.glob(f"version_*/checkpoints/{pattern}"), *output.glob(f"checkpoints/{pattern}")]
    if not found and ckpt_path == "auto":
        return None
    if not found:
        raise SettingError(
            f"--ckpt_path {ckpt_path}: no {output}/version_*/checkpoints/{pattern} to continue from"
        )
    return str(max(found, key=lambda path: (version_number(path.parents[1]), path.stat().st_mtime)))


def version_number(folder: Path) -> int:
    number = re.search(r"\d+$", folder.name)
    return int(number[0]) if number else -1


def run_of(ckpt_path: str | None) -> Path | None:
    """The run folder that a checkpoint of ours lies in."""
    folder = (
        Path(ckpt_path).parents[1] if ckpt_path and Path(ckpt_path).parent.name == "checkpoints" else None
    )
    return folder if folder and (folder / "config.yaml").is_file() else None


def with_saved_config(args: list[str], trust: Trust) -> list[str]:
    """Without any `--config`, evaluate a checkpoint by the configuration saved beside it, as far as a file may say."""
    command, options = args[0], args[1:]
    if command == "fit" or any(arg in ("-c", "--config") or arg.startswith("--config=") for arg in options):
        return args
    run = run_of(
        find_checkpoint(value_of(options, "--ckpt_path"), Path(value_of(options, "--output") or "."))
    )
    if run is None:
        return args
    settings = read_run_config(run / "config.yaml", trust)
    return [command, "--config", settings, "--output", str(run.parent), *options]


def value_of(options: list[str], name: str) -> str | None:
    """The last value given for an option, as `--name value` or `--name=value`."""
    value = None
    for option, following in zip(options, [*options[1:], ""], strict=True):
        if option == name:
            value = following
        elif option.startswith(f"{name}="):
            value = option.removeprefix(f"{name}=")
    return value
