"""Pages of all commands with all their options, out of their parsers; and of all shipped configurations."""

from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator

from markdown import code, menu, one_line, plain, table

from sapiens2_lit.cli.configs import find_config, shipped_configs, summary
from sapiens2_lit.cli.main import COMMANDS
from sapiens2_lit.cli.parsers import PARSERS
from sapiens2_lit.cli.short_help import PRETRAIN_SETTINGS, SETTINGS, USAGE, WHAT

CONFIGS_USAGE = "sapiens2-lit configs\nsapiens2-lit configs show NAME"
CONFIGS = (
    "List the shipped configurations, or print one of them. They are all [here](../configurations.md), too."
)
GROUPS = {
    "size": "Overlays of sizes",
    "backbone": "Overlays of backbones",
    "strategy": "Overlays of strategies",
    "recipes": "Overlays of recipes",
    "pretrain": "Pretraining",
}


def command_pages() -> dict[str, str]:
    """Return the page of each command, and one that lists them, by their places below `reference/`."""
    pages = {f"commands/{name}": command_page(name) for name in (*COMMANDS, "configs")}
    rows = [(f"[{name}](commands/{name}.md)", one_line(said_first(name))) for name in (*COMMANDS, "configs")]
    links = menu([f"{name} <commands/{name}>" for name in sorted((*COMMANDS, "configs"))])
    text = (
        "Every option of every command, as its parser has it. `sapiens2-lit COMMAND --help` prints the same."
    )
    pages["commands"] = f"# Commands\n\n{text}\n\n{table(('command', 'does'), rows)}\n\n{links}"
    return pages


def said_first(name: str) -> str:
    """Return the first sentence that a command says of itself."""
    if name in WHAT:
        return WHAT[name]
    if name == "configs":
        return CONFIGS.partition(" [")[0]
    described = PARSERS[name]().description or "Tell whether a run fits into memory, before it is launched."
    return " ".join(described.split()).partition(". ")[0].rstrip(".") + "."


def command_page(name: str) -> str:
    """Return the page of one command."""
    if name in WHAT:
        return page_of_a_run(name)
    if name == "configs":
        return f"# configs\n\n{CONFIGS}\n\n```text\n{CONFIGS_USAGE}\n```\n"
    parser = PARSERS[name]()
    described = plain(parser.description or said_first(name))
    parts = [f"# {name}", described, *options_of(parser)]
    if name in ("check", "plan"):
        parts.append("All further options are [settings of a run](../settings.md), as `fit` takes them.")
    return "\n\n".join(parts) + "\n"


def page_of_a_run(name: str) -> str:
    """Return the page of a command whose options are the settings of a run."""
    settings = PRETRAIN_SETTINGS if name == "pretrain" else SETTINGS
    more = "Every setting of model, data and Trainer is an option: [all settings](../settings.md)."
    rows = [(code(option), one_line(text)) for option, text in settings.items()]
    usage = f"```text\n{USAGE[name]}\n```"
    return "\n\n".join([f"# {name}", WHAT[name], usage, more, table(("often set", ""), rows)]) + "\n"


def options_of(parser: ArgumentParser) -> Iterator[str]:
    """Yield usage and tables of the options of a parser, and of its steps."""
    yield f"```text\n{usage_of(parser)}\n```"
    for group in sorted(parser._action_groups, key=lambda group: group.title == "options"):
        shown = [
            action for action in group._group_actions if action.help != SUPPRESS and action.dest != "help"
        ]
        steps = [action for action in shown if isinstance(action, _SubParsersAction)]
        rows = [(code(names_of(action)), meaning(parser, action)) for action in shown if action not in steps]
        if rows:
            title = {"positional arguments": "Arguments", "options": "Options"}.get(
                group.title or "", group.title
            )
            yield f"## {(title or 'Options').capitalize()}"
            yield table(("option", "what it does"), rows)
        for step in steps:
            for name, inner in step.choices.items():
                yield f"## Step `{name}`"
                yield plain(inner.description or "")
                yield from (part.replace("## ", "### ", 1) for part in options_of(inner))


def usage_of(parser: ArgumentParser) -> str:
    """Return the usage that a parser has been given; else what must be there."""
    if parser.usage:
        return parser.usage.rstrip()
    shown = [action for action in parser._actions if action.dest != "help"]
    needed = [names_of(one) for one in shown if one.required and not isinstance(one, _SubParsersAction)]
    steps = ["|".join(one.choices or ()) for one in shown if isinstance(one, _SubParsersAction)]
    more = ["[--OPTION ...]"] if any(one.option_strings and not one.required for one in shown) else []
    return " ".join([parser.prog, *steps, *needed, *more])


def names_of(action: Action) -> str:
    """Return how an option is typed."""
    if action.metavar is not None:
        value = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar
    elif action.choices:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    else:
        value = action.dest.upper() if action.nargs != 0 else ""
    dots = " ..." if action.nargs in ("+", "*") else ""
    if not action.option_strings:
        return value + dots
    names = ", ".join(sorted(action.option_strings, key=lambda name: (-len(name), name)))
    return f"{names} {value}".rstrip() + (dots if value else "")


def meaning(parser: ArgumentParser, action: Action) -> str:
    """Return what an option is for, with its default."""
    text = one_line((action.help or "") % {**vars(action), "prog": parser.prog})
    return f"{text}; needed" if action.required and action.option_strings else text


def configurations_page() -> str:
    """Return the page of all shipped configurations."""
    parts = [
        "# Configurations",
        "All files that ship with the package. `--config NAME` takes one by its name; later ones win over earlier "
        "ones. Those in folders are overlays: they come behind the configuration of a task.",
    ]
    heading = ""
    for name in shipped_configs(commands=True):
        folder = name.partition("/")[0] if "/" in name else "Tasks and commands"
        if folder != heading:
            heading = folder
            parts.append(f"## {GROUPS.get(folder, folder)}")
        parts += [
            f"### `{name}`",
            one_line(summary(name)),
            f"```yaml\n{find_config(name).read_text().rstrip()}\n```",
        ]
    return "\n\n".join(parts) + "\n"
