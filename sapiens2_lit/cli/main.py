"""The command `sapiens2-lit`. Commands that need no torch do not import it."""

import os
import re
import shlex
import sys
from argparse import ArgumentError
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path

from sapiens2_lit import interrupts
from sapiens2_lit.atomic_write import ADVICE, DISK_ERRORS, room
from sapiens2_lit.cli.config_files import config_files, shown
from sapiens2_lit.cli.configs import find_config, shipped_configs, summary
from sapiens2_lit.cli.error_messages import parser_message, plain_message
from sapiens2_lit.cli.start import HELP, answered
from sapiens2_lit.errors import Interrupted, SapiensError, StorageError, UntrustedError

USAGE = """\
usage: sapiens2-lit COMMAND [--config FILE ...] [--KEY VALUE ...]

  fit        train:                 sapiens2-lit fit --config pose_308.yaml --data.root DIR
  pretrain   without labels:        sapiens2-lit pretrain --config pretrain/mae.yaml --data.root IMAGES
  validate   metrics on data.val:   sapiens2-lit validate --model RUN
  test       metrics on data.test:  sapiens2-lit test --model RUN/best --data.root DIR
  predict    on images and videos:  sapiens2-lit predict --model RUN --images PATH --output DIR
                                    sapiens2-lit predict --model facebook/sapiens2-seg-0.4b --images PATH
  app        look in a browser:     sapiens2-lit app MODEL [MODEL ...]
  export     for other programs:    sapiens2-lit export --model RUN --output DIR --format onnx
  check      look through labels:   sapiens2-lit check --config pose_17.yaml --data.root DIR --output page
  compare    runs side by side:     sapiens2-lit compare RUN [RUN ...] --output page
  probe      which backbone is best: sapiens2-lit probe --data.root DIR --backbones A B --output page
  curate     choose from a pool:    sapiens2-lit curate score IMAGES --output scores
                                    sapiens2-lit curate select scores --config select.yaml --output LIST
  plan       memory on each GPU:    sapiens2-lit plan --config pose_308.yaml --devices 8 --memory 80
  consolidate weights to one file:  sapiens2-lit consolidate RUN/last --output FILE.safetensors
  convert    labels of other tools: sapiens2-lit convert SRC DIR --from NAME
  pack       a folder as tar shards: sapiens2-lit pack DIR OUT --shard_size 1GB
  synth      write a dataset of synthetic people: sapiens2-lit synth DIR --num 500 --size 512 384
  configs    list the shipped configurations; `configs show NAME` prints one
  verify     this installation:     sapiens2-lit verify [--quick] [--weights DIR]
  demo       train on a few hundred generated images and draw what was learned
  completion bash, zsh or tcsh:     eval "$(sapiens2-lit completion bash)"

Files run no code: your own class that a checkpoint names is imported only with --trust CLASS_OR_MODULE.
Later --config files and options win over earlier ones. `sapiens2-lit fit --config FILE --help` shows the settings of a
run that people change, `--help_all` all of them, `--print_config` its whole configuration.
"""
TRAINER_COMMANDS = ("fit", "validate", "test")
RUN_COMMANDS = (*TRAINER_COMMANDS, "pretrain")
COMMANDS = (
    *RUN_COMMANDS,
    "predict",
    "app",
    "export",
    "check",
    "plan",
    "consolidate",
    "compare",
    "convert",
    "pack",
    "probe",
    "curate",
    "synth",
    "demo",
    "verify",
    "completion",
)

OTHER_COMMANDS = {
    **dict.fromkeys(("pretraining", "ssl", "mae", "dino"), "pretrain"),
    **dict.fromkeys(("train", "finetune", "fine-tune"), "fit"),
    **dict.fromkeys(("val", "eval", "evaluate"), "validate or test"),
    **dict.fromkeys(("dedup", "deduplicate", "select"), "curate"),
    **dict.fromkeys(("shard", "tar", "webdataset"), "pack"),
    **dict.fromkeys(("infer", "inference", "detect"), "predict"),
}


