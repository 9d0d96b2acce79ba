"""The commands that need a Trainer: fit, validate, test, by LightningCLI."""

import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import LearningRateFinder, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import CheckpointIO

from sapiens2_lit import backbones, callbacks, datamodules, heads, interrupts, losses, transforms
from sapiens2_lit.archives.verify import set_verification
from sapiens2_lit.callbacks import (
    EarlyStoppingMessage,
    LearningRates,
    ModelSummary,
    Patience,
    RandomState,
    SoleWriter,
    TeacherCache,
)
from sapiens2_lit.callbacks.beginning import Beginning, preemption
from sapiens2_lit.callbacks.curves import Curves
from sapiens2_lit.callbacks.fed_pictures import FedPictures
from sapiens2_lit.callbacks.finite_weights import FiniteWeights
from sapiens2_lit.callbacks.logged_steps import LoggedSteps
from sapiens2_lit.callbacks.progress import progress_of_run
from sapiens2_lit.callbacks.throughput import DataWait, Throughput
from sapiens2_lit.checkpoints.checkpoint_io import RunCheckpointIO
from sapiens2_lit.checkpoints.trust import trusted
from sapiens2_lit.cli.check_run import check_run
from sapiens2_lit.cli.choose_decoders import choose_decoders
from sapiens2_lit.cli.choose_padding import choose_padding
from sapiens2_lit.cli.choose_steps import choose_duration, is_open, validate_in_steps
from sapiens2_lit.cli.class_kinds import check_kinds
from sapiens2_lit.cli.closing import closing_lines
from sapiens2_lit.cli.compare_views import warn_of_other_views
from sapiens2_lit.cli.configs import resolve_configs
from sapiens2_lit.cli.find_run import find_checkpoint, next_run, run_of
from sapiens2_lit.cli.fit_options import add_run_options
from sapiens2_lit.cli.link_settings import share_settings, with_vocabularies
from sapiens2_lit.cli.loggers import loggers_of_run, with_logger_folders, writing_into
from sapiens2_lit.cli.measured import measured_lines
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.old_names import in_todays_names
from sapiens2_lit.cli.out_of_memory import advice, explain, is_out_of_memory
from sapiens2_lit.cli.run_config import take_trust, with_model, with_saved_config
from sapiens2_lit.errors import SettingError
from sapiens2_lit.report import HtmlReport
from sapiens2_lit.training.backbone_module import BackboneModule
from sapiens2_lit.training.module import SapiensModule


def run(
    args: list[str],
    command_line: "type[SapiensCLI] | None" = None,
    module: type[BackboneModule] = SapiensModule,
) -> "SapiensCLI":
    """Run `[command, *options]`; return the finished command line object with its trainer, model and data.

    Args:
        args: The command and its options.
        command_line: The class that turns options into a run; None for `SapiensCLI`.
        module: The class of the module that is trained.
    """
    set_up_messages()
    import_public_classes()
    sys.path.append(str(Path.cwd()))  # class paths in YAML may name a user's file here
    entries, args = take_trust(args)
    args = in_todays_names(resolve_configs(with_model(args)))
    args = with_logger_folders(with_saved_config(args, trusted(entries)))
    return (command_line or SapiensCLI)(
        module,
        L.LightningDataModule,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        load_from_checkpoint_support=(command_line or SapiensCLI).saves,
        parser_kwargs={"exit_on_error": False, args[0]: {"exit_on_error": False}},
        args=args,
    )


def import_public_classes() -> None:
    """Import the classes that settings may name without their module, such as `--data PoseDataModule`."""
    for package in (backbones, callbacks, datamodules, heads, losses, transforms):
        for name in package.__all__:
            getattr(package, name)


