"""Pages of all public classes and functions, out of the source: signatures as they are written, and docstrings.

Public is what a package exports in its stub; of a package without one, whatever has no underscore in front.
"""

import ast
import functools
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docstring_parser import Docstring, DocstringStyle, ParseError, parse
from markdown import menu, one_line, plain, table
from pages import ROOT

MAPPED = {"heads": "sapiens2_lit.heads", "datamodules": "sapiens2_lit.datamodules"}
COMMANDS = "sapiens2_lit.cli"  # whose functions are the commands
Function = ast.FunctionDef | ast.AsyncFunctionDef
INTRO = """\
Every public class and function, with its signature and docstring, by package. Public is what a package exports, and of
a package that does not say what it exports, everything. Start with
[`sapiens2_lit.load`](python/sapiens2_lit.inference.md), which returns a predictor for any model.
"""


@dataclass(frozen=True)
class Module:
    """One module of the package.

    Attributes:
        name: as it is imported.
        tree: its source, parsed.
    """

    name: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package on whose page it is."""
        top = ".".join(self.name.split(".")[:2])
        return top if folder_of(top).is_dir() else "sapiens2_lit"


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package in the order of their names."""
    found = {}
    for folder, package in {"sapiens2_lit": "sapiens2_lit", **MAPPED}.items():
        for file in (ROOT / folder).rglob("*.py"):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            found[name] = file
    return tuple(
        Module(name, ast.parse(file.read_text(encoding="utf-8")))
        for name, file in sorted(found.items())
        if not name.endswith("__main__")
    )


def python_pages() -> dict[str, str]:
    """Return a page for each package, and one that lists them, by their places below `reference/`."""
    packages: dict[str, list[Module]] = {}
    for module in modules():
        if module.package != COMMANDS:
            packages.setdefault(module.package, []).append(module)
    pages = {f"python/{package}": package_page(package, members) for package, members in packages.items()}
    rows = [
        (f"[`{package}`](python/{package}.md)", one_line(ast.get_docstring(members[0].tree) or ""))
        for package, members in packages.items()
    ]
    links = menu([f"{package} <python/{package}>" for package in packages])
    pages["python"] = f"# Python\n\n{INTRO}\n\n{table(('package', 'holds'), rows)}\n\n{links}"
    return pages


def folder_of(package: str) -> Path:
    """Return the folder of a package."""
    inner = package.split(".")[1:]
    return ROOT.joinpath(*inner) if inner and inner[0] in MAPPED else ROOT.joinpath("sapiens2_lit", *inner)