def main(args: list[str] | None = None) -> int:
    """Run one command; return the exit status.

    0: done; 1: data or settings need a change; 2: wrong usage; 128 + N: ended by signal N (130: Ctrl-C).
    """
    # Threads of torch sleep while they wait for each other: busy waiting would take CPU time from the data loader.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = sys.argv[1:] if args is None else list(args)
    command, rest = (args[0], args[1:]) if args else ("--help", [])
    if command == "app":  # its server handles Ctrl-C itself
        return answer(command, rest)
    with interrupts.answered():
        return answer_signals(command, rest)


def answer_signals(command: str, rest: list[str]) -> int:
    """Run a command; return its exit status, or that of a signal that came during the run."""
    try:
        status = answer(command, rest)
    except Interrupted as error:
        return stopped(error.signal, str(error))
    except Exception as error:  # such as a connection to another rank that the same signal ended
        if os.environ.get("SAPIENS2_LIT_TRACEBACK"):
            raise
        if not (number := interrupts.received()):
            if interrupts.launcher_ends():  # by a signal to the launcher alone, which reports it
                return 0
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return stopped(number, f"stopped by {interrupts.name_of(number)}, and by {reason}")
    if not status and (number := interrupts.received()):
        return stopped(number, f"{interrupts.name_of(number)} came when all was done")
    return status


def stopped(number: int, message: str) -> int:
    """Print why the command ends; return its exit status."""
    if interrupts.is_launched():  # its launcher reports it, and treats any other status as a failure
        return 0
    sys.stderr.write(f"\n{message}\n")
    return 128 + number  # as shells report signals


def answer(command: str, rest: list[str]) -> int:
    """Run a command; return its exit status, and print a message for errors that a user can correct."""
    try:
        return dispatch(command, rest)
    except UntrustedError as error:
        return fail(f"{error}\n{how_to_trust(command, rest, error.class_paths)}", status=1, cause=error)
    except (SapiensError, StorageError) as error:
        return fail(plain_message(error), status=1, cause=error)
    except MemoryError as error:  # those of a Trainer are explained before
        reason = str(error) or "the system refused it"
        return fail(f"out of memory: {reason}. Use a smaller --batch_size or image.", status=1, cause=error)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        place = Path(error.filename or ".").parent
        where = f"{error.filename}: " if error.filename else ""
        return fail(f"{where}{error.strerror}{room(error, place)}. {ADVICE}", status=1, cause=error)
    except (ArgumentError, ValueError) as error:
        if not isinstance(error, ArgumentError) and not str(error).startswith("Does not validate"):
            raise
        return fail(wrong_usage(command, rest, parser_message(error)), status=2, cause=error)


def wrong_usage(command: str, rest: list[str], message: str) -> str:
    """Return the message of wrong usage with suggestions for mistyped options, and where the options are listed.

    Args:
        command: As typed.
        rest: Its options.
        message: Of the parser.
    """
    if command not in (*RUN_COMMANDS, "check", "plan"):
        return f"{message}\n`sapiens2-lit {command} --help` lists the options."
    if "torch" in sys.modules and re.search("is not accepted|unrecognized arguments", message):
        from sapiens2_lit.cli.did_you_mean import suggestions

        message = "\n".join(suggestions(rest)) or message
    fit = command if command in RUN_COMMANDS else "fit"
    configs = "".join(f" --config {shown(file)}" for file in config_files(rest))
    own = "" if command == fit else f"`sapiens2-lit {command} --help` lists the options of {command}, "
    return f"{message}\n{own}`sapiens2-lit {fit}{configs} --help` shows the usual settings, `--help_all` every one."


