"""How far docstrings keep their contract, by package; RESULTS.md has the numbers.

    python benchmarks/docstrings.py           # one row a package
    python benchmarks/docstrings.py --list heads/pose.py sapiens2_lit/losses   # what is missing there

The contract: every public function, class and method says what it does; tensors and arrays have shapes; what is
raised is named; public functions of three parameters or more have `Args:`. A method that overrides a documented
one need not repeat it.
"""

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOURCES = ("sapiens2_lit", "heads", "datamodules", "configs")
RULES = ("documented", "shapes", "raises", "args")
DIMENSION = r"(?:[A-Z][A-Za-z0-9_]*|\d+|\.\.\.|…|\*[A-Za-z]*)(?:\s*(?://|[-+*/·×])\s*[\w]+)*"
SHAPE = re.compile(
    rf"\({DIMENSION}(?:, ?{DIMENSION})*,?\)|\[{DIMENSION}(?:, ?{DIMENSION})+,?\]|{DIMENSION} (?:x|×) {DIMENSION}"
    r"|\bscalars?\b|\b(?:any|same|this|its|their) shapes?\b|\bshapes? of\b|\bshapes? as\b|\b[0-4]-D\b"
)
TENSORS = re.compile(r"\b(Tensor|ndarray|NDArray|ArrayLike)\b")
CONTAINERS = re.compile(
    r"(dict|Mapping|MutableMapping|Callable|Batch)\["
)  # what keys hold is told by docs/conventions.md
HOOKS = re.compile(  # documented by torch, Lightning, torchmetrics and Python
    r"forward|backward|training_step|validation_step|test_step|predict_step|configure_\w+|setup|teardown|on_\w+"
    r"|state_dict|load_state_dict|\w+_dataloader|transfer_batch_to_device|update|compute|reset|step|setup_context"
    r"|prepare_data|extra_repr|named_\w+|log_\w+|save_checkpoint|load_checkpoint|remove_checkpoint|get_metrics|visit_\w+"
)


class Definition(NamedTuple):
    """One public function, method or class."""

    path: Path
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    owner: ast.ClassDef | None = None

    @property
    def place(self) -> str:
        """File, line and name, as editors open them."""
        return f"{self.path.relative_to(ROOT)}:{self.node.lineno}: {self.name}"


def public(name: str) -> bool:
    """Whether a name has no leading underscore."""
    return not name.startswith("_")


def definitions(path: Path) -> Iterator[Definition]:
    """Yield what a module shows to others, but methods of private classes and names with underscores."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and public(node.name):
            yield Definition(path, node.name, node)
        elif isinstance(node, ast.ClassDef) and public(node.name):
            yield Definition(path, node.name, node)
            for method in node.body:
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and public(method.name):
                    yield Definition(path, f"{node.name}.{method.name}", method, node)


def decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the last names of a definition's decorators."""
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return {ast.unparse(item).rsplit(".", 1)[-1] for item in calls}


def overrides(found: list[Definition]) -> set[str]:
    """Return the places of methods that a base class documents: one of ours, or a hook of a library's class."""
    classes = {item.node.name: item.node for item in found if isinstance(item.node, ast.ClassDef)}
    documented = {
        (item.owner.name, item.node.name)
        for item in found
        if item.owner is not None and ast.get_docstring(item.node)
    }

    def bases(node: ast.ClassDef) -> Iterator[str]:
        for base in node.bases:
            name = re.split(r"[\[(]", ast.unparse(base))[0].rsplit(".", 1)[-1]
            yield name
            if name in classes and classes[name] is not node:
                yield from bases(classes[name])

    told = set()
    for item in found:
        if item.owner is None or isinstance(item.node, ast.ClassDef):
            continue
        above = set(bases(item.owner))
        foreign = bool(above - classes.keys() - {"Protocol", "ABC", "NamedTuple", "Generic", "Exception"})
        if any((name, item.node.name) in documented for name in above) or (
            foreign and HOOKS.fullmatch(item.node.name)
        ):
            told.add(item.place)
    return told


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """Return the parameters but `self` and `cls`, `*args` and `**kwargs`."""
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [item for item in every if item.arg not in ("self", "cls", "ctx")]


