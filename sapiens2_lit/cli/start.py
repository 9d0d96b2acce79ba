"""The start of every command: what can be answered or refused without torch is, before seconds of imports begin."""

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
LOADS = {  # the first needs no torch, the second says itself when it loads
    "synth": "",
    "pack": "",
    "convert": "PyTorch",
    "predict": "",
    "compare": "",
    **dict.fromkeys(("app", "consolidate", "curate", "export"), "PyTorch"),
}
PRINTS = ("--print_config", *HELP)  # asked for what is printed, not for what is done


def answered(command: str, rest: list[str]) -> bool:
    """Check a command as far as that needs no torch; returns whether it asked for help, which was printed then.

    Raises:
        ArgumentError: wrong usage.
        SettingError: naming the file or the option that does not fit.
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
    """Whether a command is asked for what it prints."""
    return any(arg.partition("=")[0] in PRINTS for arg in rest)


def check_options(command: str, rest: list[str]) -> None:
    """Check the options of a command without a Trainer, and that the models which it names are there."""
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
    """Check the options of a run: words of other programs, files that are not there, overlays without a task."""
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
    """Check that a configuration is of the command that got it.

    Raises:
        SettingError: it trains heads, and the command learns without labels; or the other way round.
    """
    given = model if isinstance(model, dict) else {}
    if command == "pretrain" and given.get("heads"):
        raise SettingError(
            "pretrain: the configuration has model.heads, which learn from labels: that is `fit`"
        )
    if command == "fit" and "heads" not in given and not OBJECTIVE.isdisjoint(given):
        raise SettingError(
            "fit: the configuration has no model.heads, but learns without labels: that is `pretrain`"
        )


def check_root(data: Any) -> None:
    """Check that the folder of a dataset that was typed is there, for datamodules of ours.

    Raises:
        DataError: it is not.
    """
    if not isinstance(data, dict):
        return
    path, root = str(data.get("class_path", "")), data.get("root")
    if isinstance(root, str) and (path.startswith("sapiens2_lit.") or "." not in path):
        from sapiens2_lit.data.files import find_root

        place = Path(root).expanduser()
        if "://" in root:  # which is asked when it is read
            return
        if not (path.endswith("UnlabeledDataModule") and place.is_file()):  # which may be a video
            find_root(place)


def say_loading(what: str) -> None:
    """Say on standard error, at once, that libraries are being loaded: nothing where they are, or on other ranks."""
    if not what or "torch" in sys.modules or os.environ.get("LOCAL_RANK", "0") != "0":
        return
    sys.stderr.write(f"sapiens2-lit {version('sapiens2-lit')}: loading {what} ...\n")
    sys.stderr.flush()
