"""Suggest settings that a mistyped option may have meant, among all settings of the run and of its classes."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from sapiens2_lit.cli.config_files import config_files, merged, options_of, read_settings
from sapiens2_lit.cli.configs import resolve_configs
from sapiens2_lit.cli.old_names import in_todays_names
from sapiens2_lit.cli.other_words import RUN_WORDS
from sapiens2_lit.cli.run_settings import ALWAYS, run_settings

ANY_DEPTH = ("class_path", "dict_kwargs", "help")  # what every class may have


def suggestions(args: Sequence[str]) -> list[str]:
    """Return a line for each option and configuration key that the run does not have, with similar settings."""
    args = in_todays_names(resolve_configs(list(args)))
    known = {setting.key for setting in run_settings(merged(args))} | set(ALWAYS)
    found = []
    for name, place in _typed(args):
        if not is_known(name, known) and (meant := closest(name, known)):
            last = name.rpartition(".")[2]
            found.append(f"{place}: '{last}' is not accepted; did you mean {' or '.join(meant)}?")
    return list(dict.fromkeys(found))


def is_known(name: str, known: set[str]) -> bool:
    """Return whether a key is a setting, holds settings, or lies in a setting that accepts any key."""
    last = name.rpartition(".")[2]
    return name in known or last in ANY_DEPTH or any(key.startswith(f"{name}.") for key in known)


def closest(name: str, known: set[str]) -> list[str]:
    """Return up to three options that may be meant: with a similar last part, the same one elsewhere, or a similar key.

    Args:
        name: The key as typed.
        known: All keys.
    """
    parent, _, last = name.rpartition(".")
    beside = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == parent}
    found = [beside[part] for part in get_close_matches(last, beside, n=2)]
    found += sorted(key for key in known if key.endswith(f".{last}"))[:2]
    options = [
        f"--{key}"
        for key in dict.fromkeys([*found, *get_close_matches(name, sorted(known), n=1, cutoff=0.75)])
    ]
    if not found and last in RUN_WORDS:
        return [RUN_WORDS[last]]
    return options[:3]


def _typed(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Keys that were typed, and where: as options or in files."""
    for name, _ in options_of(args):
        key = ".".join(part for part in name.split(".") if part != "init_args")
        yield key, f"--{name}"
    for file in config_files(args):
        for key in _keys(read_settings(file)):
            yield key, f"{file}: {key}"


def _keys(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
