"""Read the config.yaml beside a checkpoint, as far as a file may decide how the checkpoint is evaluated.

The file may come from a stranger. It defines networks, data and how they are launched. Where results are written,
loggers, callbacks, plugins and downloads are the user's choice: these settings of the file are left out.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import yaml
from lightning.pytorch.strategies import Strategy

from sapiens2_lit.checkpoints.hub_ids import is_hub_id, is_released
from sapiens2_lit.checkpoints.renames import translate_config
from sapiens2_lit.checkpoints.trust import Trust
from sapiens2_lit.checkpoints.untrusted_config import FileSettings, parameter_types
from sapiens2_lit.cli.find_run import find_checkpoint, find_model, run_of
from sapiens2_lit.cli.options import value_of, without
from sapiens2_lit.errors import SettingError
from sapiens2_lit.training.module import SapiensModule

TRAINER = {
    "accelerator": str,
    "strategy": str | Strategy,
    "devices": int | str | list[int],
    "num_nodes": int,
    "precision": int | str,
    "limit_val_batches": int | float,
    "limit_test_batches": int | float,
    "limit_predict_batches": int | float,
    "deterministic": bool | str,
    "benchmark": bool,
    "inference_mode": bool,
    "use_distributed_sampler": bool,
    "sync_batchnorm": bool,
}
LARGEST = 4_000_000  # bytes of the file

log = logging.getLogger(__name__)


def read_run_config(file: Path, trust: Trust) -> str:
    """Return the settings of a run that concern its evaluation, as JSON for `--config`.

    Args:
        file: The config.yaml of a run folder.
        trust: What it may name besides classes of this package, torch and lightning.

    Raises:
        UntrustedError: It names a class that is not trusted; nothing was imported.
        SettingError: It is not YAML, or not a configuration of a run.
        WeightsError: It names a class of another kind than its place expects.
    """
    content = _load(file)
    kept: dict[str, Any] = {}
    checked: dict[str, tuple[Any, Any]] = {}
    types = parameter_types(SapiensModule)
    for section, known in (("model", types), ("trainer", TRAINER)):
        settings = content.get(section) or {}
        if not isinstance(settings, Mapping):
            raise SettingError(f"{file}: {section}: found {type(settings).__name__}, expected a mapping")
        kept[section] = {name: value for name, value in settings.items() if name in known}
        checked |= {f"{section}.{name}": (value, known[name]) for name, value in kept[section].items()}
    if isinstance(content.get("seed_everything"), int):
        kept["seed_everything"] = content["seed_everything"]
    if content.get("data") is not None:
        kept["data"] = content["data"]
        checked["data"] = (content["data"], L.LightningDataModule)
    FileSettings(str(file), trust).check(checked)
    _leave_out_downloads(kept["model"], file)
    return json.dumps(kept)


def _load(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise SettingError(f"{file}: it has {file.stat().st_size} bytes, expected {LARGEST} at most")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, SettingError):
            raise
        reason = " ".join(str(error).split())
        raise SettingError(
            f"{file}: expected the configuration of a run, as `fit` writes it: {reason}"
        ) from error
    if not isinstance(content, Mapping):
        raise SettingError(f"{file}: found {type(content).__name__}, expected the configuration of a run")
    return translate_config(content)


def _leave_out_downloads(model: dict[str, Any], file: Path) -> None:
    """Remove weights that would be fetched from the hub, unless they are Meta's."""
    backbone = model.get("backbone")
    arguments = backbone.get("init_args") if isinstance(backbone, Mapping) else None
    for place, settings in (("model", model), ("model.backbone", arguments)):
        weights = settings.get("weights") if isinstance(settings, dict) else None
        if not isinstance(weights, str) or not is_hub_id(weights) or Path(weights).exists():
            continue
        if is_released(weights):
            continue
        log.warning(
            "%s: %s.weights: %s is not fetched, since only a file names it; if you trust it, give it by --%s.weights",
            file,
            place,
            weights,
            place,
        )
        settings["weights"] = None  # type: ignore[index]  # a mapping, since it has weights


def take_trust(args: list[str]) -> tuple[list[str], list[str]]:
    """Return the values of every `--trust`, and the other arguments."""
    entries, others = list[str](), list[str]()
    rest = iter(args)
    for arg in rest:
        if arg == "--trust":
            entries.append(next(rest, ""))
        elif arg.startswith("--trust="):
            entries.append(arg.removeprefix("--trust="))
        else:
            others.append(arg)
    return entries, others


def with_model(args: list[str]) -> list[str]:
    """Translate `--model SOURCE` of validate and test: a checkpoint of a run, or released weights.

    Raises:
        SettingError: `--ckpt_path` is given, too.
    """
    source = value_of(args, "--model")
    if args[0] == "fit" or source is None:
        return args
    if value_of(args, "--ckpt_path") is not None:
        raise SettingError("--ckpt_path is an older name of --model: give one of them")
    found = find_model(source)
    checkpoint = Path(found).suffix == ".ckpt" and Path(found).exists()
    return [*without(args, "--model"), "--ckpt_path" if checkpoint else "--model.weights", found]


def with_saved_config(args: list[str], trust: Trust) -> list[str]:
    """Without any `--config`, add the configuration saved beside the checkpoint, as far as a file may decide."""
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
