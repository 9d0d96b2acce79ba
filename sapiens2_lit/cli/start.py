"""The start of every command: answer or refuse what needs no torch, before seconds of imports begin."""

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sapiens2_lit.cli.config_files import config_files, expect_task, merged, options_of
from sapiens2_lit.cli.configs import OBJECTIVE, resolve_configs
from sapiens2_lit.cli.find_run import PATTERNS, find_checkpoint, find_model
from sapiens2_lit.cli.messages import set_up_messages
from sapiens2_lit.cli.options import DEFAULT_RUNS, value_of
from sapiens2_lit.cli.other_words import PREDICT_WORDS, RUN_WORDS, refuse_other_words
from sapiens2_lit.cli.short_help import short_help
from sapiens2_lit.errors import SettingError

HELP = {"--help", "-h", "--help_all"}
LOADS = {  # libraries that a command loads; empty if it loads none, or prints the message itself
    "synth": "",
    "pack": "",
    "convert": "PyTorch",
    "predict": "",
    "compare": "",
    **dict.fromkeys(("app", "consolidate", "curate", "export"), "PyTorch"),
}
PRINTS = ("--print_config", *HELP)  # options that only print


def answered(command: str, rest: list[str]) -> bool:
    """Check a command as far as possible without torch; return whether it asked for help, which was then printed.

    Raises:
        ArgumentError: Wrong usage.
        SettingError: Naming the file or the option that does not fit.
    """
    set_up_messages()
    asks_help = not HELP.isdisjoint(rest)
    if command in ("fit", "pretrain", "validate", "test"):
        configured = bool(config_files(rest))
        if asks_help and not configured and "--help_all" not in rest:
            sys.stdout.write(short_help(command))
            return True
        if not asks_help or configured:
            check_run(command, rest)
    else:
        from sapiens2_lit.cli.parsers import PARSERS  # Pillow, for the limit on pixels

        if asks_help and command in PARSERS:
            step = [arg for arg in rest[:1] if command == "curate" and not arg.startswith("-")]
            PARSERS[command]().parse_args([*step, "--help"])  # prints it, and ends as argparse does
        check_options(command, rest)
    if not prints(rest):
        say_loading(LOADS.get(command, "PyTorch and Lightning"))
    return False


def prints(rest: list[str]) -> bool:
    """Return whether options ask only for printed output."""
    return any(arg.partition("=")[0] in PRINTS for arg in rest)


def check_options(command: str, rest: list[str]) -> None:
    """Check the options of a command without a Trainer, and that the models that they name exist."""
    from sapiens2_lit.cli.parsers import PARSERS

    if command == "predict":
        refuse_other_words(rest, PREDICT_WORDS)
    elif command == "export":
        from sapiens2_lit.cli.export_options import parse

        parse(rest)
    elif command == "probe":
        from sapiens2_lit.cli.probe_options import read_options

        root = read_options(rest).settings.data.root
        check_root({"class_path": "probe", "root": root})
    elif command in ("check", "plan"):
        own, options = PARSERS[command]().parse_known_args(rest)
        if options or not getattr(own, "table", False):
            check_run(command, options)
    elif command in PARSERS:
        found = PARSERS[command]().parse_args(rest)
        for model in getattr(found, "models", None) or [getattr(found, "model", None)]:
            if model is not None:
                find_model(model)


def check_run(command: str, rest: list[str]) -> None:
    """Check the options of a run for words of other programs, missing files and overlays without a task."""
    refuse_other_words(rest, RUN_WORDS)
    args = resolve_configs(rest)
    evaluates = command in ("validate", "test")
    expect_task(command, args, needed=not evaluates)
    expect_command(command, merged(args).get("model"))
    if evaluates and (model := value_of(args, "--model")) is not None:
        find_model(model)
    if (checkpoint := value_of(args, "--ckpt_path")) is not None:
        output = value_of(args, "--output") or merged(args).get("output") or DEFAULT_RUNS
        if checkpoint not in PATTERNS or not evaluates:
            find_checkpoint(checkpoint, Path(str(output)))
    if command in ("fit", "pretrain") and "data.root" in dict(options_of(args)) and not prints(rest):
        check_root(merged(args).get("data"))


def expect_command(command: str, model: Any) -> None:
    """Check that a configuration belongs to the command that got it.

    Raises:
        SettingError: It trains heads but the command is `pretrain`, or it has an objective but the command is `fit`.
    """
    given = model if isinstance(model, dict) else {}
    if command == "pretrain" and given.get("heads"):
        raise SettingError("pretrain: the configuration has model.heads, which learn from labels: use `fit`")
    if command == "fit" and "heads" not in given and not OBJECTIVE.isdisjoint(given):
        raise SettingError(
            "fit: the configuration has no model.heads, but learns without labels: use `pretrain`"
        )


def check_root(data: Any) -> None:
    """Check that a dataset's folder that was typed exists, for datamodules of this package.

    Raises:
        DataError: It does not exist.
    """
    if not isinstance(data, dict):
        return
    path, root = str(data.get("class_path", "")), data.get("root")
    if isinstance(root, str) and (path.startswith("sapiens2_lit.") or "." not in path):
        from sapiens2_lit.data.files import find_root

        place = Path(root).expanduser()
        if "://" in root:  # checked when it is read
            return
        if not (path.endswith("UnlabeledDataModule") and place.is_file()):  # the root may be a video
            find_root(place)


def say_loading(what: str) -> None:
    """Print at once, on standard error, that libraries are being loaded; not if they are loaded, nor on other ranks."""
    if not what or "torch" in sys.modules or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    sys.stderr.write(f"sapiens2-lit {version('sapiens2-lit')}: loading {what} ...\n")
    sys.stderr.flush()