@functools.cache
def exported(package: str) -> frozenset[str] | None:
    """Return the names that a package exports in its stub; None where it has none."""
    stub = folder_of(package) / "__init__.pyi"
    if not stub.is_file():
        return None
    tree = ast.parse(stub.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return frozenset(alias.asname or alias.name for node in imports for alias in node.names)


def exporter(module: str) -> str | None:
    """Return the package that says what of a module is public: the innermost one with a stub."""
    parts = module.split(".")
    packages = (".".join(parts[:depth]) for depth in range(len(parts), 1, -1))
    return next((package for package in packages if exported(package) is not None), None)


@functools.cache
def public_names(module: str) -> dict[str, str]:
    """Return the full names under which the public definitions of a module are described, by their short ones.

    Those that a package only exports are among them.
    """
    inside = [one for one in modules() if one.name == module or one.name.startswith(f"{module}.")]
    found = {}
    for one in inside:
        place = exporter(one.name)
        names = exported(place) if place else None
        for node in one.tree.body:
            if is_public(node) and (node.name in names if names is not None else one.name == module):
                found[node.name] = f"{place or module}.{node.name}"
    return found


def known_names(module: Module) -> dict[str, str]:
    """Return what short names mean in a module, of those that are described: its own and the imported ones."""
    found = dict(public_names(module.name))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sapiens2_lit"):
            theirs = public_names(node.module or "")
            found |= {
                alias.asname or alias.name: theirs[alias.name] for alias in node.names if alias.name in theirs
            }
    return found


class Qualified(ast.NodeTransformer):
    """Replaces short names by full ones, so that links of signatures lead to the right class.

    Args:
        known: full names by short ones.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace one name."""
        return ast.parse(self.known[node.id], mode="eval").body if node.id in self.known else node


def package_page(package: str, members: list[Module]) -> str:
    """Return the page of a package with all its modules."""
    parts = [f"# {package}", plain(ast.get_docstring(members[0].tree) or "")]
    for module in members:
        place = exporter(module.name)
        names = exported(place) if place else None
        public = {}  # the last of several: not the overloads before it
        for node in module.tree.body:
            if is_public(node) and (names is None or node.name in names):
                public[node.name] = node
        if not public:
            continue
        if module.name != package:
            said = plain(ast.get_docstring(module.tree) or "")
            parts += [f"## {module.name.removeprefix(f'{package}.')}", said]
        if module.name not in (f"{place}.{name}" for name in public):  # else the function has the address
            parts.append(f"```{{py:module}} {module.name}\n```")
        known = known_names(module)
        parts += [
            described(Qualified(known).visit(node), place or module.name, known) for node in public.values()
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def is_public(node: ast.AST) -> bool:
    """Tell whether a definition is a class or function for others."""
    return isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_")


def described(node: ast.ClassDef | Function, place: str, known: Mapping[str, str]) -> str:
    """Return a class or function as Sphinx describes it.

    Args:
        node: its definition, with full names.
        place: the module that it is imported from.
        known: full names by short ones, for what is raised.
    """
    module = f"\n:module: {place}"
    if isinstance(node, ast.ClassDef):
        head = f"{node.name}{class_signature(node)}{module}"
        methods = [
            one
            for one in node.body
            if is_public(one) and isinstance(one, Function) and ast.get_docstring(one)
        ]
        unique = {one.name: one for one in methods}
        parts = [bases_of(node), documentation(node, known), *(method(one, known) for one in unique.values())]
        return directive("py:class", head, parts, fence=5)
    return directive(
        "py:function", f"{node.name}{signature(node)}{module}", [documentation(node, known)], fence=5
    )


def method(node: Function, known: Mapping[str, str]) -> str:
    """Return a method or property as Sphinx describes it."""
    decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
    if decorators & {"property", "cached_property"}:
        kind = f"\n:type: {ast.unparse(node.returns)}" if node.returns else ""
        return directive("py:property", f"{node.name}{kind}", [documentation(node, known)], fence=4)
    kinds = [f":{one}:" for one in ("staticmethod", "classmethod") if one in decorators]
    return directive(
        "py:method",
        "\n".join([f"{node.name}{signature(node)}", *kinds]),
        [documentation(node, known)],
        fence=4,
    )


def directive(name: str, head: str, parts: list[str], fence: int) -> str:
    """Return a directive of MyST.

    Args:
        name: Of the directive, such as `py:method`.
        head: What follows the name in its first line.
        parts: Paragraphs; empty ones are left out.
        fence: How many backticks open and close it: more than those of directives inside.
    """
    marks = "`" * fence
    body = "\n\n".join(part for part in parts if part)
    return f"{marks}{{{name}}} {head}\n\n{body}\n{marks}"


def bases_of(node: ast.ClassDef) -> str:
    """Return what a class derives from."""
    bases = [
        ast.unparse(base).rpartition(".")[2] if isinstance(base, ast.Attribute) else ast.unparse(base)
        for base in node.bases
    ]
    return f"Bases: {', '.join(f'`{base}`' for base in bases)}" if bases else ""


def class_signature(node: ast.ClassDef) -> str:
    """Return the arguments of a class: those of its constructor, or the fields of a dataclass."""
    inits = [one for one in node.body if isinstance(one, Function) and one.name == "__init__"]
    if inits:
        return signature(inits[0], returns=False)
    if any("dataclass" in ast.unparse(one) for one in node.decorator_list):
        fields = [
            one
            for one in node.body
            if isinstance(one, ast.AnnAssign) and not ast.unparse(one.target).startswith("_")
        ]
        return f"({', '.join(field(one) for one in fields)})"
    return ""


def field(node: ast.AnnAssign) -> str:
    """Return a field of a dataclass as an argument."""
    value = "" if node.value is None else f" = {ast.unparse(node.value)}"
    return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}{value}"


def signature(node: Function, returns: bool = True) -> str:
    """Return the arguments of a function as they are written, without `self`."""
    arguments = ast.unparse(node.args)
    first = [*node.args.posonlyargs, *node.args.args][:1]
    if first and first[0].arg in ("self", "cls"):
        arguments = arguments[len(ast.unparse(first[0])) :].removeprefix(", ")
        arguments = arguments.removeprefix("/, ")
    return f"({arguments})" + (f" -> {ast.unparse(node.returns)}" if returns and node.returns else "")


def documentation(node: ast.ClassDef | Function, known: Mapping[str, str]) -> str:
    """Return a docstring as Markdown: text, then arguments, attributes, results and what is raised."""
    raw = ast.get_docstring(node, clean=False) or ""
    written = textwrap.dedent(
        " " * node.body[0].col_offset + raw
    )  # one that begins with a section keeps its indents
    try:
        docs = parse(f"\n{written}", DocstringStyle.GOOGLE)
    except ParseError:  # a section without entries
        return plain(written.strip())
    text = [docs.short_description, docs.long_description]
    return "\n\n".join([*(plain(one) for one in text if one), "\n".join(fields_of(docs, known))]).strip()


def fields_of(docs: Docstring, known: Mapping[str, str]) -> Iterator[str]:
    """Yield the fields of a docstring."""
    for one in docs.params:
        kind = "ivar" if one.args[0].startswith("attribute") else "param"
        yield f":{kind} {one.arg_name}: {one_line(one.description or '')}"
    if docs.returns is not None:
        yield f":returns: {one_line(docs.returns.description or '')}"
    for raised in docs.raises:
        name = f" {known.get(raised.type_name, raised.type_name)}" if raised.type_name else ""
        yield f":raises{name}: {one_line(raised.description or '')}"