def dispatch(command: str, rest: list[str]) -> int:
    """Import and run a command; return its exit status."""
    if command in COMMANDS and answered(command, rest):
        return 0
    if command == "predict":
        from sapiens2_lit.cli.predict import predict

        return predict(rest)
    if command in RUN_COMMANDS and not HELP.isdisjoint(rest):
        from sapiens2_lit.cli.run_help import print_help

        print_help(command, [arg for arg in rest if arg not in HELP], "--help_all" in rest)
    elif command == "pretrain":
        from sapiens2_lit.cli.pretrain import pretrain

        return pretrain(rest)
    elif command in TRAINER_COMMANDS:
        from sapiens2_lit.cli.fit import run

        run([command, *rest])
    elif command == "check":
        from sapiens2_lit.cli.check import check

        return check(rest)
    elif command == "compare":
        from sapiens2_lit.cli.compare import compare_runs

        return compare_runs(rest)
    elif command == "probe":
        from sapiens2_lit.cli.probe import probe_command

        return probe_command(rest)
    elif command == "curate":
        from sapiens2_lit.cli.curate import curate

        return curate(rest)
    elif command == "plan":
        from sapiens2_lit.cli.plan import plan

        return plan(rest)
    elif command == "app":
        from sapiens2_lit.cli.app import app

        return app(rest)
    elif command == "configs":
        return configs(rest)
    elif command == "consolidate":
        from sapiens2_lit.cli.consolidate import consolidate_command

        return consolidate_command(rest)
    elif command == "convert":
        from sapiens2_lit.cli.convert import convert

        return convert(rest)
    elif command == "pack":
        from sapiens2_lit.cli.pack import pack_command

        return pack_command(rest)
    elif command == "synth":
        from sapiens2_lit.cli.synth import synth

        return synth(rest)
    elif command == "export":
        from sapiens2_lit.cli.export import export

        return export(rest)
    elif command == "completion":
        from sapiens2_lit.cli.completion import completion

        print_line(completion(rest))
    elif command == "demo":
        from sapiens2_lit.cli.demo import demo

        demo(rest)
    elif command == "verify":
        from sapiens2_lit.cli.verify import verify

        return verify(rest)
    elif command in ("--version", "-V"):
        print_line(f"sapiens2-lit {version('sapiens2-lit')}")
    elif command in ("--help", "-h", "help"):
        print_line(USAGE)
    else:
        meant = OTHER_COMMANDS.get(command) or next(iter(get_close_matches(command, COMMANDS)), None)
        likely = f"; did you mean {meant}?" if meant else ""
        return fail(f"unknown command: {command}{likely}\n\n{USAGE}", status=2)
    return 0


def configs(rest: list[str]) -> int:
    """List the shipped configurations, or print one; return the exit status."""
    if not rest:
        names = shipped_configs(commands=True)
        width = max(map(len, names))
        for name in names:
            print_line(f"{name:{width}}  {summary(name)}")
        return 0
    if rest[0] == "show" and len(rest) == 2:
        print_line(find_config(rest[1]).read_text())
        return 0
    return fail("usage: sapiens2-lit configs [show NAME]", status=2)


def how_to_trust(command: str, rest: list[str], class_paths: list[str]) -> str:
    """Return the command line that allows the class paths in a file.

    Args:
        command: As typed.
        rest: Its options.
        class_paths: That are not trusted.
    """
    options = [part for path in class_paths for part in ("--trust", path)]
    complete = shlex.join(["sapiens2-lit", command, *rest, *options])
    return f"If you trust both the file and this code:\n  {complete}"


def print_line(text: str) -> None:
    """Write a line on standard output."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def fail(message: str, status: int, cause: BaseException | None = None) -> int:
    """Write an error on standard error; return the exit status.

    Args:
        message: What is wrong.
        status: Exit status.
        cause: The error, which this function raises instead if SAPIENS2_LIT_TRACEBACK is set.
    """
    if cause is not None and os.environ.get("SAPIENS2_LIT_TRACEBACK"):
        raise cause
    sys.stderr.write(f"\nerror: {message}\n")
    return status
