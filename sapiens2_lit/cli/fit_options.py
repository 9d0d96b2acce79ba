"""The options of fit, validate and test, besides those of Trainer, model and data."""

from collections.abc import Mapping
from typing import Any

from jsonargparse.typing import PositiveInt
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from sapiens2_lit.callbacks import BestCheckpoint, FeatureCache, LastCheckpoint, PredictionPictures

OPTIONS: dict[str, dict[str, Any]] = {
    "output": {"default": "runs/default", "help": "Folder for the runs of this configuration."},
    "patience": {
        "type": PositiveInt | None,
        "help": "End fit after this many validations in a row without a better score (`checkpoint.monitor`).",
    },
    "report": {
        "type": str | None,
        "help": "Folder for a page on the tested model: metrics, curves, the worst and the median samples.",
    },
    "trust": {
        "type": list[str] | None,
        "help": "A class, or a module with all its classes, that the config.yaml beside a checkpoint may name besides "
        "those of sapiens2_lit, torch and lightning; may be repeated. Classes in --config files are trusted anyway.",
    },
    "allow_nonfinite": {
        "type": bool,
        "nargs": "?",
        "const": True,
        "default": False,
        "help": "Evaluate weights even if they contain NaN or infinite values.",
    },
    "verify": {
        "type": bool,
        "default": True,
        "help": "Compare files with their checksums before they are loaded.",
    },
}
CALLBACKS: dict[str, type[Callback]] = {
    "checkpoint": BestCheckpoint,
    "last_checkpoint": LastCheckpoint,
    "pictures": PredictionPictures,
    "feature_cache": FeatureCache,
}
BEST = {
    "checkpoint.monitor": "val/score",
    "checkpoint.mode": "max",
    "checkpoint.filename": "best-step={step}",
    "checkpoint.auto_insert_metric_name": False,
    "checkpoint.enable_version_counter": False,  # a repeated step has the same name
    "checkpoint.save_on_train_epoch_end": False,  # after validation, when the score is known
}


def add_run_options(
    parser: LightningArgumentParser,
    callbacks: Mapping[str, type[Callback]] = CALLBACKS,
    defaults: Mapping[str, Any] = BEST,
) -> None:
    """Add the options of a run, besides those of trainer, model and data.

    Args:
        parser: Of the command.
        callbacks: Classes of callbacks whose settings are options, by name.
        defaults: Of some of these settings.
    """
    for name, settings in OPTIONS.items():
        parser.add_argument(f"--{name}", **{"default": None} | settings)
    for name, callback in callbacks.items():
        parser.add_class_arguments(callback, name)
    parser.set_defaults(dict(defaults))
