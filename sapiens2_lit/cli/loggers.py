"""Give the loggers of a run a folder: a logger without one writes into the run's folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from sapiens2_lit.callbacks import RunLog

NOWHERE = "."  # the default of Weights & Biases; other loggers get it if no folder is named
OPTIONS = ("--trainer.logger", "--trainer.logger+")
NEED_FOLDER = ("TensorBoardLogger", "CSVLogger")  # cannot be made without `save_dir`


def with_logger_folders(args: Sequence[str]) -> list[str]:
    """Return a command's arguments with a placeholder folder for loggers that need one.

    It stands for the run's folder.
    """
    found: list[str] = []
    for index, arg in enumerate(args):
        before = args[index - 1] if index else ""
        if before in ("--config", "-c"):
            arg = _in_file(arg)
        elif arg.startswith("--config="):
            arg = f"--config={_in_file(arg.removeprefix('--config='))}"
        found.append(arg)
        option, _, value = (f"{before}={arg}" if before in OPTIONS else arg).partition("=")
        if option in OPTIONS and value.rpartition(".")[2] in NEED_FOLDER and not _names_folder(args):
            found.append(f"--trainer.logger.save_dir={NOWHERE}")
    return found


def _names_folder(args: Sequence[str]) -> bool:
    places = ("--trainer.logger.save_dir", "--trainer.logger.init_args.save_dir")
    return any(arg.partition("=")[0] in places for arg in args)


def _in_file(config: str) -> str:
    """Return a configuration (a path or text); as text if one of its loggers gets a folder."""
    is_text = "\n" in config or config.startswith("{")
    text = config if is_text or not Path(config).is_file() else Path(config).read_text(encoding="utf-8")
    if "logger" not in text:
        return config
    content = yaml.safe_load(text)
    trainer = content.get("trainer") if isinstance(content, dict) else None
    logger = trainer.get("logger") if isinstance(trainer, dict) else None
    filled = [_filled(one) for one in logger] if isinstance(logger, list) else _filled(logger)
    if not isinstance(trainer, dict) or filled == logger:
        return config
    trainer["logger"] = filled
    return yaml.safe_dump(content, sort_keys=False)


def _filled(logger: Any) -> Any:
    settings = {"class_path": logger} if isinstance(logger, str) else logger
    if (
        not isinstance(settings, dict)
        or str(settings.get("class_path")).rpartition(".")[2] not in NEED_FOLDER
    ):
        return logger
    return {**settings, "init_args": {"save_dir": NOWHERE, **(settings.get("init_args") or {})}}


@contextmanager
def writing_into(run: Path, loggers: Any) -> Iterator[None]:
    """Within this block, give loggers without a folder the run's; saved configurations name none.

    Args:
        run: The run's folder.
        loggers: `trainer.logger`, parsed: one logger or several.
    """
    before = []
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        settings = logger.get("init_args") if isinstance(logger, Namespace) else None
        if settings is None or not _is_nowhere(settings):
            continue
        places = _places(logger.class_path.rpartition(".")[2], run, settings)
        before += [(settings, key, settings[key]) for key in places]
        for key, value in places.items():
            settings[key] = value
    try:
        yield
    finally:
        for settings, key, value in before:
            settings[key] = value


def _is_nowhere(settings: Namespace) -> bool:
    elsewhere = settings.get("tracking_uri") or settings.get("dir")
    return settings.get("save_dir", "elsewhere") in (None, NOWHERE, "./mlruns") and not elsewhere


def _places(name: str, run: Path, settings: Namespace) -> dict[str, str]:
    if name == "TensorBoardLogger" and settings.name == "lightning_logs" and settings.version is None:
        return {"save_dir": str(run.parent), "name": "", "version": run.name}  # right in the folder
    return {"save_dir": str(run / "mlruns" if name == "MLFlowLogger" else run)}


def loggers_of_run(built: Any, folder: Path, goes_on: bool) -> list[Logger]:
    """Return the loggers of a run: `metrics.csv` first, which defines its folder, then the user's or TensorBoard's.

    Args:
        built: `trainer.logger`, instantiated: loggers, or true or false.
        folder: The run's.
        goes_on: Whether to append to existing logs.
    """
    own = RunLog(folder, goes_on=goes_on)
    if built in (None, True):
        return [own, TensorBoardLogger(folder.parent, name="", version=folder.name)]
    if built is False:
        return [own]
    return [own, *built] if isinstance(built, list) else [own, built]
