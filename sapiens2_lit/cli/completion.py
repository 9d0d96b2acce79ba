"""`sapiens2-lit completion SHELL`: tab completion of commands, options, configurations and values, by shtab."""

from argparse import Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import shtab

from sapiens2_lit.checkpoints.untrusted_config import choices_of
from sapiens2_lit.cli.config_files import merged
from sapiens2_lit.cli.configs import complete_configs, find_config, shipped_configs
from sapiens2_lit.cli.parsers import PARSERS, completion_parser
from sapiens2_lit.cli.run_settings import Setting, run_settings, trained_by
from sapiens2_lit.cli.short_help import WHAT

RUNS = ("fit", "validate", "test", "check", "plan")  # their options are the settings of a run
FILES = (
    "root",
    "output",
    "weights",
    "model",
    "ckpt_path",
    "folder",
    "images",
    "list",
    "scores",
    "boxes",
    "report",
    "backbone",
    "json",
    "cache",
)
CONFIG = {"bash": "_sapiens2_lit_config", "zsh": "_sapiens2_lit_config", "tcsh": "f:*.yaml"}
PREAMBLE = {
    "bash": """\
_sapiens2_lit_config() {{
  compgen -W "{configs}" -- "$1"
  compgen -f -X '!*.y*ml' -- "$1"
  compgen -d -S / -- "$1"
}}
""",
    "zsh": """\
_sapiens2_lit_config() {{
  local -a configs=({configs})
  compadd -- $configs
  _files -g '*.(yaml|yml)'
}}
""",
}


def completion(args: Sequence[str]) -> str:
    """Return the completion script for a shell.

    Raises:
        ArgumentError: The shell is not known.
    """
    shell = completion_parser().parse_args(args).shell
    preamble = PREAMBLE.get(shell, "").format(configs=" ".join(shipped_configs(commands=True)))
    script: str = shtab.complete(all_commands(), shell, preamble=preamble)
    return script


def all_commands() -> ArgumentParser:
    """Return one parser with every command and its options."""
    root = ArgumentParser("sapiens2-lit", allow_abbrev=False)
    commands = root.add_subparsers()
    settings = settings_of_shipped_runs()
    for name in ("fit", "pretrain", "validate", "test"):
        parser = commands.add_parser(name, help=WHAT[name], allow_abbrev=False)
        _add_settings(parser, settings_of_shipped_runs(name) if name == "pretrain" else settings, set())
        if name in ("validate", "test"):
            _complete(parser.add_argument("--model", help="what is measured"))
        parser.add_argument("--help_all", action="store_true", help="show every setting")
        parser.add_argument("--print_config", action="store_true", help="print the whole configuration")
    for name, build in PARSERS.items():
        own = build()
        text = (own.description or "What a training takes, before it is launched.").partition(".")[0]
        parser = commands.add_parser(name, parents=[own], add_help=False, help=text, allow_abbrev=False)
        for action in all_actions(parser):
            _complete(action)
            if action.dest == "config":
                action.complete = CONFIG  # type: ignore[attr-defined]  # as shtab has it
        if name in RUNS:
            _add_settings(parser, settings, {action.dest for action in parser._actions})
    _add_configs(commands.add_parser("configs", help="list or print configurations"))
    return root


def all_actions(parser: ArgumentParser) -> Iterator[Action]:
    """Yield the options of a command and of its steps."""
    for action in parser._actions:
        yield action
        if isinstance(action, _SubParsersAction):
            for step in action.choices.values():
                yield from all_actions(step)


def settings_of_shipped_runs(command: str = "fit") -> dict[str, Setting]:
    """Return all settings of a command's complete configurations, by key."""
    found: dict[str, Setting] = {}
    for name in complete_configs(command):
        for one in run_settings(merged(["--config", str(find_config(name))]), *trained_by(command)):
            found.setdefault(one.key, one)
    return found


def choices_of_type(hint: Any) -> list[str]:
    """Return the values that a type allows: of a `Literal` and of a switch."""
    found: list[str] = []
    for one in choices_of(hint):
        if get_origin(one) is Literal:
            found += [str(value) for value in get_args(one)]
        elif one is bool:
            found += ["true", "false"]
    return found


def _add_settings(parser: ArgumentParser, settings: dict[str, Setting], taken: set[str]) -> None:
    config = parser.add_argument("--config", "-c", help="a task's configuration, then overlays")
    config.complete = CONFIG  # type: ignore[attr-defined]  # as shtab has it
    for key, setting in settings.items():
        if key not in taken:
            choices = choices_of_type(setting.hint) or None
            text = (setting.text or key).replace("%", "%%")
            _complete(parser.add_argument(f"--{key}", choices=choices, help=text))


def _add_configs(parser: ArgumentParser) -> None:
    parser.add_argument("show", nargs="?", choices=["show"])
    parser.add_argument("name", nargs="?", choices=shipped_configs(commands=True))


def _complete(action: Action) -> None:
    """Let an option that names files complete them."""
    name = action.dest.rpartition(".")[2]
    if action.choices is None and (name in FILES or name in ("models", "backbones", "out")):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