def holds_tensors(annotation: ast.expr | None) -> bool:
    """Whether an annotation names a tensor or array itself, not a dictionary of batch keys."""
    text = "" if annotation is None else ast.unparse(annotation)
    return bool(TENSORS.search(text)) and not CONTAINERS.search(text)


def raises(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function's own body raises an error that it does not only pass on."""
    todo: list[ast.AST] = list(node.body)
    while todo:
        item = todo.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(item, ast.Raise) and item.exc is not None:
            name = ast.unparse(item.exc)
            if not re.match(
                r"(NotImplementedError|AttributeError|StopIteration|SystemExit|KeyboardInterrupt)", name
            ):
                return True
        todo.extend(ast.iter_child_nodes(item))
    return False


def judge(item: Definition, told: set[str]) -> dict[str, bool | None]:
    """Judge one definition by every rule: kept, broken, or None where the rule does not apply."""
    node, text = item.node, ast.get_docstring(item.node) or ""
    verdict: dict[str, bool | None] = dict.fromkeys(RULES)
    if isinstance(node, ast.ClassDef):
        verdict["documented"] = bool(text)
        return verdict
    kinds = decorators(node)
    if item.place in told or kinds & {"overload", "setter", "override"}:
        return verdict
    verdict["documented"] = bool(text)
    arguments = parameters(node)
    if any(holds_tensors(argument.annotation) for argument in arguments) or holds_tensors(node.returns):
        verdict["shapes"] = bool(SHAPE.search(text))
    if raises(node):
        verdict["raises"] = bool(re.search(r"^\s*Raises:|\b[Rr]aises?\b", text, re.MULTILINE))
    if item.owner is None and len(arguments) >= 3:
        verdict["args"] = bool(re.search(r"^\s*Args:", text, re.MULTILINE))
    return verdict


def judged(*places: Path) -> Iterator[tuple[Definition, dict[str, bool | None]]]:
    """Yield every public definition below `places` with its verdict; overrides are looked for in all sources."""
    files = [file for source in SOURCES for file in sorted((ROOT / source).rglob("*.py"))]
    everything = [
        item for file in files if public(file.stem) or file.stem == "__init__" for item in definitions(file)
    ]
    told = overrides(everything)
    for item in everything:
        if not places or any(item.path == place or place in item.path.parents for place in places):
            yield item, judge(item, told)


def main() -> None:
    """Print the table, or with `--list` what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", nargs="*", type=Path)
    parser.add_argument("--list", action="store_true", help="every definition that breaks a rule")
    options = parser.parse_args()
    kept: dict[str, Counter[str]] = {}
    asked: dict[str, Counter[str]] = {}
    for item, verdict in judged(*(place.resolve() for place in options.places)):
        parts = item.path.relative_to(ROOT).parts
        package = "/".join(parts[:2]) if parts[0] == "sapiens2_lit" and len(parts) > 2 else parts[0]
        wrong = [rule for rule, good in verdict.items() if good is False]
        if options.list and wrong:
            print(f"{item.place}: {', '.join(wrong)}")
        for name in (package, "all"):
            kept.setdefault(name, Counter()).update(rule for rule, good in verdict.items() if good)
            asked.setdefault(name, Counter()).update(
                rule for rule, good in verdict.items() if good is not None
            )
    print(f"{'':28} " + " ".join(f"{rule:>18}" for rule in RULES))
    for name in sorted(kept, key=lambda name: (name == "all", name)):
        cells = [
            f"{kept[name][rule]:5} of {asked[name][rule]:4} {kept[name][rule] / max(asked[name][rule], 1):5.0%}"
            for rule in RULES
        ]
        print(f"{name:28} " + " ".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
