"""Compare what `fit --print_config` says of every shipped run, size and strategy between two folders of configurations.

    git archive REVISION configs | tar x -C /tmp/before
    python benchmarks/same_configs.py /tmp/before/configs configs

Files are matched by name; `size/test.yaml` is the old name of `size/smoke.yaml`. Exit status 1 where one differs.
"""

import itertools
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from sapiens2_lit.cli.configs import OLD_NAMES
from sapiens2_lit.cli.main import main as command


def combinations(folder: Path, runs: list[str] | None, overlays: int) -> Iterator[tuple[str, ...]]:
    """Names of a run, and of no or one size and no or one strategy, of at most `overlays` files together."""
    found, sizes, strategies = (
        sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern))
        for pattern in ("*.yaml", "size/*.yaml", "strategy/*.yaml")
    )
    for names in itertools.product(runs or found, [None, *sizes], [None, *strategies]):
        chosen = tuple(OLD_NAMES.get(name, name) for name in names if name)
        if len(chosen) <= 1 + overlays:
            yield chosen


def printed(folder: Path, names: tuple[str, ...]) -> str:
    """The whole configuration that some files of a folder make."""
    old = {new: name for name, new in OLD_NAMES.items()}
    files = [path if (path := folder / name).is_file() else folder / old[name] for name in names]
    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        command(["fit", *(f"--config={file}" for file in files), "--print_config"])
    if "model:" not in text.getvalue():
        raise SystemExit(f"{folder}, {', '.join(names)}: prints no configuration")
    return text.getvalue()


def main() -> int:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--runs", nargs="+", help="of these runs alone, such as albedo.yaml")
    parser.add_argument(
        "--overlays", type=int, default=2, help="how many overlays at once (2: size and strategy)"
    )
    options = parser.parse_args()
    names = list(combinations(options.after, options.runs, options.overlays))
    missing = set(combinations(options.before, options.runs, options.overlays)) ^ set(names)
    differing = [
        one
        for one in names
        if one not in missing and printed(options.before, one) != printed(options.after, one)
    ]
    for one in differing:
        print("differs:", *one)
    print(f"{len(names)} combinations, {len(differing)} differ, {len(missing)} are in one folder alone")
    return 1 if differing or missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
