"""Write the list of all messages, out of the source: what is raised, what is warned of, what checks of labels find."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown import code, table
from reference_python import Module, modules

ERRORS = (
    "ArgumentError",
    "CannotRun",
    "DamagedError",
    "DataError",
    "ExportError",
    "Interrupted",
    "OutOfMemory",
    "SettingError",
    "StorageError",
    "TrainingError",
    "TypeError",
    "UntrustedError",
    "ValueError",
    "WeightsError",
)
OTHERS = "Others"  # of packages that are new
AREAS = {
    "Commands and configurations": ("cli", "errors", "interrupts", "atomic_write"),
    "Data and labels": ("data", "datamodules", "transforms", "codecs", "geometry"),
    "Keypoints and classes": ("vocabularies",),
    "Weights and checkpoints": ("checkpoints", "archives", "lora"),
    "Backbones": ("backbones", "models"),
    "Heads, decoders, losses": ("heads", "decoders", "losses", "metrics"),
    "Training": ("training", "callbacks"),
    "Several GPUs": ("parallel",),
    "Memory": ("memory",),
    "Prediction": ("inference", "visualization"),
    "Ray": ("engines",),
    "Export": ("export",),
    "Probing and curation": ("probing", "curation"),
    "Reports and the app": ("report", "app"),
    "Installation": ("verify",),
    "Synthetic people": ("synthetic",),
    OTHERS: (),
}
GAP = "…"
LOGGED = re.compile(r"%[-+,.\d]*[sdgfr]")  # what a logger fills in
SHORTEST = 12  # letters of a message that can be looked up


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        words: with the names of what is filled in, in ‹›.
        remedy: what to do, where that is said apart.
        kind: class of the error, warning, or the severity of a finding.
        module: that says it.
    """

    words: str
    remedy: str
    kind: str
    module: str


def all_messages() -> dict[str, list[Message]]:
    """Return the messages of each area, in the order of `AREAS`."""
    found: dict[str, list[Message]] = {area: [] for area in AREAS}
    area_of = {room: area for area, rooms in AREAS.items() for room in rooms}
    said = set()
    for module in modules():
        parts = module.name.split(".")
        for message in messages_of(module):
            letters = sum(letter.isalpha() for letter in message.words.replace(GAP, ""))
            if message.words not in said and letters >= SHORTEST:
                said.add(message.words)
                found[area_of.get(parts[1], OTHERS)].append(message)
    return found


def messages_of(module: Module) -> Iterator[Message]:
    """Yield the messages of a module, in the order of its lines."""
    known = constants(module.tree)
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    own = {id(call): name for name, call in own_errors(module.tree)}
    for call in sorted(calls, key=lambda node: node.lineno):
        name = own.get(id(call)) or name_of(call.func)
        if (name in ERRORS and name not in own.values()) or id(call) in own:
            arguments = [one for one in call.args if words_of(one, known) not in ("", GAP)]
            if arguments:
                yield Message(words_of(arguments[-1], known), "", name, module.name)
        elif name in ("warning", "warn") and call.args:
            yield Message(LOGGED.sub(GAP, words_of(call.args[0], known)), "", "warning", module.name)
        elif name == "finding" and len(call.args) > 1:
            given = {one.arg: one.value for one in call.keywords}
            remedy = call.args[2] if len(call.args) > 2 else given.get("remedy")
            words = words_of(call.args[1], known)
            yield Message(words, words_of(remedy, known) if remedy else "", "label check", module.name)


def own_errors(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield what errors with a fixed message hand to their base."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in ERRORS:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__" and call.args:
                    yield node.name, call


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module gives names to."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            words = words_of(node.value, found)
            if words != GAP:
                found[node.targets[0].id] = words
    return found


def name_of(function: ast.expr) -> str:
    """Return the last part of what is called."""
    return function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)


def words_of(node: ast.expr, known: Mapping[str, str]) -> str:
    """Return the text of an expression; what is filled in by its name."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else GAP
    if isinstance(node, ast.JoinedStr):
        return "".join(
            words_of(one, known) if isinstance(one, ast.Constant) else filled(one, known)
            for one in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return words_of(node.left, known) + words_of(node.right, known)
    if isinstance(node, ast.IfExp):
        return words_of(node.body, known) or words_of(node.orelse, known)
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    return GAP


def filled(node: ast.expr, known: Mapping[str, str]) -> str:
    """Return what stands for a value that is filled in."""
    value = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(value, ast.Name | ast.Attribute):
        name = value.attr if isinstance(value, ast.Attribute) else value.id
        return known.get(name, f"‹{name.strip('_').lower()}›")
    words = words_of(value, known)
    return words if words != GAP else GAP


def write_troubleshooting(source: Path) -> None:
    """Add all messages to the page of troubleshooting in the folder that Sphinx reads."""
    found = all_messages()
    parts = [
        f"{sum(map(len, found.values())):,} messages, by what they are about. What is filled in stands in ‹›."
    ]
    for area, messages in found.items():
        if messages:
            parts += [f"## {area}", area_table(messages)]
    with (source / "troubleshooting.md").open("a", encoding="utf-8") as page:
        page.write("\n\n".join(parts) + "\n")


def area_table(messages: Iterable[Message]) -> str:
    """Return a table of messages, with what to do where a message says that apart."""
    rows = []
    for one in messages:
        remedy = f" → {code(' '.join(one.remedy.split()))}" if one.remedy and one.remedy != GAP else ""
        rows.append((code(" ".join(one.words.replace("%%", "%").split())) + remedy, one.kind))
    return table(("message", "kind"), rows)