class SapiensCLI(LightningCLI):
    """The commands with a Trainer: each run has a folder, `OUTPUT/version_N`.

    It holds config.yaml, checkpoints/, metrics.csv, pictures/ and TensorBoard's events. `--ckpt_path last` or `best`
    means the newest run of `--output` that has one; `fit` resumes in its folder. `auto` means `last` if there is one,
    else a new run: for jobs that are queued again.
    """

    saves = True  # checkpoints, which hold the settings

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Run the command; a lack of memory raises OutOfMemory, which says what to change."""
        self.sole_writer = SoleWriter()
        self.before: Beginning | None = None
        self.command = kwargs["args"][0]
        try:
            with interrupts.undone(self.leave):
                super().__init__(*args, **kwargs)
        except Exception as error:
            if self.before is not None:
                self.before.remove_failed()
            if is_out_of_memory(error) and self.subcommand is not None:
                trained = getattr(self, "model", None) if self.subcommand == "fit" else None
                ranks = getattr(getattr(self, "trainer", None), "world_size", None)
                raise advice(self.config[self.subcommand], error, trained, ranks) from error
            if (plain := explain(error)) is not None:
                raise plain from error
            raise
        finally:
            self.sole_writer.release()

    def leave(self) -> None:
        """Release the run's folder, and remove what a run that has not begun has written."""
        self.sole_writer.release()
        if self.before is not None:
            self.before.remove()

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning asks an instance
        """Return the command that is run alone: a parser of each of the others would take as long to make."""
        return {self.command: LightningCLI.subcommands()[self.command]}

    def _parse_ckpt_path(self) -> None:
        """Do nothing: hyperparameters in a checkpoint may come from a stranger, and the user's options win."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run."""
        add_run_options(parser)

    def before_instantiate_classes(self) -> None:
        """Check the settings and fill in those that are left open."""
        settings = self.config[self.subcommand]
        set_verification(settings.verify)
        settings.ckpt_path = find_checkpoint(settings.ckpt_path, Path(settings.output))
        settings.weights_only = settings.weights_only is not False  # a checkpoint may come from a stranger
        check_run(settings, str(self.subcommand))
        if self.subcommand != "fit":  # ten metrics are printed instead of Lightning's table of all
            self.talks, settings.verbose = settings.verbose, False
        check_kinds(settings.model)
        self.share_settings(settings)
        validate_in_steps(settings.trainer)

    def share_settings(self, settings: Namespace) -> None:
        """Let one place decide each setting that backbone, heads and data share."""
        share_settings(settings)
        choose_decoders(settings.model, settings.get("ckpt_path"))
        choose_padding(settings.model)

    def instantiate_classes(self) -> None:
        """Build everything that the configuration names; from now on the run's folder belongs to this run alone."""
        settings = self.config[self.subcommand]
        writes = self.subcommand == "fit" and not settings.trainer.fast_dev_run
        if writes:
            self.before = self.sole_writer.before = Beginning(Path(settings.output))
        self.folder = self.sole_writer.claim(self.run_folder) if writes else self.run_folder()
        with writing_into(self.folder, settings.trainer.logger):
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the Trainer with this package's loggers, callbacks and plugins."""
        settings = self.config[self.subcommand]
        kwargs |= self.duration()
        kwargs.setdefault("default_root_dir", settings.output)
        built = self.config_init[self.subcommand].trainer
        kwargs["logger"] = loggers_of_run(built.logger, self.folder, goes_on=self.subcommand == "fit")
        own_profiler = built.profiler is not None
        self.data_wait = DataWait() if self.subcommand == "fit" and not own_profiler else None
        kwargs["callbacks"] = self.callbacks()
        kwargs["plugins"] = self.plugins()
        kwargs["enable_model_summary"] = False  # `ModelSummary` of this package has more in fewer lines
        if self.data_wait is not None:
            kwargs["profiler"] = self.data_wait
        return super().instantiate_trainer(**kwargs)

    def duration(self) -> dict[str, Any]:
        """Return the Trainer's arguments for its duration if the settings leave it open, and complete the settings."""
        settings = self.config[self.subcommand]
        if self.subcommand != "fit" or not is_open(settings.trainer):
            return {}
        chosen = choose_duration(settings, self.datamodule)
        chosen.say()
        settings.trainer.max_steps = chosen.steps
        validate_in_steps(settings.trainer)
        names = ("max_steps", "val_check_interval", "check_val_every_n_epoch")
        return {name: settings.trainer[name] for name in names}

    def callbacks(self) -> list[L.Callback]:
        """Return the user's callbacks and those of every run; a LearningRateFinder raises SettingError."""
        built = self.config_init[self.subcommand]
        callbacks = built.trainer.callbacks or []
        callbacks = [*callbacks] if isinstance(callbacks, list) else [callbacks]
        if self.subcommand == "fit":
            callbacks.append(Throughput(self.data_wait))  # before the callbacks that show it
        own_bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
        if built.trainer.enable_progress_bar is not False and not own_bar:
            callbacks.append(progress_of_run())
        if self.subcommand != "fit" and not built.allow_nonfinite:
            callbacks.append(FiniteWeights(str(built.ckpt_path or built.model.weights)))
        if built.report is not None:
            callbacks.append(HtmlReport(built.report, run_of(built.ckpt_path)))
        if self.subcommand == "fit":
            if any(isinstance(callback, LearningRateFinder) for callback in callbacks):
                raise SettingError(
                    "trainer.callbacks: LearningRateFinder tries one rate for all parameters, but here each block has "
                    "its own (model.layer_decay); compare short runs with --model.optimizer.lr 3e-5, 1e-4, 3e-4"
                )
            callbacks[:0] = [self.sole_writer, LoggedSteps()]
            if built.patience is not None:
                callbacks.append(Patience(built.patience, built.checkpoint.monitor, built.checkpoint.mode))
            callbacks += [
                EarlyStoppingMessage(),
                RandomState(),
                LearningRates(),
                *self.observers(built),
            ]
            if built.trainer.enable_model_summary is not False:
                callbacks.append(ModelSummary(self.config.fit))
            if built.trainer.enable_checkpointing is not False:
                callbacks += self.keepers(built)
        return [*callbacks, preemption(built, self.before)]

    def observers(self, built: Namespace) -> list[L.Callback]:
        """Return the callbacks that show how training goes, and those that store features."""
        return [
            built.pictures,
            FedPictures(built.pictures.num_samples),
            Curves(built.checkpoint.monitor, built.checkpoint.mode),
            built.feature_cache,
            TeacherCache(),
        ]

    def keepers(self, built: Namespace) -> list[L.Callback]:
        """Return the callbacks that write checkpoints."""
        return [built.checkpoint, built.last_checkpoint]

    def plugins(self) -> list[Any]:
        """Return the user's plugins, and `RunCheckpointIO` unless one of them is a CheckpointIO."""
        plugins = self.config_init[self.subcommand].trainer.plugins or []
        plugins = [*plugins] if isinstance(plugins, list) else [plugins]
        if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            return plugins
        return [*plugins, RunCheckpointIO(optimizers=self.subcommand == "fit")]

    def run_folder(self) -> Path:
        """Return this run's folder in the output: the folder of the resumed run, or a new one."""
        assert self.subcommand is not None
        settings = self.config[self.subcommand]
        output = Path(settings.output)
        run = run_of(settings.ckpt_path)
        of_run = run is not None and run.parent.resolve() == output.resolve()
        if self.subcommand != "fit":  # beside the run that is measured
            return (output / run.name if run and of_run else output) / self.subcommand
        return output / run.name if run and of_run else next_run(output)

    def before_fit(self) -> None:
        """Note when training starts."""
        self.began = time.monotonic()

    def after_fit(self) -> None:
        """Print what the run achieved, where it is, and the commands that come next."""
        settings = self.config_init["fit"]
        if self.trainer.is_global_zero and not settings.trainer.fast_dev_run:
            seconds = time.monotonic() - self.began
            text = closing_lines(self.trainer, self.datamodule, settings, self.folder, seconds)
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def after_test(self) -> None:
        """Print the most important metrics, and write all of them."""
        settings = self.config_init[self.subcommand]
        if self.trainer.is_global_zero and self.talks and not settings.trainer.fast_dev_run:
            source = settings.ckpt_path or self.model.factory.weights
            text = measured_lines(
                self.trainer, self.model, self.datamodule, str(self.subcommand), source, self.folder
            )
            sys.stdout.write(f"{text}\n")

    after_validate = after_test

    def after_instantiate_classes(self) -> None:
        """Give the module its configuration, for checkpoints, and its checkpoint to resume from."""
        dump = yaml.safe_load(self.parser.dump(self.config, skip_none=False))
        self.model.config = with_vocabularies(dump[self.subcommand])
        settings = self.config[self.subcommand]
        self.model.resume_from = settings.ckpt_path
        self.warn(settings)

    def warn(self, settings: Namespace) -> None:
        """Warn of settings that may be mistakes."""
        warn_of_other_views(self.model, self.datamodule, settings.model.heads, settings.ckpt_path)
