"""Handle old names of settings: options are refused with the new name, files are translated."""

import logging
from pathlib import Path

import yaml

from sapiens2_lit.checkpoints.renames import old_names, old_option, translate_config
from sapiens2_lit.errors import SettingError

_log = logging.getLogger(__name__)


def in_todays_names(args: list[str]) -> list[str]:
    """Return a command's arguments; a `--config` with old names is replaced by its translated text.

    Raises:
        SettingError: An option has an old name; the message has the new one.
    """
    translated = []
    for index, arg in enumerate(args):
        before = args[index - 1] if index else ""
        if before in ("--config", "-c"):
            arg = translated_file(arg)
        elif arg.startswith("--config="):
            arg = f"--config={translated_file(arg.removeprefix('--config='))}"
        elif arg.startswith("--"):
            refuse_old(arg, args[index + 1] if index + 1 < len(args) else "")
        translated.append(arg)
    return translated


def refuse_old(option: str, following: str) -> None:
    """Check that neither an option nor the value after it has an old name.

    Args:
        option: As typed, with or without `=VALUE`.
        following: The next argument; may be empty.

    Raises:
        SettingError: Naming the old and the new name.
    """
    found = old_option(option)
    if found is None and "=" not in option and following and not following.startswith("--"):
        found = old_option(f"{option}={following}")
        if found is None and following.lstrip().startswith(("{", "[")):
            value = yaml.safe_load(following)
            found = next(old_names(value, option.removeprefix("--")), None)
    if found is not None:
        raise SettingError(f"{found[0]} is now called {found[1]}")


def translated_file(file: str) -> str:
    """Return a configuration's path, or its text with today's names if it has old ones.

    Warns of old names, except in a run's own config.yaml.
    """
    path = Path(file)
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (yaml.YAMLError, UnicodeDecodeError):
        return file  # the parser says what is wrong with it
    found = list(old_names(config))
    if not isinstance(config, dict) or not found:
        return file
    if path.name != "config.yaml":
        changes = "; ".join(f"{old} is now called {new}" for old, new in found)
        _log.warning("%s: %s", file, changes)
    return yaml.safe_dump(translate_config(config), sort_keys=False)
