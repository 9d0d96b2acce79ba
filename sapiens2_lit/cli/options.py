"""Build the options of commands without a Trainer: one spelling, one form of switches, one kind of error."""

from argparse import ArgumentError, ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import zip_longest
from typing import Any, NoReturn

DEFAULT_RUNS = "runs/default"  # where `fit` writes by default


class Parser(ArgumentParser):
    """An ArgumentParser that raises ArgumentError instead of ending the process.

    It reads `--box-padding` as `--box_padding`.
    """

    def __init__(self, prog: str, **settings: Any) -> None:
        self.typed: list[str] = []
        super().__init__(prog, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # as of the base class
        """Parse as the base class does, with underscores in the names of options."""
        self.typed = with_underscores(args or [])
        return super().parse_known_args(self.typed, namespace)

    def error(self, message: str) -> NoReturn:
        """Report wrong usage, with suggestions for mistyped options.

        Raises:
            ArgumentError: Always.
        """
        names = {arg.partition("=")[0] for arg in self.typed if arg.startswith("--")}
        for name in sorted(names - self._option_string_actions.keys()):
            if near := get_close_matches(name, self._option_string_actions, n=2):
                message = f"{message}\n{name}: did you mean {' or '.join(near)}?"
        raise ArgumentError(None, message)

    def add_switch(self, name: str, default: bool, help: str, group: Any = None) -> None:
        """Add `--NAME [true|false]`; `--NAME` alone means true, `--no_NAME` is an older form of false.

        Args:
            name: Of the option, without dashes.
            default: Its value if it is not given.
            help: Text for `--help`.
            group: Group of options to add it to; None for the parser itself.
        """
        (group or self).add_argument(
            f"--{name}",
            type=true_or_false,
            nargs="?",
            const=True,
            default=default,
            metavar="true|false",
            help=f"{help} ({str(default).lower()})",
        )


def add_trust_options(parser: Parser, group: Any = None) -> None:
    """Add the options of every command that builds the networks that a file names."""
    (group or parser).add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="CLASS_OR_MODULE",
        help="a class, or a module with all its classes, that the file may name besides those of sapiens2_lit, torch "
        "and lightning, such as contact.ContactHead; may be repeated",
    )
    parser.add_switch(
        "allow_nonfinite", False, "use weights even if they contain NaN or infinite values", group
    )
    add_verify_option(parser, group)


def add_verify_option(parser: Parser, group: Any = None) -> None:
    """Add the option of every command that reads weights."""
    parser.add_switch("verify", True, "compare files with their checksums before they are loaded", group)


def with_underscores(args: Sequence[str]) -> list[str]:
    """Return the options with underscores in their names; `--no_ema` becomes `--ema=false`."""
    found = []
    for arg in args:
        name, equals, value = arg.partition("=")
        if name.startswith("--") and len(name) > 2:
            name = "--" + name[2:].replace("-", "_")
            if name.startswith("--no_") and not equals:
                name, equals, value = f"--{name.removeprefix('--no_')}", "=", "false"
        found.append(name + equals + value)
    return found


def true_or_false(text: str) -> bool:
    """Read a switch's value.

    Raises:
        ArgumentTypeError: It is neither true nor false.
    """
    if text.lower() not in ("true", "false"):
        raise ArgumentTypeError(f"found {text!r}, expected true or false")
    return text.lower() == "true"


def value_of(options: Sequence[str], name: str) -> str | None:
    """Return the last value given for an option, as `--name value` or `--name=value`; None if there is none."""
    value = None
    for option, following in zip_longest(options, options[1:], fillvalue=""):
        if option == name:
            value = following
        elif option.startswith(f"{name}="):
            value = option.removeprefix(f"{name}=")
    return value


def without(options: Sequence[str], *names: str) -> list[str]:
    """Return the options without those named, each of which takes one value."""
    kept, skip = [], False
    for option in options:
        if skip:
            skip = False
        elif option in names:
            skip = True
        elif option.partition("=")[0] not in names:
            kept.append(option)
    return kept
