"""How the code is laid out, in numbers: rooms, loose modules, circles, arrows, lines, files, functions, configurations.

    python benchmarks/structure.py                      # this checkout
    python benchmarks/structure.py ../parent .          # others, side by side

It reads the sources alone and imports nothing of them. A room is a package and what lies directly in it; an arrow says
that some module of a room imports one of another room. Imports inside functions count, those for type checkers do not.
"""

import argparse
import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "sapiens2_lit"
MAPPED = ("heads", "datamodules")  # folders at the top that are packages of ours


def modules_of(root: Path) -> dict[str, Path]:
    """Each module's file, by its dotted name."""
    found = {}
    for folder in (PACKAGE, *MAPPED):
        prefix = (PACKAGE,) if folder == PACKAGE else (PACKAGE, folder)
        for file in sorted((root / folder).rglob("*.py")):
            parts = file.relative_to(root / folder).with_suffix("").parts
            found[".".join((*prefix, *parts)).removesuffix(".__init__")] = file
    return found


def imports_of(file: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of ours that a file imports, anywhere but under TYPE_CHECKING; a package imports what its stub says."""
    stub = file.with_suffix(".pyi")
    if stub.is_file():
        package = next(name for name, other in modules.items() if other == file)
        lines = ast.parse(stub.read_text(encoding="utf-8")).body
        return {f"{package}.{node.module}" for node in lines if isinstance(node, ast.ImportFrom)}
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = set()
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name in modules}
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            below = {f"{node.module}.{name.name}" for name in node.names}
            found |= {name if name in modules else node.module for name in below if node.module}
            found |= {node.module} & ({node.module} if below - modules.keys() else set())
    return found


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _nodes(child)


def import_graph(root: Path) -> dict[str, set[str]]:
    """Which module imports which."""
    modules = modules_of(root)
    return {name: imports_of(file, modules) - {name} for name, file in modules.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules of which each reaches every other one (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


def room_of(module: str, rooms: set[str]) -> str:
    """The package that a module lies directly in; a loose module is a room of its own."""
    if module in rooms:
        return module
    parent = module.rpartition(".")[0]
    return module if parent == PACKAGE else parent


def packages_of(root: Path) -> set[str]:
    return {name for name, file in modules_of(root).items() if file.name == "__init__.py"} - {PACKAGE}


def loose_modules(root: Path) -> list[str]:
    """Modules directly in the package, but for `__init__` and `__main__`."""
    files = (root / PACKAGE).glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("__"))


def arrows(root: Path) -> set[tuple[str, str]]:
    rooms = packages_of(root)
    pairs = {(a, b) for a, others in import_graph(root).items() for b in others}
    found = {(room_of(a, rooms), room_of(b, rooms)) for a, b in pairs}
    return {(a, b) for a, b in found if a != b}


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank ones, no comments, no docstrings."""
    skipped = (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
    )  # fmt: skip
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                assert first.end_lineno is not None
                lines -= set(range(first.lineno, first.end_lineno + 1))
    return lines


def modules_naming(root: Path, word: str) -> list[str]:
    """Shared modules whose code names a task: in an identifier or a text, but not in a docstring or a comment.

    Modules that are named after it are the task's own. `synthetic` renders every task and is left out.
    """
    found = []
    for name, file in modules_of(root).items():
        if word in name or name.startswith(f"{PACKAGE}.synthetic"):
            continue
        source = file.read_text(encoding="utf-8")
        lines = source.splitlines()
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = {token.start[0]: token.start[1] for token in tokens if token.type == tokenize.COMMENT}
        code = (lines[number - 1][: comments.get(number)] for number in code_lines(source))
        if any(word in line.lower() for line in code):
            found.append(name)
    return found


def functions_of(source: str, name: str) -> list[tuple[int, str]]:
    """Lines and name of each function, its docstring included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            found.append((node.end_lineno - node.lineno + 1, f"{name}.{node.name}"))
    return found


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def measure(root: Path) -> dict[str, str]:
    """The numbers of one checkout, by what they are of."""
    sources = {name: file.read_text(encoding="utf-8") for name, file in modules_of(root).items()}
    files = [(source.count("\n"), name) for name, source in sources.items()]
    functions = [one for name, source in sources.items() for one in functions_of(source, name)]
    loose, graph = loose_modules(root), import_graph(root)
    configs = sorted((root / "configs").rglob("*.yaml"))
    runs = [lines_of(file) for file in (root / "configs").glob("*.yaml")]
    found = circles(graph)
    return {
        "packages": f"{len(packages_of(root))}",
        "loose modules": f"{len(loose)}",
        "rooms (both)": f"{len(packages_of(root)) + len(loose)}",
        "circles": f"{len(found)}" + (f" of {', '.join(str(len(group)) for group in found)} modules" if found else ""),
        "arrows between rooms": f"{len(arrows(root))}",
        "modules": f"{len(sources)}",
        "lines of code": f"{sum(len(code_lines(source)) for source in sources.values())}",
        "file, median lines": f"{statistics.median(lines for lines, _ in files):.0f}",
        "file, longest": "{} ({})".format(*max(files)),
        "function, median lines": f"{statistics.median(lines for lines, _ in functions):.0f}",
        "function, longest": "{} ({})".format(*max(functions)),
        **{
            f"modules that name {task}": f"{len(modules_naming(root, task))}"
            for task in ("albedo", "matting", "pointmap")
        },
        "files in datamodules/": f"{len(list((root / 'datamodules').glob('*.py')))}",
        "configurations, lines": f"{sum(map(lines_of, configs))} in {len(configs)} files",
        "complete run, median lines": f"{statistics.median(runs):.0f}",
    }  # fmt: skip


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    parser.add_argument("--circles", action="store_true", help="print the modules of each circle")
    options = parser.parse_args(args)
    columns = [measure(root) for root in options.checkouts]
    for name in columns[0]:
        print(f"{name:28}" + "  ".join(f"{column[name]:44}" for column in columns).rstrip())
    for root in options.checkouts if options.circles else ():
        for group in circles(import_graph(root)):
            print(f"{root}: {', '.join(group)}")


if __name__ == "__main__":
    main()
