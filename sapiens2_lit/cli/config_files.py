"""Merge the configurations of a run as they are written, before anything that they name is imported."""

from argparse import ArgumentError
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from sapiens2_lit.cli.configs import complete_configs, shipped_folder
from sapiens2_lit.errors import SettingError

Settings = dict[str, Any]


def config_files(args: Sequence[str]) -> list[str]:
    """Return the files of every `--config`, in order."""
    found = []
    for before, arg in zip(["", *args], args, strict=False):
        if before in ("--config", "-c"):
            found.append(arg)
        elif arg.startswith("--config="):
            found.append(arg.removeprefix("--config="))
    return found


def read_settings(file: str) -> Settings:
    """Return a file's settings, with `init_args` lifted beside their class.

    Empty if the parser will report an error.
    """
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return lifted(content) if isinstance(content, dict) else {}


def merged(args: Sequence[str]) -> Settings:
    """Return files and options merged, unparsed; the arguments of a class lie beside its `class_path`."""
    found: Settings = {}
    for file in config_files(args):
        _merge(found, read_settings(file))
    for name, value in options_of(args):
        parts = [part for part in name.split(".") if part != "init_args"]
        place = found
        for part in parts[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {} if place.get(part) is None else {"class_path": place[part]}
            place = place[part]
        if isinstance(place.get(parts[-1]), dict) and not isinstance(value, dict):
            place[parts[-1]]["class_path"] = value  # `--data PoseDataModule`
        else:
            place[parts[-1]] = value
    return found


def options_of(args: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield names (without dashes) and values of all options but `--config`."""
    for arg, following in zip(args, [*args[1:], "--"], strict=False):
        name, equals, value = arg.partition("=")
        if not name.startswith("--") or name in ("--", "--config"):
            continue
        text = value if equals else "true" if following.startswith("--") else following
        try:
            yield name[2:].removesuffix("+"), yaml.safe_load(text)
        except yaml.YAMLError:
            yield name[2:].removesuffix("+"), text


def expect_task(command: str, args: Sequence[str], needed: bool) -> None:
    """Check that a configuration says what to train on which data, and that it comes before its overlays.

    Args:
        command: For messages.
        args: Its options, every `--config` as a path.
        needed: Whether the command does nothing without a configuration.

    Raises:
        ArgumentError: There is no configuration.
        SettingError: There are only overlays, or one comes before the configuration that it changes.
    """
    files = config_files(args)
    first = args.index(files[0]) if files and files[0] in args else len(args)
    if any(name in ("data", "data.class_path") for name, _ in options_of(args[:first])):
        return
    if not files:
        if needed:
            raise ArgumentError(
                None, f"{command}: nothing says what to train: give --config, {_tasks(command)}"
            )
        return
    tasks = [has_task(read_settings(file)) for file in files]
    names = [shown(file) for file in files]
    if not any(tasks):
        several = len(names) > 1
        example = "pretrain/mae.yaml" if command == "pretrain" else "pose_17.yaml"
        raise SettingError(
            f"{' and '.join(names)} {'are overlays' if several else 'is an overlay'}, which only "
            f"{'change' if several else 'changes'} a run. Put the configuration of a task before "
            f"{'them' if several else 'it'}, {_tasks(command)}:\n"
            f"  --config {example} --config {' --config '.join(names)}"
        )
    first = tasks.index(True)
    for file, name in zip(files[:first], names[:first], strict=True):
        if read_settings(file).get("data") or read_settings(file).get("model"):
            raise SettingError(f"{name} is an overlay: put it after {names[first]}, which it changes")


def has_task(settings: Settings) -> bool:
    """Return whether settings name the class of their data, as a complete run does."""
    data = settings.get("data")
    return isinstance(data, str) or (isinstance(data, dict) and "class_path" in data)


def shown(file: str) -> str:
    """Return a file as `--config` names it: a shipped one without its folder."""
    path, folder = Path(file), shipped_folder()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else file


def _tasks(command: str) -> str:
    return f"one of {', '.join(complete_configs(command))}, or your own"


def lifted(value: Any) -> Any:
    """Return settings with `init_args` lifted beside their `class_path`, at any depth."""
    if isinstance(value, list):
        return [lifted(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("init_args") if "class_path" in value or "init_args" in value else None
    own = {str(key): lifted(one) for key, one in value.items() if key != "init_args" or inner is None}
    return own | (lifted(inner) if isinstance(inner, dict) else {})


def _merge(into: Settings, new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict) and key != "heads":
            _merge(into[key], value)
        else:
            into[key] = value
